import { SOFTMAX_CASES, type SoftmaxCase, shapesOf } from "../../kernels/softmax/cases.js";
import { checkCase } from "../../kernels/softmax/check-case.js";
import type { SoftmaxConfiguration } from "../../kernels/softmax/configuration.js";
import { planSoftmaxAttention } from "../../kernels/softmax/index.js";
import type { AttentionContext } from "../../src/index.js";
import {
  registerConfiguration,
  sharedConfiguration,
  stagedConfiguration,
} from "../support/softmax-configurations.js";
import { attempts, beyond } from "./attempts.js";

/** Kernels that share a tile in workgroup memory, and those that keep everything in registers. */
export type Family = "shared" | "registers";

export interface SoftmaxChecks {
  readonly passed: number;
  readonly failures: readonly string[];
  /** Checks of configurations that read halves as halves, and how many of these had passes with an f16 variant. */
  readonly f16: { readonly checks: number; readonly variants: number };
}

/**
 * Most of a check's second is LLVM compiling it, so a case is here for what no other has: every option and every pair of them
 * (the sets), rows that are not whole vec4 and those that are, each storage, each way to see no key, shared key heads.
 */
const NAMES = [
  /^(options with bit \d = \d|all options), (tiled|split)$/,
  /^head dim (1|129|256)$/,
  /^decode head dim (15|64)$/,
  /^causal 65 tokens$/,
  /^grouped heads 8 to 2$/,
  /^grouped decode 12 to 1, 3 tokens$/,
  /^both paddings, causal$/,
  /^decode with paddings$/,
  /^every key masked(, decode)?$/,
  /^rope, interleaved( decode)?$/,
  /^f16 f16, (head dim (15|40)|decode, head dim 64)$/,
  /^f32 f16, (head dim 256|decode, head dim 40)$/,
  /^f16 f32, (head dim 64|decode, head dim 15)$/,
];

export async function checkSoftmax(device: GPUDevice, family: Family): Promise<SoftmaxChecks> {
  const f16 = { checks: 0, variants: 0 };
  const checks = await attempts(device, async (ctx, attempt) => {
    for (const problem of SOFTMAX_CASES.filter(({ name }) => NAMES.some((one) => one.test(name)))) {
      for (const configuration of configurations(ctx, problem, family)) {
        await attempt(`${problem.name}, ${family}`, async () => {
          const { out, lse, outTolerance, lseTolerance } = await checkCase(ctx, problem, configuration);
          if (configuration.f16) f16.checks++;
          if (configuration.f16 && (await hasF16Variant(ctx, problem, configuration))) f16.variants++;
          return beyond(out, outTolerance) ?? beyond(lse, lseTolerance);
        });
      }
    }
  });
  return { ...checks, f16 };
}

/** The family's own; for whole vec4 of halves also those that read halves as halves. */
function configurations(ctx: AttentionContext, problem: SoftmaxCase, family: Family): SoftmaxConfiguration[] {
  const own =
    family === "shared" ? sharedConfiguration(problem) : registerConfiguration(problem, ctx.capabilities);
  if (problem.kvDtype !== "f16" || problem.headDim % 4 !== 0) return [own];
  const halves = { ...own, f16: true };
  return family === "shared" ? [own, halves, stagedConfiguration(problem, true)] : [own, halves];
}

/** Plans what `checkCase` planned: its pipelines are there already. */
async function hasF16Variant(
  ctx: AttentionContext,
  problem: SoftmaxCase,
  configuration: SoftmaxConfiguration,
): Promise<boolean> {
  const { q, k, v, out } = shapesOf(problem);
  const { dtype, kvDtype, options } = problem;
  const plan = await planSoftmaxAttention(
    ctx,
    {
      q: { dtype, shape: q },
      k: { dtype: kvDtype, shape: k },
      v: { dtype: kvDtype, shape: v },
      lse: { dtype: "f32", shape: [out[0], out[1], out[2], 1] },
      causal: options.causal ?? false,
    },
    { configuration },
  );
  const found = plan.passes.some(({ variant }) => variant.split("+").includes("f16"));
  plan.destroy();
  return found;
}

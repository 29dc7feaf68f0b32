import { LINEAR_CASES } from "../../kernels/linear/cases.js";
import { checkLinearCase } from "../../kernels/linear/check-case.js";
import { serialPasses } from "../../kernels/linear/plan.js";
import { PREFIX_CASES } from "../../kernels/linear/prefix/cases.js";
import { checkPrefixCase } from "../../kernels/linear/prefix/check-case.js";
import { attempts, type CaseChecks } from "./attempts.js";

/** Each form of linear attention, each storage, odd widths: most of a check's second is LLVM compiling it. */
const NAMES = [
  "many blocks, batches and heads",
  "steep decay",
  "odd widths",
  "normalised with decay and state, odd widths",
  "silu",
  "one token",
  "seven tokens, odd widths",
  "all to all",
  "f16",
  "f16, odd widths",
  "f16 in, f32 out",
  "f16, few tokens",
];

/** Of prefix softmax: many chunks and one, each storage, padding. */
const PREFIX_NAMES = [
  "many chunks, batches and heads",
  "1 tokens",
  "scores of some hundreds",
  "padding",
  "f16, odd widths",
];

export function checkLinear(device: GPUDevice): Promise<CaseChecks> {
  return attempts(device, async (ctx, attempt) => {
    for (const problem of LINEAR_CASES.filter(({ name }) => NAMES.includes(name))) {
      const serial =
        problem.causal === false
          ? []
          : [(core: Parameters<typeof serialPasses>[0]) => serialPasses(core, ctx.capabilities, 1e12)];
      for (const passesOf of [undefined, ...serial]) {
        await attempt(`${problem.name}, ${passesOf ? "serial" : "as planned"}`, async () => {
          const { out, outTolerance, s = 0, z = 0 } = await checkLinearCase(ctx, problem, passesOf);
          const right = out <= outTolerance && s <= 1e-5 && z <= 1e-5;
          return right ? undefined : `out ${out} of ${outTolerance}, s ${s}, z ${z}`;
        });
      }
    }
    for (const problem of PREFIX_CASES.filter(({ name }) => PREFIX_NAMES.includes(name))) {
      await attempt(`prefix softmax, ${problem.name}`, async () => {
        const { error, tolerance } = await checkPrefixCase(ctx, problem);
        return error <= tolerance ? undefined : `out ${error} of ${tolerance}`;
      });
    }
  });
}

import { LINEAR_CASES } from "../../kernels/linear/cases.js";
import { checkLinearCase } from "../../kernels/linear/check-case.js";
import { serialPasses } from "../../kernels/linear/plan.js";
import { AttentionContext } from "../../src/index.js";

export interface CaseChecks {
  readonly passed: number;
  readonly failures: readonly string[];
}

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

export async function checkLinear(device: GPUDevice): Promise<CaseChecks> {
  const ctx = await AttentionContext.create(device);
  ctx.fillScratch(Number.NaN);
  const failures: string[] = [];
  let passed = 0;
  for (const problem of LINEAR_CASES.filter(({ name }) => NAMES.includes(name))) {
    const serial =
      problem.causal === false
        ? []
        : [(core: Parameters<typeof serialPasses>[0]) => serialPasses(core, ctx.capabilities, 1e12)];
    for (const passesOf of [undefined, ...serial]) {
      const form = passesOf ? "serial" : "as planned";
      try {
        const { out, outTolerance, s = 0, z = 0 } = await checkLinearCase(ctx, problem, passesOf);
        if (out <= outTolerance && s <= 1e-5 && z <= 1e-5) passed++;
        else failures.push(`${problem.name}, ${form}: out ${out} of ${outTolerance}, s ${s}, z ${z}`);
      } catch (error) {
        failures.push(`${problem.name}, ${form}: ${error}`);
      }
    }
  }
  ctx.destroy();
  return { passed, failures };
}

import { LINEAR_CASES } from "../../kernels/linear/cases.js";
import { checkLinearCase } from "../../kernels/linear/check-case.js";
import { serialPasses } from "../../kernels/linear/plan.js";
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
  });
}

import { FLOW_CASES } from "../../kernels/flow/cases.js";
import { checkCase } from "../../kernels/flow/check-case.js";
import { attempts, beyond, type CaseChecks } from "./attempts.js";

/** Each form of flow attention, each storage, odd widths: most of a check's second is LLVM compiling it. */
const NAMES = [
  "D 65, Dv 130",
  "causal, D 65, Dv 130",
  "one causal token, D 65, Dv 130",
  "many chunks",
  "many tiles",
  "scores past the range of e^x",
  "causal, scores past the range of e^x",
  "one causal token, no clamp",
  "padding",
  "causal padding",
  "one causal token or padding",
  ...[16, 5].flatMap((dim) => [
    `f16, D ${dim}`,
    `causal f16, D ${dim}`,
    `one causal token of f16, D ${dim}`,
    `f16 to f32, D ${dim}`,
    `causal f32 to f16, D ${dim}`,
  ]),
];

export function checkFlow(device: GPUDevice): Promise<CaseChecks> {
  return attempts(device, async (ctx, attempt) => {
    for (const problem of FLOW_CASES.filter(({ name }) => NAMES.includes(name))) {
      await attempt(problem.name, async () => {
        const { error, tolerance } = await checkCase(ctx, problem);
        return beyond(error, tolerance);
      });
    }
  });
}

import { FLOW_CASES } from "../../kernels/flow/cases.js";
import { checkCase } from "../../kernels/flow/check-case.js";
import { AttentionContext } from "../../src/index.js";

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

export async function checkFlow(device: GPUDevice): Promise<{ passed: number; failures: string[] }> {
  const ctx = await AttentionContext.create(device);
  ctx.fillScratch(Number.NaN);
  const failures: string[] = [];
  let passed = 0;
  for (const problem of FLOW_CASES.filter(({ name }) => NAMES.includes(name))) {
    try {
      const { error, tolerance } = await checkCase(ctx, problem);
      if (error <= tolerance) passed++;
      else failures.push(`${problem.name}: ${error} of ${tolerance}`);
    } catch (error) {
      failures.push(`${problem.name}: ${error}`);
    }
  }
  ctx.destroy();
  return { passed, failures };
}

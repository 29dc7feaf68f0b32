import { AGENT_CASES } from "../../kernels/agent/cases.js";
import { checkCase } from "../../kernels/agent/check-case.js";
import { AttentionContext } from "../../src/index.js";
import type { CaseChecks } from "./linear-checks.js";

/** Each term, each storage, odd widths: most of a check's second is LLVM compiling it. */
const NAMES = [
  "head dim 15",
  "one query, one agent, one key",
  "many keys",
  "49 agents",
  "large scores",
  "hiding biases",
  "shortcut",
  "class token and values of a smaller grid",
  "everything",
  "pooled to more than there is",
  "stripes",
  "f16",
  "f16, odd sizes",
  "f32 to f16",
  "f16 image",
  "f16 image, odd sizes, pooled",
];

export async function checkAgent(device: GPUDevice): Promise<CaseChecks> {
  const ctx = await AttentionContext.create(device);
  ctx.fillScratch(Number.NaN);
  const failures: string[] = [];
  let passed = 0;
  for (const problem of AGENT_CASES.filter(({ name }) => NAMES.includes(name))) {
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

import { AGENT_CASES } from "../../kernels/agent/cases.js";
import { checkCase } from "../../kernels/agent/check-case.js";
import { attempts, beyond, type CaseChecks } from "./attempts.js";

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

export function checkAgent(device: GPUDevice): Promise<CaseChecks> {
  return attempts(device, async (ctx, attempt) => {
    for (const problem of AGENT_CASES.filter(({ name }) => NAMES.includes(name))) {
      await attempt(problem.name, async () => {
        const { error, tolerance } = await checkCase(ctx, problem);
        return beyond(error, tolerance);
      });
    }
  });
}

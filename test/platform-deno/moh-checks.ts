import { MIXTURE_CASES } from "../../kernels/moh/cases.js";
import { checkCase } from "../../kernels/moh/check-case.js";
import { attempts, type CaseChecks } from "./attempts.js";

/** Each router, each form of the projection, each storage: most of a check's seconds is LLVM compiling it. */
const NAMES = [
  "two shared, two of six",
  "no shared heads",
  "one shared head alone",
  "all routed heads taken",
  "heads too many to sort by",
  "grouped heads",
  "D 3, Dv 5, C 7",
  "norm router, grouped heads",
  "norm router, no shared heads, odd D",
  "one token of each batch, a cache in part",
  "a few tokens, odd sizes",
  "[in, out] matrices",
  ...[16, 5].flatMap((dim) => [`f16, D ${dim}`, `f16 to f32, D ${dim}, norm router`, `f32 to f16, D ${dim}`]),
];

export function checkMoh(device: GPUDevice): Promise<CaseChecks> {
  return attempts(device, async (ctx, attempt) => {
    for (const problem of MIXTURE_CASES.filter(({ name }) => NAMES.includes(name))) {
      await attempt(problem.name, async () => {
        const { out, gates, loss, wrongHeads, tolerance } = await checkCase(ctx, problem);
        const right = wrongHeads === 0 && Math.max(out, gates, loss) <= tolerance;
        return right ? undefined : `${out}, ${gates}, ${loss} of ${tolerance}, ${wrongHeads} wrong heads`;
      });
    }
  });
}

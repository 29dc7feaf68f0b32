import { MIXTURE_CASES } from "../../kernels/moh/cases.js";
import { checkCase } from "../../kernels/moh/check-case.js";
import { AttentionContext } from "../../src/index.js";
import type { CaseChecks } from "./linear-checks.js";

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

export async function checkMoh(device: GPUDevice): Promise<CaseChecks> {
  const ctx = await AttentionContext.create(device);
  ctx.fillScratch(Number.NaN);
  const failures: string[] = [];
  let passed = 0;
  for (const problem of MIXTURE_CASES.filter(({ name }) => NAMES.includes(name))) {
    try {
      const { out, gates, loss, wrongHeads, tolerance } = await checkCase(ctx, problem);
      if (wrongHeads === 0 && Math.max(out, gates, loss) <= tolerance) passed++;
      else
        failures.push(
          `${problem.name}: ${out}, ${gates}, ${loss} of ${tolerance}, ${wrongHeads} wrong heads`,
        );
    } catch (error) {
      failures.push(`${problem.name}: ${error}`);
    }
  }
  ctx.destroy();
  return { passed, failures };
}

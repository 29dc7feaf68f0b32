import { spawnSync } from "node:child_process";
import { join } from "node:path";

const FILES = ["kernels/softmax/softmax.gpu", "kernels/softmax/tuning.gpu", "kernels/softmax/plan.test"];

/** Conformance cases that between them notice every fault, over all kernels, and take seconds. */
const CASES = [
  "causal 65",
  "causal window 16",
  "grouped",
  "right padding",
  "decode with paddings",
  "every key masked",
  "causal with more queries",
  "key mask",
  "long decode",
  "Dv wider",
  "sinks",
  "head dim 64",
  "ALiBi",
  "bias",
  "softcap",
  "rope, ",
  "block mask",
  "query offset 5",
  'causal "end"',
  "all options",
];
const OTHERS = [
  "cuts what would take too long over rows",
  "drops a candidate that the driver gets wrong",
  "finds out a candidate that writes nothing",
];
const NAMES = [
  `(agrees with the float64 reference|change nothing|agree too) '?(strips: '?)?(${CASES.join("|")})`,
  ...OTHERS,
].join("|");

/** A run takes some ten seconds on an idle machine, many times that on a busy one; a fault may keep a loop from ending. */
const TIMEOUT_MS = 300_000;

/** Runs the chosen tests in a copy of the sources, up to the first that fails. */
export function runTests(root: string, folder: string): "passed" | "failed" | "hung" {
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const projects = ["--project", "unit", "--project", "node-gpu"];
  const run = spawnSync(
    process.execPath,
    [vitest, "run", ...projects, "--bail", "1", ...FILES, "-t", NAMES],
    {
      cwd: folder,
      encoding: "utf8",
      timeout: TIMEOUT_MS,
      env: { ...process.env, NO_COLOR: "1" },
    },
  );
  const { code } = (run.error ?? {}) as NodeJS.ErrnoException;
  if (code === "ETIMEDOUT") return "hung";
  if (run.error) throw run.error;
  const counted = /Tests .*\d+ (?:passed|failed)/.test(run.stdout);
  if (!counted) throw new Error(`no test ran:\n${run.stdout}\n${run.stderr}`);
  return run.status === 0 ? "passed" : "failed";
}

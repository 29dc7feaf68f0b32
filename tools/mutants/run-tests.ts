import { spawnSync } from "node:child_process";
import { join } from "node:path";

const FILES = [
  "softmax.gpu",
  "tuning.gpu",
  "plan.test",
  "mods.gpu",
  "block-mask.gpu",
  "query-rows.gpu",
  "packed.gpu",
].map((name) => `kernels/softmax/${name}`);

/**
 * Parts of full names, few enough to take seconds: each of these tests is the only one of them that notices some fault, found by
 * running many under every fault. Names are quoted in the output of tests whose title holds a case's.
 */
const TESTS = [
  "the float64 reference 'block mask, tiled",
  "the float64 reference 'decode with paddings",
  "the float64 reference 'key mask over two words",
  'the float64 reference \'causal "end" aligned to lengths',
  "in workgroup memory change nothing 'softcap, tiled",
  "without workgroup memory agree too 'causal window 16",
  "without workgroup memory agree too 'ALiBi, tiled",
  "without workgroup memory agree too 'bias, tiled', without subgroups",
  "without workgroup memory agree too 'query offset 5', without subgroups",
  "without workgroup memory agree too 'options with bit 1 = 1, tiled",
  "without workgroup memory agree too strips: 'sinks, split",
  "without workgroup memory agree too strips: 'rope, split",
  "sizes of split decode agree too 'all options, split",
  "cuts what would take too long over rows",
  "drops a candidate that the driver gets wrong",
  "finds out a candidate that writes nothing",
  "with a block mask the table's kernel: of each head and batch entry",
  "with a block mask tiled: causal",
  "createBlockMask of batch entries and heads",
  "computed: the table's kernel, causal, batches, grouped heads",
  "packed sequences: more keys, an empty sequence, rows behind the last, causal true",
  "tiled score mod: soft cap",
  "tiled mask mod: of one name for two things",
  "strips mask mod: documents",
  "a score mod gets a score that has every other term, 45 rows",
];

/** A run takes some ten seconds on an idle machine, many times that on a busy one; a fault may keep a loop from ending. */
const TIMEOUT_MS = 300_000;

/** Runs the chosen tests in a copy of the sources, up to the first that fails. */
export function runTests(root: string, folder: string): "passed" | "failed" | "hung" {
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const projects = ["--project", "unit", "--project", "node-gpu"];
  const run = spawnSync(
    process.execPath,
    [vitest, "run", ...projects, "--bail", "1", ...FILES, "-t", TESTS.join("|")],
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
  const counted = /Tests .*?(\d+) (?:passed|failed)/.exec(run.stdout);
  if (!counted) throw new Error(`no test ran:\n${run.stdout}\n${run.stderr}`);
  if (run.status !== 0) return "failed";
  if (Number(counted[1]) < TESTS.length)
    throw new Error(`only ${counted[1]} of ${TESTS.length} tests are there; look for their names again`);
  return "passed";
}

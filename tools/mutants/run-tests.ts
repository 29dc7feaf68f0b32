import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** The part of the tests that some faults have to be noticed by. */
export interface Suite {
  readonly files: readonly string[];
  /** Parts of full names, few enough to take seconds. Names are quoted in the output of tests whose title holds a case's. */
  readonly tests: readonly string[];
}

const SOFTMAX_FILES = [
  "softmax.gpu",
  "tuning.gpu",
  "plan.test",
  "mods.gpu",
  "block-mask.gpu",
  "query-rows.gpu",
  "packed.gpu",
].map((name) => `kernels/softmax/${name}`);

/** Each of these tests is the only one of them that notices some fault, found by running many under every fault. */
const SOFTMAX_TESTS = [
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

export const SOFTMAX: Suite = { files: SOFTMAX_FILES, tests: SOFTMAX_TESTS };

const AROUND = "kernels/_calibration";

export const CALIBRATION: Suite = {
  files: [
    `${AROUND}/mix/cut-walk.gpu`,
    `${AROUND}/shift/shift.gpu`,
    `${AROUND}/shift/given-sinks.gpu`,
    `${AROUND}/statistics/statistics.gpu`,
    `${AROUND}/statistics/ties.gpu`,
    `${AROUND}/gaze/gaze.gpu`,
    "src/hooks/intervention/mix.gpu",
    "src/hooks/intervention/shift.gpu",
  ],
  tests: [
    "find the same best keys and numbers of keys",
    "operations on heads agree with the float64 reference plain",
    "where a score mod hides keys",
    "reference does: 'protected keys'",
    "reference does: 'hidden states'",
    "reference does: 'redistribution'",
    "in parts: one query$",
    "in parts: sink logits",
    "in parts: some heads without sinks",
    "sinks of a plan with room for 64 keys",
    "statistics agree with the float64 reference 'head dim 5'",
    "statistics agree with the float64 reference 'causal",
    "sums that meet of few rows and many keys",
    "comes first when all are equal$",
    "say what of the image matters",
    "change the last row, alpha = 5",
  ],
};

/** A run takes some ten seconds on an idle machine, many times that on a busy one; a fault may keep a loop from ending. */
const TIMEOUT_MS = 300_000;

/** Runs the chosen tests in a copy of the sources, up to the first that fails. */
export function runTests(
  root: string,
  folder: string,
  { files, tests }: Suite,
): "passed" | "failed" | "hung" {
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const projects = ["--project", "unit", "--project", "node-gpu"];
  const run = spawnSync(
    process.execPath,
    [vitest, "run", ...projects, "--bail", "1", ...files, "-t", tests.join("|")],
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
  if (Number(counted[1]) < tests.length)
    throw new Error(`only ${counted[1]} of ${tests.length} tests are there; look for their names again`);
  return "passed";
}

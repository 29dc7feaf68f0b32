import { describe, expect, test } from "vitest";
import { minimumCapabilities } from "../../../test/support/capabilities.js";
import { testContext } from "../../../test/support/gpu.js";
import { checkStatisticsCase, type StatisticsRun } from "../../../test/support/statistics-run.js";
import { SOFTMAX_CASES, type SoftmaxCase } from "../../softmax/cases.js";
import type { StatisticsRequest } from "./options.js";

const TOLERANCE = 1e-5;
/** Sums of squares of differences, whose square root is taken. */
const TOLERANCE_DIVERSITY = 5e-5;

/** Everything at once, with sizes that divide nothing. */
function everything({ tokensQ, tokensK }: SoftmaxCase): StatisticsRequest {
  return {
    receivedSum: true,
    receivedMean: true,
    receivedMax: true,
    receivedCount: true,
    futureInfluence: { low: 2, high: 9, from: 1 },
    mass: [{ range: [1, 7] }, { keys: [0, tokensK - 1, 3] }],
    entropy: true,
    squares: true,
    distance: true,
    windowedDistance: 6,
    argmax: true,
    topKeys: 5,
    diagonals: [0, 1, 3],
    map: { rows: Math.min(3, tokensQ), columns: Math.min(7, tokensK) },
    headDiversity: true,
  };
}

async function check(run: Partial<StatisticsRun> & Pick<StatisticsRun, "problem">): Promise<void> {
  const statistics = run.statistics ?? everything(run.problem);
  const errors = await checkStatisticsCase(await testContext(), { ...run, statistics });
  for (const [name, error] of Object.entries(errors))
    expect(error, name).toBeLessThanOrEqual(name === "headDiversity" ? TOLERANCE_DIVERSITY : TOLERANCE);
}

const named = (...names: string[]) =>
  names.map((name) => {
    const found = SOFTMAX_CASES.find((problem) => problem.name === name);
    if (!found) throw new Error(`no case "${name}"`);
    return found;
  });

const withOptions = SOFTMAX_CASES.filter(
  ({ name, batches }) => batches === 2 && /, (tiled|split)$/.test(name),
);

describe("statistics agree with the float64 reference", () => {
  // In these every two options meet.
  const joined = withOptions.filter(({ name }) => /(bit|all).*, tiled$/.test(name));
  test.each([...named("sinks, split", "rope, tiled"), ...joined])("$name", (problem) => check({ problem }));

  test.each(
    named(
      "head dim 5",
      "decode head dim 80",
      "head dim 256",
      "one key",
      'causal "end", tiled',
      "starts past lengths see nothing",
    ),
  )("$name", (problem) => check({ problem }));

  // Of rows that are no whole words, and of aligned ones.
  test.each(
    named(
      "f16 f16, head dim 15",
      "f16 f16, decode, head dim 15",
      "f32 f16, head dim 15",
      "f16 f16, head dim 64",
      "f16 f32, head dim 40",
    ),
  )("$name", (problem) => check({ problem }));
});

describe("unrolled, as a processor is given it, they agree too", () => {
  const chosen = named("causal, tiled", "both windows, split", "head dim 64");
  test.each(chosen)("$name", (problem) => check({ problem, unroll: true }));
});

describe("workgroups of many threads agree too", () => {
  const gpu = minimumCapabilities();
  test.each(named("causal, tiled", "broadcast bias, tiled", "options with bit 0 = 1, tiled"))(
    "$name",
    (problem) => check({ problem, capabilities: gpu }),
  );

  test.each(named("head dim 64"))("$name, on a processor without subgroups", (problem) =>
    check({ problem, capabilities: { ...gpu, software: true } }),
  );
});

describe("statistics of patterns that mixes have changed", () => {
  test.each(named("causal, tiled", "bias, split", "key mask, tiled"))("$name", (problem) =>
    check({ problem, rowTerms: true }),
  );
});

describe("averages over heads", () => {
  const headGroups = [[0, 2], [3]];
  test.each(named("causal, tiled", "lengths, split"))("$name", (problem) => {
    const { argmax: _argmax, topKeys: _topKeys, ...statistics } = everything(problem);
    return check({ problem, statistics, headGroups });
  });
});

describe("sums that meet", () => {
  const [base] = named("causal, tiled");
  const long = { ...base!, tokensQ: 200, tokensK: 300, heads: 2, kvHeads: 1, batches: 1 };

  test("of many tiles and parts", () => check({ problem: long }));

  test("of few rows and many keys", () => check({ problem: { ...long, tokensQ: 2, tokensK: 900 } }));

  test("of maps in full resolution", () => {
    const problem = { ...long, tokensQ: 37, tokensK: 45 };
    return check({ problem, statistics: { map: { rows: 37, columns: 45 }, receivedMean: true } });
  });
});

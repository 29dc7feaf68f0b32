/** Random problems, requests and devices against whole maps in float64. */
import fc from "fast-check";
import { expect } from "vitest";
import type { StatisticsRequest } from "../../kernels/_calibration/statistics/options.js";
import type { SoftmaxCase } from "../../kernels/softmax/cases.js";
import { minimumCapabilities } from "../support/capabilities.js";
import { checkStatisticsCase, type StatisticsRun } from "../support/statistics-run.js";
import { fuzz } from "./fuzz.js";
import { fuzzCase } from "./softmax-arbitrary.js";

/** Numbers for sizes that are known only later: dependent draws would shrink badly. */
const share = fc.integer({ min: 0, max: 99 });

const requests = fc.record(
  {
    receivedSum: fc.constant(true),
    receivedMean: fc.constant(true),
    receivedMax: fc.constant(true),
    receivedCount: fc.constant(true),
    entropy: fc.constant(true),
    squares: fc.constant(true),
    distance: fc.constant(true),
    argmax: fc.constant(true),
    headDiversity: fc.constant(true),
    futureInfluence: fc.tuple(share, share, share),
    mass: fc.array(fc.tuple(share, share), { minLength: 1, maxLength: 3 }),
    windowedDistance: fc.integer({ min: 1, max: 20 }),
    topKeys: fc.integer({ min: 1, max: 9 }),
    diagonals: fc.array(fc.integer({ min: -3, max: 9 }), { minLength: 1, maxLength: 4 }),
    map: fc.tuple(share, share),
  },
  { requiredKeys: ["entropy"] },
);

const fuzzed = fc.record({
  fuzzed: fuzzCase,
  biasHides: fc.boolean(),
  mods: fc.option(fc.constantFrom("score" as const, "mask"), { nil: undefined }),
  grouped: fc.boolean(),
  request: requests,
  rowTerms: fc.boolean(),
  device: fc.constantFrom("own", "gpu", "processor"),
  seed: fc.nat(1000),
});

function requestOf(
  { futureInfluence, mass, map, ...plain }: typeof requests extends fc.Arbitrary<infer R> ? R : never,
  { tokensQ, tokensK }: SoftmaxCase,
): StatisticsRequest {
  const of = (share: number, count: number) => Math.floor((share / 100) * count);
  return {
    ...plain,
    ...(futureInfluence && {
      futureInfluence: {
        low: of(futureInfluence[0], 20),
        high: of(futureInfluence[0], 20) + of(futureInfluence[1], 50),
        from: of(futureInfluence[2], tokensK),
      },
    }),
    ...(mass && {
      mass: mass.map(([a, b]) => ({ range: [of(a, tokensK), of(a, tokensK) + of(b, tokensK)] as const })),
    }),
    ...(map && { map: { rows: 1 + of(map[0], tokensQ), columns: 1 + of(map[1], tokensK) } }),
  };
}

const MODS: Readonly<Record<"score" | "mask", NonNullable<StatisticsRun["mods"]>>> = {
  // Hides keys too.
  score: [
    { scoreMod: { wgsl: "return select(score * 0.5 + f32(j % 3u), -3e38, (i + j) % 7u == 1u);" } },
    { scoreMod: (score, _b, _h, i, j) => ((i + j) % 7 === 1 ? -Infinity : score * 0.5 + (j % 3)) },
  ],
  mask: [
    { maskMod: { wgsl: "return (i + 2u * j + h) % 5u != 2u;" } },
    { maskMod: (_b, h, i, j) => (i + 2 * j + h) % 5 !== 2 },
  ],
};

/** The first heads, and the last one again; not with keys of rows, which cannot be averaged. */
function groupsOf(heads: number, { argmax: _, topKeys: _top, ...statistics }: StatisticsRequest) {
  const most = Math.ceil(heads / 2);
  return { statistics, headGroups: [Array.from({ length: most }, (_x, head) => head), [heads - 1]] };
}

fuzz("statistics agree with the reference", fuzzed, { runs: 10, secondsPerRun: 8 }, async (ctx, given) => {
  const { fuzzed, request, rowTerms, device, seed, biasHides, mods, grouped } = given;
  const { problem, placements, buffers } = fuzzed;
  const capabilities =
    device === "own" ? ctx.capabilities : { ...minimumCapabilities(), software: device === "processor" };
  const statistics = requestOf(request, problem);
  const errors = await checkStatisticsCase(ctx, {
    ...(grouped ? groupsOf(problem.heads, statistics) : { statistics }),
    ...(mods && { mods: MODS[mods] }),
    ...{ problem, rowTerms, seed, capabilities, biasHides, placements, buffers },
  });
  for (const [name, error] of Object.entries(errors))
    expect(error, name).toBeLessThanOrEqual(name === "headDiversity" ? 5e-5 : 1e-5);
});

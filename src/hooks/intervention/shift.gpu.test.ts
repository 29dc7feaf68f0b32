import { describe, expect, it } from "vitest";
import { testContext } from "../../../test/support/gpu.js";
import { type InterventionRun, runIntervention } from "../../../test/support/intervention-run.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import type { HeadOperation, ShiftOperation } from "../operations.js";
import { attentionCalibration, visualRedistribution } from "../sink-calibration/shift-operations.js";
import { planIntervenedAttention } from "./intervened-attention.js";

const softPag = (u: number): HeadOperation => ({ kind: "mix", target: "identity", u });
const gain: HeadOperation = { kind: "gain", output: 0.75 };
const calibration = attentionCalibration({ theta: 0.09 });
const given: ShiftOperation = { ...attentionCalibration(), sinks: { keys: [2, 5] } };
const image = visualRedistribution({
  image: [3, 11],
  sinks: { hidden: { dims: [1, 4], tau: 2.4 } },
  rho: 0.3,
});

/** Each on a head of its own. */
const ON_HEADS: readonly (readonly [string, readonly HeadOperation[]])[] = [
  ["received", [calibration]],
  ["received, after SoftPAG", [softPag(0.3), calibration]],
  [
    "received, after mixes",
    [
      { kind: "mix", target: "uniform", u: 0.3 },
      gain,
      { kind: "mix", target: "argmax", u: 0.2 },
      calibration,
    ],
  ],
  ["received, after a curve", [{ kind: "mix", target: "identity", u: 0.3, path: "slerp" }, calibration]],
  ["received, then SoftPAG", [{ kind: "scale", logits: 1.5 }, calibration, softPag(0.4), gain]],
  ["received, then others", [calibration, { kind: "mix", target: "meanQuery", u: 0.2 }]],
  ["given keys", [given]],
  ["given keys, after SoftPAG", [softPag(0.3), given]],
  ["hidden states", [image]],
  ["no shift", [softPag(0.3), { kind: "mix", target: "identity", u: 0.3, path: "fisherRao" }]],
  ["a shift that keeps everything", [{ ...calibration, keep: 1 }]],
  ["nothing", []],
];

const hidden = {
  shape: [1, 20, 1, 8] as const,
  data: normalArray(20 * 8, randomSource(2)).map((x, n) => (n === 6 * 8 + 4 || n === 14 * 8 + 1 ? 30 : x)),
};

async function check(names: readonly string[], run: InterventionRun): Promise<void> {
  const { heads, outTolerance, lse } = await runIntervention(await testContext(), run);
  const wrong = heads.flatMap((error, h) => (error <= outTolerance ? [] : [`${names[h]}: ${error}`]));
  expect(wrong).toEqual([]);
  expect(lse).toBeLessThanOrEqual(1e-5);
}

describe("shifts among other operations agree with the float64 reference", () => {
  const PROBLEMS: [string, Omit<InterventionRun, "operations">][] = [
    ["plain", { tokensQ: 20 }],
    ["causal", { tokensQ: 20, kvHeads: 4, options: { causal: true } }],
    [
      "a window and sink logits",
      { tokensQ: 20, options: { window: { left: 7 }, sinkLogits: ON_HEADS.map((_, h) => h / 9) } },
    ],
    ["f16", { tokensQ: 20, dtype: "f16", options: { causal: true } }],
  ];
  it.each(PROBLEMS)("%s", async (_, problem) => {
    const operations = new Map(ON_HEADS.map(([, listed], head) => [head, listed] as const));
    await check(
      ON_HEADS.map(([name]) => name),
      { ...problem, heads: ON_HEADS.length, headDim: 8, spread: 2, hidden, operations, seed: 4 },
    );
  });

  it("with sinks that are known before, heads without a shift among them", async () => {
    const listed: readonly (readonly [string, readonly HeadOperation[]])[] = [
      ["hidden states", [image]],
      ["SoftPAG", [softPag(0.5)]],
      ["nothing", []],
    ];
    await check(
      listed.map(([name]) => name),
      {
        ...{ tokensQ: 20, heads: 3, headDim: 8, spread: 2, hidden, options: { causal: true } },
        operations: new Map(listed.map(([, operations], head) => [head, operations] as const)),
      },
    );
  });
});

describe("shifts after other operations agree with the float64 reference", () => {
  const tokens = 20;
  const uniform = (u: number): HeadOperation => ({ kind: "mix", target: "uniform", u });
  const most = { ...given, sinks: { keys: Array.from({ length: 18 }, (_, key) => key) } } as const;
  const chains: readonly (readonly [string, readonly HeadOperation[]])[] = [
    ["equal weights", [uniform(1), given]],
    ["a share of equal weights", [uniform(0.3), gain, given]],
    ["a gain below 0", [{ kind: "gain", output: -1.25 }, given]],
    ["weights of both signs", [{ kind: "gain", output: -1.25 }, uniform(0.3), given]],
    ["a large gain, and sinks with nearly everything", [{ kind: "gain", output: 100 }, most]],
  ];
  const closed = (hides: (i: number, j: number) => boolean) => ({
    shape: [1, tokens, 1, tokens] as const,
    data: Float32Array.from({ length: tokens * tokens }, (_, n) =>
      hides(Math.floor(n / tokens), n % tokens) ? Number.NEGATIVE_INFINITY : 0,
    ),
  });
  const problem = {
    ...{ tokensQ: tokens, heads: chains.length, headDim: 8, spread: 2, seed: 4 },
    operations: new Map(chains.map(([, listed], head) => [head, listed] as const)),
  };
  const names = chains.map(([name]) => name);

  // Causality and a hidden sink, by scores alone.
  it.each(["f32", "f16"] as const)("where a bias hides keys, %s", async (dtype) => {
    await check(names, { ...problem, dtype, bias: closed((i, j) => j > i || (j === 5 && i % 2 === 0)) });
  });

  it("where a score mod hides keys", async () => {
    const scoreMod = { wgsl: "return select(score, -3e38, (i + j) % 3u == 1u);" };
    const reference = { bias: closed((i, j) => (i + j) % 3 === 1) };
    await check(names, { ...problem, options: { scoreMod }, reference });
  });
});

describe("shifts that change nothing", () => {
  it.each<[string, ShiftOperation]>([
    ["no sinks", { ...calibration, sinks: { received: "abs", theta: 1 } }],
    ["no keys", { ...calibration, sinks: { keys: [] } }],
    ["all kept", { ...given, keep: 1 }],
  ])("leave every bit: %s", async (_, operation) => {
    const ctx = await testContext();
    const run = { tokensQ: 20, heads: 2, options: { causal: true } };
    const plain = await runIntervention(ctx, run);
    const { written } = await runIntervention(ctx, { ...run, operations: new Map([[1, operation]]) });
    expect(written).toEqual(plain.written);
  });

  it("and plans tell where the sinks of the last run are", async () => {
    const ctx = await testContext();
    const layout = { dtype: "f32", shape: [1, 20, 2, 8] } as const;
    const problem = { q: layout, k: layout, v: layout, causal: true };
    const plan = await planIntervenedAttention(ctx, { ...problem, heads: new Map([[1, calibration]]) });
    expect(plan.sinks?.keys).toBe(20);
    plan.destroy();
    const none = await planIntervenedAttention(ctx, problem);
    expect(none.sinks).toBeUndefined();
    expect(none.passes).toHaveLength(1);
    none.destroy();
  });
});

import { describe, expect, it } from "vitest";
import { testContext } from "../../../test/support/gpu.js";
import { type InterventionRun, runIntervention } from "../../../test/support/intervention-run.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import type { HeadOperation, MixPath } from "../operations.js";
import type { HeadOperations } from "./head-operations.js";

const towards = (
  target: Extract<HeadOperation, { kind: "mix" }>["target"],
  u: number,
  path?: MixPath,
): HeadOperation => ({ kind: "mix", target, u, ...(path && { path }) });

const OPERATIONS: [string, HeadOperation][] = [
  ["identity", towards("identity", 0.3)],
  ["identity, whole", towards("identity", 1)],
  ["uniform", towards("uniform", 0.6)],
  ["mean query", towards("meanQuery", 0.7)],
  ["arg-max", towards("argmax", 0.4)],
  ["zero", towards("zero", 0.2)],
  ["Fisher-Rao", towards("identity", 0.4, "fisherRao")],
  ["slerp", towards("identity", 0.4, "slerp")],
  ["log-linear", towards("identity", 0.35, "logLinear")],
  ["log-linear, whole", towards("identity", 1, "logLinear")],
  ["gain", { kind: "gain", output: -1.5 }],
  ["scale", { kind: "scale", logits: 1.7 }],
  ["scale below 0", { kind: "scale", logits: -0.5 }],
];

/** One operation after another on a head. */
const CHAINS: [string, readonly HeadOperation[]][] = [
  ["two straight mixes", [towards("identity", 0.3), towards("uniform", 0.5)]],
  [
    "a curve after mixes",
    [towards("uniform", 0.4), towards("argmax", 0.2), towards("identity", 0.5, "slerp")],
  ],
  ["a curve after the mean query", [towards("meanQuery", 0.5), towards("identity", 0.4, "fisherRao")]],
  ["two curves", [towards("identity", 0.2, "slerp"), towards("identity", 0.3, "fisherRao")]],
  [
    "a curve after a log-linear path",
    [towards("identity", 0.3, "logLinear"), towards("identity", 0.4, "slerp")],
  ],
  [
    "everything",
    [
      { kind: "scale", logits: 1.3 },
      towards("identity", 0.3, "logLinear"),
      towards("meanQuery", 0.2),
      towards("uniform", 0.25),
      { kind: "gain", output: 0.8 },
      towards("identity", 0.3, "fisherRao"),
      towards("argmax", 0.1),
      towards("zero", 0.1),
    ],
  ],
];

/** Each on a head of its own, and a head that is left alone: one plan for all, since compiling takes longer than anything else. */
const ON_HEADS: readonly (readonly [string, readonly HeadOperation[]])[] = [
  ["nothing", []],
  ...OPERATIONS.map(([name, operation]) => [name, [operation]] as const),
  // Last what uses all memory between passes to its end.
  ...CHAINS,
];
const HEADS = ON_HEADS.length;

async function check(run: InterventionRun, names: readonly string[]): Promise<void> {
  const { heads, outTolerance, lse } = await runIntervention(await testContext(), run);
  const wrong = heads.flatMap((error, h) => (error <= outTolerance ? [] : [`${names[h]}: ${error}`]));
  expect(wrong).toEqual([]);
  expect(lse).toBeLessThanOrEqual(1e-5);
}

const random = randomSource(3);
const biasOf = (shape: readonly [number, number, number, number], hidden = false) => ({
  shape,
  data: normalArray(
    shape.reduce((a, b) => a * b),
    random,
  ).map((x) => (hidden && x > 1 ? Number.NEGATIVE_INFINITY : x)),
});

const SLOPES = Array.from({ length: HEADS }, (_, h) => 0.5 / (1 + h));

/** Every kind of visibility and score. */
const PROBLEMS: [string, Omit<InterventionRun, "operations" | "heads">][] = [
  ["plain", { tokensQ: 21, batches: 2, kvHeads: HEADS / 2, valueDim: 12 }],
  ["causal", { tokensQ: 31, kvHeads: HEADS / 4, options: { causal: true } }],
  ["causal, a chunk at the end", { tokensQ: 5, tokensK: 40, options: { causal: true } }],
  ["queries past the keys", { tokensQ: 12, tokensK: 9, options: { causal: true, queryOffset: 2 } }],
  ["a window", { tokensQ: 30, options: { causal: true, window: { left: 6 } } }],
  ["a window on both sides", { tokensQ: 30, options: { window: { left: 3, right: 4 } } }],
  [
    "padding on both sides",
    {
      ...{ tokensQ: 20, batches: 2 },
      options: { causal: true, keyStarts: [0, 4], keyLengths: [17, 20], queryOffset: "end" },
    },
  ],
  [
    "a key mask",
    {
      tokensQ: 17,
      tokensK: 40,
      options: { keyMask: Array.from({ length: 40 }, (_, j) => (j % 3 === 1 ? 0 : 1)) },
    },
  ],
  ["nothing to see", { tokensQ: 10, batches: 2, options: { keyLengths: [0, 10] } }],
  ["a bias that hides", { tokensQ: 18, bias: biasOf([1, 18, HEADS, 18], true) }],
  ["a bias of keys", { tokensQ: 18, bias: biasOf([1, 1, HEADS, 18]) }],
  ["sink logits", { tokensQ: 19, options: { causal: true, sinkLogits: normalArray(HEADS, random) } }],
  ["odd widths", { tokensQ: 23, headDim: 7, valueDim: 5, options: { causal: true } }],
  [
    "odd widths, one row of heads that share keys",
    { tokensQ: 1, tokensK: 9, kvHeads: 1, headDim: 7, valueDim: 5 },
  ],
  ["f16", { tokensQ: 29, dtype: "f16", options: { causal: true } }],
  ["f16 of odd width", { tokensQ: 11, headDim: 5, valueDim: 3, dtype: "f16" }],
  ["f16 queries and outputs", { tokensQ: 12, dtype: "f16", kvDtype: "f32" }],
  [
    "mods",
    {
      tokensQ: 24,
      options: {
        scoreMod: {
          wgsl: "return score + 0.25 * f32(j % 3u) - slope * f32(i);",
          constants: { slope: 0.0625 },
        },
        maskMod: { wgsl: "return (i + j) % 5u != 2u;" },
      },
      reference: {
        bias: {
          shape: [1, 24, 1, 24],
          data: Array.from({ length: 24 * 24 }, (_, n) => {
            const [i, j] = [Math.floor(n / 24), n % 24];
            return (i + j) % 5 === 2 ? Number.NEGATIVE_INFINITY : 0.25 * (j % 3) - 0.0625 * i;
          }),
        },
      },
    },
  ],
  [
    "soft cap, ALiBi and rotary embedding",
    {
      ...{ tokensQ: 13, tokensK: 17, batches: 2, kvHeads: HEADS / 2 },
      options: { causal: true, softcap: 2, alibiSlopes: SLOPES, rope: { dim: 6, theta: 50 } },
    },
  ],
  [
    "rotary embedding of pairs side by side, neither causal nor whole",
    { tokensQ: 12, options: { rope: { interleaved: true, theta: 20 }, window: { right: 5 } } },
  ],
  [
    "strides, offsets and options in buffers",
    {
      ...{ tokensQ: 12, tokensK: 15, batches: 2, kvHeads: HEADS / 2, headDim: 6, valueDim: 5, buffers: true },
      placements: {
        q: { order: [0, 2, 1, 3], padding: [0, 1, 0, 2], offset: 3 },
        k: { order: [2, 1, 0, 3], padding: [1, 0, 0, 1], offset: 0 },
        v: { order: [1, 0, 2, 3], padding: [0, 0, 2, 0], offset: 5 },
        out: { order: [2, 0, 1, 3], padding: [0, 0, 1, 3], offset: 2 },
        lse: { order: [0, 1, 2, 3], padding: [0, 2, 1, 0], offset: 7 },
      },
      options: {
        ...{ causal: true, queryOffset: "end", keyStarts: [0, 2], keyLengths: [15, 13] },
        keyMask: Array.from({ length: 30 }, (_, n) => (n % 4 === 2 ? 0 : 1)),
        sinkLogits: normalArray(HEADS, random),
      },
    },
  ],
];

describe("operations on heads agree with the float64 reference", () => {
  it.each(PROBLEMS)("%s", async (_, problem) => {
    const operations: HeadOperations = new Map(ON_HEADS.map(([, listed], head) => [head, listed]));
    await check(
      { headDim: 8, ...problem, heads: HEADS, operations },
      ON_HEADS.map(([name]) => name),
    );
  });

  it("in each batch entry its own", async () => {
    const [first, second] = [new Map(), new Map()];
    for (const [n, [, operation]] of OPERATIONS.entries()) (n % 2 ? first : second).set(n, operation);
    const run = { tokensQ: 26, batches: 2, heads: OPERATIONS.length, headDim: 8, options: { causal: true } };
    await check(
      { ...run, operations: [first, second] },
      OPERATIONS.map(([name]) => name),
    );
  });

  it("biases of scores, of rows that are asked for", async () => {
    const keys = (seed: number) => normalArray(22, randomSource(seed));
    const listed: [string, readonly HeadOperation[]][] = [
      ["all rows", [{ kind: "bias", keys: keys(1), rows: "all" }]],
      ["the last row", [{ kind: "bias", keys: keys(2), rows: "last" }]],
      ["rows from a position on", [{ kind: "bias", keys: keys(3), rows: { from: 9 } }]],
      [
        "several, and a scale between them",
        [
          { kind: "bias", keys: keys(4), rows: { from: 11 } },
          { kind: "scale", logits: 1.4 },
          { kind: "bias", keys: keys(5), rows: "all" },
          towards("identity", 0.3, "slerp"),
        ],
      ],
    ];
    const operations: HeadOperations = new Map(listed.map(([, chain], head) => [head, chain]));
    const run = { tokensQ: 16, tokensK: 22, heads: 5, headDim: 8, options: { causal: true }, operations };
    await check(run, [...listed.map(([name]) => name), "nothing"]);
  });
});

describe("what changes nothing", () => {
  const nothing: [string, HeadOperation][] = [
    ...(["identity", "uniform", "meanQuery", "argmax", "zero"] as const).map(
      (target): [string, HeadOperation] => [target, towards(target, 0)],
    ),
    ...(["fisherRao", "slerp", "logLinear"] as const).map((path): [string, HeadOperation] => [
      path,
      towards("identity", 0, path),
    ]),
    ["scale", { kind: "scale", logits: 1 }],
    ["gain", { kind: "gain", output: 1 }],
    ["bias", { kind: "bias", keys: new Float32Array(20), rows: "all" }],
  ];
  const run = { tokensQ: 20, heads: 2, options: { causal: true } };

  it.each(nothing)("leaves every bit: %s", async (_, operation) => {
    const ctx = await testContext();
    const plain = await runIntervention(ctx, run);
    const { written } = await runIntervention(ctx, { ...run, operations: new Map([[0, operation]]) });
    expect(written).toEqual(plain.written);
    expect(written.every(Number.isFinite)).toBe(true);
  });

  it.each(OPERATIONS)("leaves other heads and batch entries, bit by bit: %s", async (_, operation) => {
    const ctx = await testContext();
    const more = { ...run, batches: 2 };
    const plain = await runIntervention(ctx, more);
    const operations = [new Map(), new Map([[1, operation]])];
    const { written } = await runIntervention(ctx, { ...more, operations });
    const others = (values: Float32Array) =>
      values.filter((_x, n) => n < 640 || Math.floor(n / 16) % 2 === 0);
    expect(others(written)).toEqual(others(plain.written));
    expect(written.every(Number.isFinite)).toBe(true);
    expect(written).not.toEqual(plain.written);
  });
});

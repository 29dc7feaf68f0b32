import { describe, expect, it, test } from "vitest";
import { testContext } from "../../../test/support/gpu.js";
import { runShift, type ShiftCase } from "../../../test/support/shift-run.js";
import type { SoftmaxCase } from "../../softmax/cases.js";
import type { KeyShift } from "./types.js";

const base: Omit<SoftmaxCase, "name"> = {
  batches: 1,
  tokensQ: 37,
  tokensK: 37,
  heads: 2,
  kvHeads: 2,
  headDim: 16,
  valueDim: 16,
  dtype: "f32",
  kvDtype: "f32",
  options: { causal: true },
};
const softmax = (changes: Partial<typeof base> = {}): SoftmaxCase => ({ ...base, ...changes, name: "shift" });

const calibration: KeyShift = {
  sinks: { received: "perKeys", alpha: 1.4 },
  keep: 0.4,
  recipients: "nonsinks",
};
const given = (keys: readonly number[], change: Partial<KeyShift> = {}): KeyShift => ({
  sinks: { keys },
  keep: 0.4,
  recipients: "nonsinks",
  ...change,
});
const image = { range: [5, 22] } as const;
const redistribution: KeyShift = given([0, 8, 15], {
  recipients: image,
  rows: { from: 22 },
  gate: { mass: [image, 0.2], ratio: [image, image, 0.6] },
});
const all = (shift: KeyShift, heads = 2) => new Map(Array.from({ length: heads }, (_, h) => [h, shift]));

const CASES: readonly ShiftCase[] = [
  { name: "calibration, causal", problem: softmax(), heads: all(calibration) },
  {
    name: "an absolute threshold",
    problem: softmax(),
    heads: all({ ...calibration, sinks: { received: "abs", theta: 0.06 } }),
  },
  {
    name: "no key is protected",
    problem: softmax(),
    heads: all({ ...calibration, sinks: { received: "abs", theta: 0.05 }, protect: [] }),
  },
  { name: "sinks with nearly everything", problem: softmax(), heads: all(given([0, 3])), popular: [3] },
  { name: "sinks are all that some rows see", problem: softmax(), heads: all(given([0, 1, 2, 3, 4, 9])) },
  {
    name: "every key is a sink",
    problem: softmax(),
    heads: all(given(Array.from({ length: 37 }, (_, key) => key))),
  },
  {
    name: "one head of three, the others alone",
    problem: softmax({ heads: 3, kvHeads: 3 }),
    heads: new Map([[1, given([4, 9])]]),
  },
  {
    name: "another shift for each batch entry",
    problem: softmax({ batches: 3 }),
    heads: [
      new Map([[0, given([2])]]),
      new Map(),
      new Map([
        [1, calibration],
        [0, redistribution],
      ]),
    ],
  },
  { name: "grouped heads", problem: softmax({ heads: 6, kvHeads: 2 }), heads: all(calibration, 6) },
  { name: "protected keys", problem: softmax(), heads: all(given([2, 4, 7], { protect: [4, 30] })) },
  {
    name: "recipients by a list",
    problem: softmax(),
    heads: all(given([2, 9], { recipients: { keys: [3, 9, 1, 20, 99] } })),
  },
  { name: "the last row", problem: softmax(), heads: all(given([2, 9], { rows: "last" })) },
  { name: "redistribution", problem: softmax(), heads: all(redistribution) },
  {
    name: "redistribution by the authors' portion",
    problem: softmax(),
    heads: all({ ...redistribution, keep: 0.6, gate: { mass: [image, 0.2], portion: [image, 0.15] } }),
  },
  {
    name: "no sink in the portion's keys",
    problem: softmax(),
    heads: all(given([1, 30], { recipients: image, gate: { portion: [image, 0.9] } })),
  },
  {
    name: "a gate, and all other keys receive",
    problem: softmax(),
    heads: all(given([2, 9], { gate: { mass: [{ range: [0, 6] }, 0.3] } })),
  },
  {
    name: "hidden states",
    problem: softmax({ batches: 2 }),
    heads: new Map([
      [0, given([], { sinks: { hidden: { dims: [3, 1], tau: 5 } } })],
      [1, { ...redistribution, sinks: { hidden: { dims: [2], tau: 1.9 } } }],
    ]),
    hidden: { channels: 48, huge: [3, 17] },
  },
  {
    name: "hidden states of f16 and an odd width",
    problem: softmax(),
    heads: all(given([], { sinks: { hidden: { dims: [1], tau: 5 } } })),
    hidden: { channels: 45, huge: [3, 17], dtype: "f16" },
  },
  { name: "f16", problem: softmax({ dtype: "f16", kvDtype: "f16" }), heads: all(calibration) },
  {
    name: "f16, odd sizes",
    problem: softmax({ dtype: "f16", kvDtype: "f16", headDim: 5, valueDim: 7 }),
    heads: all(given([2, 9])),
  },
  { name: "odd sizes", problem: softmax({ headDim: 5, valueDim: 7 }), heads: all(redistribution) },
  { name: "wide heads", problem: softmax({ headDim: 130, valueDim: 200 }), heads: all(given([2, 9, 11])) },
  { name: "one query", problem: softmax({ tokensQ: 1 }), heads: all(given([2, 9])) },
  {
    name: "cross attention",
    problem: softmax({ tokensQ: 20, tokensK: 50, options: {} }),
    heads: all(calibration),
  },
  {
    name: "more than a word of keys",
    problem: softmax({ tokensQ: 9, tokensK: 2200 }),
    heads: all(given([2, 70, 2100, 2199])),
  },
  {
    name: "both paddings",
    problem: softmax({
      batches: 3,
      options: { causal: true, keyStarts: [3, 0, 0], keyLengths: [37, 20, 0], queryOffset: "end" },
    }),
    heads: all(calibration),
  },
  {
    name: "a key mask",
    problem: softmax({ batches: 2, options: { keyMask: "random" } }),
    heads: all(calibration),
  },
  {
    name: "windows, ALiBi, bias, soft cap",
    problem: softmax({
      options: {
        window: { left: 12, right: 3 },
        alibiSlopes: true,
        bias: [false, true, true, true],
        softcap: 3,
        scale: 0.4,
      },
    }),
    heads: all(calibration),
  },
  {
    name: "rotary embedding, bias and key mask",
    problem: softmax({
      options: { causal: true, rope: { dim: 12 }, bias: [true, false, true, true], keyMask: "random" },
    }),
    heads: new Map([
      [0, calibration],
      [1, redistribution],
    ]),
  },
  {
    name: "sink logits",
    problem: softmax({ options: { causal: true, sinkLogits: true } }),
    heads: all(calibration),
  },
  {
    name: "mods of the application's",
    problem: softmax(),
    heads: new Map([
      [0, calibration],
      [1, redistribution],
    ]),
    mods: [
      {
        scoreMod: { wgsl: "return score * 1.5 + f32(j % 3u);" },
        maskMod: { wgsl: "return (i + j) % 5u != 0u || j == i;" },
      },
      {
        scoreMod: (score, _b, _h, _i, j) => score * 1.5 + (j % 3),
        maskMod: (_b, _h, i, j) => (i + j) % 5 !== 0 || i === j,
      },
    ],
  },
];

test.each(CASES)("shifts weight as the float64 reference does: $name", async (given) => {
  const { out, tolerance, shifted, changed } = await runShift(await testContext(), given);
  expect(out).toBeLessThanOrEqual(tolerance);
  if (given.name !== "no sink in the portion's keys" && given.name !== "every key is a sink")
    expect(shifted).toBeGreaterThan(0);
  expect(changed).toBeLessThanOrEqual(shifted);
});

const known = CASES.filter(({ heads }) =>
  [heads].flat().every((map) => [...map.values()].every(({ sinks }) => !("received" in sinks))),
);

describe("attention and shift in one plan", () => {
  test.each(known)("$name", async (given) => {
    const { out, tolerance, changedWithoutSinks } = await runShift(await testContext(), given, "within");
    expect(out).toBeLessThanOrEqual(tolerance);
    expect(changedWithoutSinks).toBe(0);
  });

  const parts: readonly [string, Partial<ShiftCase> & Pick<ShiftCase, "heads">][] = [
    [
      "some heads without sinks",
      {
        heads: new Map([
          [0, redistribution],
          [1, { ...redistribution, protect: [0, 8, 15] }],
        ]),
      },
    ],
    [
      "another range for each batch entry",
      {
        problem: softmax({
          batches: 3,
          options: { causal: true, keyStarts: [0, 4, 0], keyLengths: [37, 30, 12] },
        }),
        heads: [
          new Map([[0, redistribution]]),
          new Map([
            [0, redistribution],
            [1, redistribution],
          ]),
          new Map([[1, given([1, 8], { recipients: { range: [0, 11] }, rows: "all" })]]),
        ],
      },
    ],
    [
      "sink logits",
      { problem: softmax({ options: { causal: true, sinkLogits: true } }), heads: all(redistribution) },
    ],
    ["one query", { problem: softmax({ tokensQ: 1 }), heads: all(redistribution) }],
    [
      "one query with a sink logit",
      { problem: softmax({ tokensQ: 1, options: { sinkLogits: true } }), heads: all(redistribution) },
    ],
    ["f16", { problem: softmax({ dtype: "f16", kvDtype: "f16" }), heads: all(redistribution) }],
    [
      "f16, odd sizes",
      {
        problem: softmax({ dtype: "f16", kvDtype: "f16", headDim: 5, valueDim: 7 }),
        heads: all(redistribution),
      },
    ],
    [
      "recipients that sinks have most of",
      {
        problem: softmax(),
        heads: all(given([8], { recipients: image })),
        popular: [8],
      },
    ],
    [
      "no causality, grouped heads",
      {
        problem: softmax({ heads: 6, kvHeads: 2, options: {} }),
        heads: all(redistribution, 6),
      },
    ],
    [
      "a mask that hides all keys of a batch entry",
      {
        problem: softmax({ batches: 2, options: { keyMask: "none" } }),
        heads: all(redistribution),
      },
    ],
    [
      "recipients that are hidden, beside a sink that is not",
      {
        problem: softmax({ batches: 2, options: { causal: true, keyStarts: [22, 0], keyLengths: [37, 37] } }),
        heads: all(given([8, 30], { recipients: image })),
      },
    ],
  ];
  test.each(parts)("in parts: %s", async (name, change) => {
    const run = { name, problem: softmax(), ...change };
    const errors = await runShift(await testContext(), run, "within");
    expect(errors.out).toBeLessThanOrEqual(errors.tolerance);
    expect(errors.changedWithoutSinks).toBe(0);
    expect(errors.shifted).toBeGreaterThan(0);
    // A few queries attend to all keys and to the recipients instead.
    expect(errors.merged).toBe(run.problem.tokensQ > 8);
  });
});

describe("nothing changes, bit by bit,", () => {
  it.each<[string, Partial<ShiftCase> & Pick<ShiftCase, "heads">]>([
    ["without shifts", { heads: new Map() }],
    ["where sinks keep everything", { heads: all(given([2, 9], { keep: 1 })) }],
    ["without sinks", { heads: all(given([])) }],
    [
      "where no key is popular enough",
      { heads: all({ ...calibration, sinks: { received: "abs", theta: 1 } }) },
    ],
    ["where all sinks are protected", { heads: all(given([2, 9], { protect: [9, 2] })) }],
    ["where nobody may receive", { heads: all(given([2, 9], { recipients: { keys: [2, 9] } })) }],
    [
      "where no row passes the gate",
      { heads: all(given([2, 9], { gate: { mass: [{ range: [0, 37] }, 1.5] } })) },
    ],
    ["in rows before the first", { heads: all(given([2, 9], { rows: { from: 37 } })) }],
  ])("%s", async (name, change) => {
    const { changed } = await runShift(await testContext(), { name, problem: softmax(), ...change });
    expect(changed).toBe(0);
  });
});

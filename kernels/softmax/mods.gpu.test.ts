import { describe, expect, test } from "vitest";
import { expectSoftmax } from "../../test/support/expect-softmax.js";
import { testContext } from "../../test/support/gpu.js";
import { registerConfiguration, sharedConfiguration } from "../../test/support/softmax-configurations.js";
import { type SoftmaxRun, wordBuffer } from "../../test/support/softmax-run.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import {
  causalMask,
  createBlockMask,
  documentMask,
  type MaskMod,
  softmaxAttention,
  taylorMod,
} from "./index.js";
import { HEADS, KEYS, MASK_MODS, SCORE_MODS } from "./mod-cases.js";

type Mask = NonNullable<NonNullable<SoftmaxRun["reference"]>["maskMod"]>;

const base = { batches: 2, tokensQ: 45, tokensK: KEYS, heads: HEADS, kvHeads: 2 } as const;
const sizes = { ...base, headDim: 16, valueDim: 16 };
const position = (i: number, run: { tokensQ: number; tokensK: number }) => i + run.tokensK - run.tokensQ;

const KERNELS: Record<
  string,
  { tokensQ: number; configuration: (subgroups: boolean) => SoftmaxConfiguration }
> = {
  tiled: { tokensQ: 45, configuration: () => sharedConfiguration(sizes) },
  rows: {
    tokensQ: 45,
    configuration: (subgroups) =>
      registerConfiguration(sizes, { ...CAPABILITIES!, subgroups }, { rows: 3, columns: 3 }),
  },
  split: {
    tokensQ: 3,
    configuration: () => ({ kernel: "split", threads: 16, keysPerSplit: 20, f16: false }),
  },
  strips: {
    tokensQ: 3,
    configuration: (subgroups) =>
      registerConfiguration(
        { ...sizes, tokensQ: 3 },
        { ...CAPABILITIES!, subgroups },
        { columns: 3, keysPerSplit: 20 },
      ),
  },
};
let CAPABILITIES: Awaited<ReturnType<typeof testContext>>["capabilities"] | undefined;

describe.each(Object.keys(KERNELS))("%s", (kernel) => {
  const { tokensQ, configuration } = KERNELS[kernel]!;
  const run = { ...base, tokensQ };

  test.each(Object.keys(SCORE_MODS))("score mod: %s", async (name) => {
    const ctx = await testContext();
    CAPABILITIES = ctx.capabilities;
    const [scoreMod, meaning] = SCORE_MODS[name]!;
    await expectSoftmax(ctx, {
      ...run,
      options: { scoreMod },
      reference: { scoreMod: (s, b, h, i, j) => meaning(position(i, run), s, b, h, i, j) },
      configuration: configuration(ctx.capabilities.subgroups),
    });
  });

  test.each(Object.keys(MASK_MODS))("mask mod: %s", async (name) => {
    const ctx = await testContext();
    CAPABILITIES = ctx.capabilities;
    const [maskMod, meaning] = MASK_MODS[name]!;
    await expectSoftmax(ctx, {
      ...run,
      options: { maskMod },
      reference: { maskMod: (b, h, i, j) => meaning(position(i, run), b, h, i, j) },
      configuration: configuration(ctx.capabilities.subgroups),
    });
  });
});

test.each([45, 3])("a score mod gets a score that has every other term, %i rows", async (tokensQ) => {
  const ctx = await testContext();
  const options = {
    softcap: 1,
    alibiSlopes: [0.5, 0.25, 0.1, 0],
    window: { left: 20 },
    sinkLogits: [1, 0, 2, -1],
  };
  await expectSoftmax(ctx, {
    ...base,
    tokensQ,
    options: { ...options, scoreMod: { wgsl: "return 2.0 * score;" } },
    reference: { ...options, scoreMod: (s) => 2 * s },
  });
});

test.each([
  ["around -1, where weights are least", { softcap: 1, scale: 10 }],
  ["on both sides of where squares are left out", { scale: 1e9 }],
  ["whose squares overflow", { scale: 1e20 }],
])("Taylor weights of scores %s", async (_name, options) => {
  const ctx = await testContext();
  const [scoreMod, meaning] = SCORE_MODS.Taylor!;
  await expectSoftmax(ctx, {
    ...base,
    options: { ...options, scoreMod },
    reference: { ...options, scoreMod: (s, b, h, i, j) => meaning(0, s, b, h, i, j) },
  });
});

test("scores that hide a pair do so before Taylor weights as well", async () => {
  const ctx = await testContext();
  const { out } = await softmaxAttention(
    ctx,
    ctx.fromArray([1], [1, 1, 1, 1]),
    ctx.fromArray([1, -1], [1, 2, 1, 1]),
    ctx.fromArray([3, 5], [1, 2, 1, 1]),
    {
      scale: 2e38,
      scoreMod: taylorMod(),
    },
  );
  expect([...(await ctx.read(out))]).toEqual([3]);
});

describe("with a block mask", () => {
  const large = { batches: 2, tokensQ: 150, tokensK: 150, heads: HEADS, kvHeads: 2 } as const;
  const long = Array.from({ length: 150 }, (_, t) => (t < 40 ? 1 : t < 100 ? 2 : 5));
  const cases: Record<string, [MaskMod, Mask, readonly [number, number]]> = {
    causal: [causalMask(), (_b, _h, i, j) => j <= i, [1, 1]],
    documents: [documentMask(long, 150), (_b, _h, i, j) => long[i] === long[j], [1, 1]],
    "of each head and batch entry": [
      { wgsl: "return (i + j + h * 40u) / 50u % 2u == b;" },
      (b, h, i, j) => Math.floor((i + j + h * 40) / 50) % 2 === b,
      [2, HEADS],
    ],
    "that hides everything from some": [
      { wgsl: "return (i >= 64u) & (j < 20u);" },
      (_b, _h, i, j) => i >= 64 && j < 20,
      [1, 1],
    ],
  };
  const kernels: Record<string, (subgroups: boolean) => SoftmaxConfiguration | undefined> = {
    "the table's kernel": () => undefined,
    tiled: () => ({ kernel: "tiled", groups: 8, lanes: 4, rows: 4, keys: 4, staged: false, f16: false }),
    staged: () => ({ kernel: "tiled", groups: 8, lanes: 8, rows: 2, keys: 4, staged: true, f16: false }),
  };

  test.each(
    Object.keys(kernels).flatMap((kernel) => Object.keys(cases).map((name) => [kernel, name] as const)),
  )("%s: %s", async (kernel, name) => {
    const ctx = await testContext();
    const [maskMod, meaning, [batches, heads]] = cases[name]!;
    const blockMask = await createBlockMask(ctx, maskMod, {
      shape: [batches, heads, 150, 150],
      blockQ: 32,
      blockK: 32,
    });
    const configuration = kernels[kernel]!(ctx.capabilities.subgroups);
    await expectSoftmax(ctx, {
      ...large,
      options: { maskMod, blockMask, ...(name === "causal" && { window: { left: 70 } }) },
      reference: { maskMod: meaning, ...(name === "causal" && { window: { left: 70 } }) },
      ...(configuration && { configuration }),
    });
    blockMask.buffer.destroy();
  });
});

test("a buffer that a mod reads may change between runs of one plan", async () => {
  const ctx = await testContext();
  const data = wordBuffer(ctx, [1]);
  const maskMod = {
    wgsl: "return (j + count[0]) % 2u == 0u;",
    bindings: { count: { type: "array<u32>", data } },
  };
  const run = { tokensQ: 20, tokensK: 20, options: { maskMod } };
  await expectSoftmax(ctx, { ...run, reference: { maskMod: (_b, _h, _i, j) => j % 2 === 1 } });
  ctx.device.queue.writeBuffer(data, 0, new Uint32Array([2]));
  await expectSoftmax(ctx, { ...run, reference: { maskMod: (_b, _h, _i, j) => j % 2 === 0 } });
  data.destroy();
});

describe("names of the application's meet no others", () => {
  const layout = { tokensQ: 40, tokensK: 40 };

  test("in a binding, a constant and functions called like the kernel's own and WGSL's", async () => {
    const ctx = await testContext();
    const scoreMod = {
      wgsl: "return max(score, q[j % 3u]) + f32(target) + exp(score) * 0.0;",
      functions:
        "fn max(x: f32, y: f32) -> f32 { return x + y; }\nfn exp(x: f32) -> f32 { return row_q(); }\nfn row_q() -> f32 { return 9.0; }",
      constants: { target: 1 },
      bindings: { q: { type: "array<f32>", data: [1, 2, 3] } },
    };
    await expectSoftmax(ctx, {
      ...layout,
      options: { scoreMod },
      reference: { scoreMod: (s, _b, _h, _i, j) => s + (j % 3) + 2 },
    });
  });

  test("in two masks with functions of one name over data of one name", async () => {
    const ctx = await testContext();
    const same = (data: number[]): MaskMod => ({
      wgsl: "return at(i) == at(j);",
      functions: "/* of /* all */ tokens */ fn at(n: u32) -> u32 { return ids[n] / part; }",
      constants: { part: 1 },
      bindings: { ids: { type: "array<u32>", data } },
    });
    const [first, second] = [
      Array.from({ length: 40 }, (_, t) => t >> 3),
      Array.from({ length: 40 }, (_, t) => t % 7),
    ];
    await expectSoftmax(ctx, {
      ...layout,
      options: { maskMod: { or: [same(first), same(second)] } },
      reference: { maskMod: (_b, _h, i, j) => first[i] === first[j] || second[i] === second[j] },
    });
  });

  test("in loops over constants that kernels unroll by", async () => {
    const ctx = await testContext();
    const scoreMod = {
      wgsl: "var sum = score;\nfor (var n = 0u; n < ROWS; n++) {\n  if (n == 1u) { continue; }\n  sum += f32(n * (j % 2u));\n}\nreturn sum;",
      constants: { ROWS: 3 },
    };
    await expectSoftmax(ctx, {
      ...layout,
      options: { scoreMod },
      reference: { scoreMod: (s, _b, _h, _i, j) => s + 2 * (j % 2) },
    });
  });
});

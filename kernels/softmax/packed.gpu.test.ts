import { describe, expect, test } from "vitest";
import { expectSoftmax } from "../../test/support/expect-softmax.js";
import { testContext } from "../../test/support/gpu.js";
import { registerConfiguration } from "../../test/support/softmax-configurations.js";
import { type SoftmaxRun, wordBuffer } from "../../test/support/softmax-run.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { neighborhoodMask, planSoftmaxAttention, prefixLmMask } from "./index.js";

/** Sequences as a mask over the packed tensors, with the positions that each has by itself. */
function asMask(queries: readonly number[], keys: readonly number[], run: Partial<SoftmaxRun["reference"]>) {
  const sequenceOf = (offsets: readonly number[], at: number) =>
    offsets.findIndex((_, s) => at < offsets[s + 1]!);
  const { causal, window } = run ?? {};
  return (_b: number, _h: number, i: number, j: number): boolean => {
    const s = sequenceOf(queries, i);
    if (s < 0 || s !== sequenceOf(keys, j)) return false;
    const position = i - queries[s + 1]! + keys[s + 1]!;
    return (!causal || j <= position) && (window?.left === undefined || j >= position - window.left);
  };
}

const LENGTHS: Record<string, readonly [readonly number[], readonly number[]]> = {
  "as many queries as keys": [
    [0, 5, 6, 40, 73],
    [0, 5, 6, 40, 73],
  ],
  "more keys, an empty sequence, rows behind the last": [
    [0, 3, 3, 20, 61],
    [0, 30, 41, 60, 110],
  ],
  "one sequence": [
    [0, 70],
    [0, 90],
  ],
  "sequences of one token": [
    Array.from({ length: 18 }, (_, n) => n),
    Array.from({ length: 18 }, (_, n) => 4 * n),
  ],
};
const TOTAL = [73, 110] as const;

const KERNELS: Record<string, (subgroups: boolean) => SoftmaxConfiguration | undefined> = {
  "the table's kernel": () => undefined,
  tiled: () => ({ kernel: "tiled", groups: 4, lanes: 8, rows: 4, keys: 2, staged: false, f16: false }),
  staged: () => ({ kernel: "tiled", groups: 8, lanes: 4, rows: 2, keys: 4, staged: true, f16: false }),
};

describe.each(Object.keys(KERNELS))("%s", (kernel) => {
  test.each(Object.keys(LENGTHS).flatMap((name) => [true, false].map((causal) => [name, causal] as const)))(
    "packed sequences: %s, causal %s",
    async (name, causal) => {
      const ctx = await testContext();
      const [queryOffsets, keyOffsets] = LENGTHS[name]!;
      const configuration = KERNELS[kernel]!(ctx.capabilities.subgroups);
      const end = queryOffsets.at(-1)!;
      await expectSoftmax(ctx, {
        tokensQ: TOTAL[0],
        tokensK: TOTAL[1],
        heads: 4,
        kvHeads: 2,
        options: { queryOffsets, keyOffsets, causal },
        reference: { maskMod: asMask(queryOffsets, keyOffsets, { causal }) },
        untouched: (_b, _h, i) => i >= end,
        ...(configuration && { configuration }),
      });
    },
  );
});

test("offsets in buffers may change between runs", async () => {
  const ctx = await testContext();
  const [queries, keys] = [wordBuffer(ctx, [0, 9, 50]), wordBuffer(ctx, [0, 9, 50])];
  const run = {
    tokensQ: 50,
    tokensK: 50,
    options: { queryOffsets: queries, keyOffsets: keys, causal: true },
  };
  await expectSoftmax(ctx, {
    ...run,
    reference: { maskMod: asMask([0, 9, 50], [0, 9, 50], { causal: true }) },
  });
  ctx.device.queue.writeBuffer(queries, 0, new Uint32Array([0, 31, 50]));
  ctx.device.queue.writeBuffer(keys, 0, new Uint32Array([0, 31, 50]));
  await expectSoftmax(ctx, {
    ...run,
    reference: { maskMod: asMask([0, 31, 50], [0, 31, 50], { causal: true }) },
  });
  queries.destroy();
  keys.destroy();
});

test("windows, key mask and mods count in each sequence", async () => {
  const ctx = await testContext();
  const offsets = [0, 20, 33, 60];
  const keyMask = Array.from({ length: 60 }, (_, j) => Number(j % 4 !== 1));
  const inside = asMask(offsets, offsets, { causal: true, window: { left: 7 } });
  const configuration = registerConfiguration(
    { batches: 1, tokensQ: 60, tokensK: 60, heads: 2, kvHeads: 2, headDim: 16, valueDim: 16 },
    { ...ctx.capabilities, subgroups: false },
    { rows: 3 },
  );
  await expectSoftmax(ctx, {
    tokensQ: 60,
    tokensK: 60,
    options: {
      queryOffsets: offsets,
      keyOffsets: offsets,
      causal: true,
      window: { left: 7 },
      keyMask,
      scoreMod: { wgsl: "return score + f32(b) * f32(query_position(b, i) - i32(j));" },
    },
    reference: {
      maskMod: (b, h, i, j) => inside(b, h, i, j) && keyMask[j] === 1,
      scoreMod: (s, _b, _h, i, j) => s + offsets.findIndex((_, n) => i < offsets[n + 1]!) * (i - j),
    },
    configuration,
  });
});

test("named mods count from the begin of each sequence", async () => {
  const ctx = await testContext();
  const offsets = [0, 24, 48];
  const image = { height: 4, width: 6, kernel: 3 };
  const sequence = (i: number) => (i < 24 ? 0 : 24);
  const near = (i: number, j: number) => {
    const [p, k] = [i - sequence(i), j - sequence(i)];
    const top = Math.max(0, Math.min(Math.floor(p / 6) - 1, 1));
    const left = Math.max(0, Math.min((p % 6) - 1, 3));
    return Math.floor(k / 6) >= top && Math.floor(k / 6) < top + 3 && k % 6 >= left && k % 6 < left + 3;
  };
  const options = { queryOffsets: offsets, keyOffsets: offsets };
  const own = (i: number, j: number) => sequence(i) === sequence(j);
  await expectSoftmax(ctx, {
    tokensQ: 48,
    tokensK: 48,
    options: { ...options, maskMod: neighborhoodMask(image) },
    reference: { maskMod: (_b, _h, i, j) => own(i, j) && near(i, j) },
  });
  await expectSoftmax(ctx, {
    tokensQ: 48,
    tokensK: 48,
    options: { ...options, maskMod: prefixLmMask([5, 9]) },
    reference: { maskMod: (_b, _h, i, j) => own(i, j) && (j <= i || j - sequence(i) < (i < 24 ? 5 : 9)) },
  });
});

test.each([
  [
    "one kind of offsets only",
    { queryOffsets: [0, 20] },
    "shape",
    /keyOffsets: expected offsets of queries and of keys/,
  ],
  [
    "another number of sequences",
    { queryOffsets: [0, 20], keyOffsets: [0, 5, 20] },
    "shape",
    /keyOffsets: expected 2 offsets/,
  ],
  ["offsets that descend", { queryOffsets: [0, 9, 5], keyOffsets: [0, 9, 20] }, "shape", /queryOffsets\[2\]/],
  ["offsets past the end", { queryOffsets: [0, 21], keyOffsets: [0, 20] }, "shape", /queryOffsets\[1\]/],
  [
    "a first offset that is not 0",
    { queryOffsets: [1, 20], keyOffsets: [0, 20] },
    "shape",
    /queryOffsets\[0\]: expected 0/,
  ],
  [
    "lengths beside them",
    { queryOffsets: [0, 20], keyOffsets: [0, 20], keyLengths: [3] },
    "unsupported",
    /keyLengths with queryOffsets/,
  ],
  [
    "an offset of positions",
    { queryOffsets: [0, 20], keyOffsets: [0, 20], queryOffset: 3 },
    "unsupported",
    /queryOffset with/,
  ],
] as const)("refuses %s", async (_, options, code, message) => {
  const ctx = await testContext();
  const layout = { dtype: "f32", shape: [1, 20, 2, 16] } as const;
  const planned = planSoftmaxAttention(ctx, { q: layout, k: layout, v: layout, ...options });
  await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test("refuses more than one batch entry", async () => {
  const ctx = await testContext();
  const layout = { dtype: "f32", shape: [2, 20, 2, 16] } as const;
  const planned = planSoftmaxAttention(ctx, {
    q: layout,
    k: layout,
    v: layout,
    queryOffsets: [0, 20],
    keyOffsets: [0, 20],
  });
  await expect(planned).rejects.toMatchObject({ code: "shape" });
});

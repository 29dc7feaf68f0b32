import { describe, expect, test } from "vitest";
import { expectSoftmax } from "../../test/support/expect-softmax.js";
import { testContext } from "../../test/support/gpu.js";
import { randomSource } from "../../test/support/random.js";
import { wordBuffer } from "../../test/support/softmax-run.js";
import { type BlockMask, createBlockMask, planSoftmaxAttention, readBlockMask } from "./index.js";

/** What the lists should say, one pair at a time. */
function bruteForce(
  [batches, heads, tokensQ, tokensK]: readonly number[],
  [blockQ, blockK]: readonly number[],
  mask: (b: number, h: number, i: number, j: number) => boolean,
): Uint8Array {
  const [rows, columns] = [Math.ceil(tokensQ! / blockQ!), Math.ceil(tokensK! / blockK!)];
  return Uint8Array.from({ length: batches! * heads! * rows * columns }, (_, n) => {
    const [firstKey, firstRow] = [(n % columns) * blockK!, (Math.floor(n / columns) % rows) * blockQ!];
    const head = Math.floor(n / (columns * rows)) % heads!;
    const batch = Math.floor(n / (columns * rows * heads!));
    let [seen, hidden] = [false, false];
    for (let i = firstRow; i < Math.min(firstRow + blockQ!, tokensQ!); i++) {
      for (let j = firstKey; j < Math.min(firstKey + blockK!, tokensK!); j++) {
        if (mask(batch, head, i, j)) seen = true;
        else hidden = true;
      }
    }
    return seen ? (hidden ? 1 : 2) : 0;
  });
}

describe("createBlockMask", () => {
  test.each([
    [
      "causal, more keys than queries",
      [1, 1, 70, 200],
      [32, 16],
      "return i32(j) <= query_position(b, i);",
      (_b: number, _h: number, i: number, j: number) => j <= i + 130,
    ],
    [
      "of batch entries and heads",
      [2, 3, 100, 90],
      [32, 32],
      "return (i / 40u + j / 30u + h + b) % 3u == 0u;",
      (b: number, h: number, i: number, j: number) =>
        (Math.floor(i / 40) + Math.floor(j / 30) + h + b) % 3 === 0,
    ],
    ["nothing", [1, 2, 40, 40], [64, 64], "return false;", () => false],
    ["everything, ragged", [1, 1, 65, 65], [64, 64], "return true;", () => true],
    [
      "one pair of the last block",
      [1, 1, 65, 130],
      [64, 64],
      "return (i == 64u) & (j == 129u);",
      (_b: number, _h: number, i: number, j: number) => i === 64 && j === 129,
    ],
  ] as const)("%s", async (_, shape, [blockQ, blockK], wgsl, mask) => {
    const ctx = await testContext();
    const made = await createBlockMask(ctx, { wgsl }, { shape, blockQ, blockK });
    const states = bruteForce(shape, [blockQ, blockK], mask);
    expect(await readBlockMask(ctx, made)).toEqual(states);
    const rows = Math.ceil(shape[2] / blockQ);
    const columns = Math.ceil(shape[3] / blockK);
    const counts = Array.from({ length: shape[0] * shape[1] * rows }, (_, row) =>
      states.subarray(row * columns, (row + 1) * columns).reduce((sum, state) => sum + Number(state > 0), 0),
    );
    expect([...made.counts]).toEqual(counts);
    expect(made.density).toBeCloseTo(counts.reduce((a, b) => a + b, 0) / states.length, 12);
    expect(made.buffer.size).toBe(4 * Math.max(2 * counts.length + counts.reduce((a, b) => a + b, 0), 1));
    made.buffer.destroy();
  });

  test.each([
    ["a shape of three numbers", { shape: [1, 2, 3] }, "shape", /\[B, Hq, Tq, Tk\]/],
    [
      "blocks that no tile divides",
      { shape: [1, 1, 64, 64], blockQ: 48 },
      "shape",
      /blockQ: expected a multiple of 32/,
    ],
    [
      "blocks of too many pairs",
      { shape: [1, 1, 8192, 8192], blockQ: 8192, blockK: 8192 },
      "shape",
      /blockQ \* blockK/,
    ],
    ["an unknown option", { shape: [1, 1, 64, 64], block: 3 }, "unsupported", /block/],
    ["more than a buffer holds", { shape: [1, 1, 2 ** 24, 2 ** 24] }, "limit", /states of all blocks/],
  ])("refuses %s", async (_, options, code, message) => {
    const ctx = await testContext();
    const made = createBlockMask(ctx, { wgsl: "return true;" }, options as never);
    await expect(made).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("refuses no mask, and to read none", async () => {
    const ctx = await testContext();
    const made = createBlockMask(ctx, undefined as never, { shape: [1, 1, 64, 64] });
    await expect(made).rejects.toMatchObject({ code: "shape" });
    await expect(readBlockMask(ctx, undefined as never)).rejects.toMatchObject({ code: "shape" });
  });

  test("names the line of a mask that does not compile", async () => {
    const ctx = await testContext();
    const made = createBlockMask(ctx, { wgsl: "let a = 1;\nreturn a;" }, { shape: [1, 1, 64, 64] });
    await expect(made).rejects.toMatchObject({
      code: "compile",
      message: expect.stringMatching(/^maskMod\.wgsl, line [12],/),
    });
  });
});

describe("a block mask of the application's", () => {
  const shape = [2, 4, 130, 170] as const;
  /** Blocks by chance; the first row of blocks of head 0 has none. Rows of the list lie apart, with room behind each. */
  function randomList(seed: number) {
    const random = randomSource(seed);
    const [rows, columns] = [Math.ceil(shape[2] / 64), Math.ceil(shape[3] / 16)];
    const total = shape[0] * shape[1] * rows;
    const header: number[] = [];
    const entries: number[] = [];
    const listed = new Set<number>();
    for (let row = 0; row < total; row++) {
      const own = Array.from({ length: columns }, (_, c) => c).filter(
        () => random() < 0.4 && row % (shape[1] * rows) !== 0,
      );
      header.push(2 * total + entries.length, own.length);
      entries.push(...own.map((c) => 2 * c + 1), ...new Array(3).fill(0xffffffff));
      for (const c of own) listed.add(row * columns + c);
    }
    const sees = (b: number, h: number, i: number, j: number) =>
      listed.has(((b * shape[1] + h) * rows + Math.floor(i / 64)) * columns + Math.floor(j / 16));
    return { words: [...header, ...entries], sees };
  }

  test.each([
    ["alone", {}],
    ["with causal, window and sinks", { causal: true, window: { left: 100 }, sinkLogits: [0.5, 1, -1, 2] }],
    ["with lengths", { keyStarts: [5, 21], keyLengths: [150, 100] }],
  ])("is visited block by block: %s", async (_, options) => {
    const ctx = await testContext();
    const { words, sees } = randomList(4);
    const blockMask: BlockMask = { buffer: wordBuffer(ctx, words), shape, blockQ: 64, blockK: 16 };
    await expectSoftmax(ctx, {
      batches: 2,
      tokensQ: 130,
      tokensK: 170,
      heads: 4,
      kvHeads: 2,
      options: { ...options, blockMask },
      reference: { ...options, maskMod: sees },
    });
    blockMask.buffer.destroy();
  });

  test.each([
    [
      "for other lengths",
      { shape: [1, 1, 130, 171] },
      "shape",
      /blockMask\.shape: expected \[1 or 2, 1 or 4, 130, 170\]/,
    ],
    ["for other heads", { shape: [1, 3, 130, 170] }, "shape", /blockMask\.shape/],
    ["with small blocks", { blockK: 8 }, "shape", /blockMask\.blockK: expected a multiple of 16/],
    [
      "in a small buffer",
      { blockQ: 32, shape: [2, 4, 130, 170], buffer: { size: 64, usage: 0x80 } },
      "shape",
      /blockMask\.buffer/,
    ],
    [
      "in a buffer for something else",
      { buffer: { size: 9999, usage: 0x08 } },
      "unsupported",
      /blockMask\.buffer usage/,
    ],
    [
      "for other positions",
      { queryOffset: 3 },
      "shape",
      /blockMask\.queryOffset: expected 40, as in the problem, got 3/,
    ],
    ["with counts of another mask", { counts: [1, 2] }, "shape", /blockMask\.counts/],
    ["that is none", { buffer: undefined }, "shape", /blockMask: expected \{ buffer/],
  ])("is refused %s", async (_, changes, code, message) => {
    const ctx = await testContext();
    const buffer = { size: 9999, usage: 0x80 } as GPUBuffer;
    const blockMask = { buffer, shape: [1, 1, 130, 170], blockQ: 64, blockK: 32, ...changes } as BlockMask;
    const [q, k] = [
      { dtype: "f32", shape: [2, 130, 4, 16] },
      { dtype: "f32", shape: [2, 170, 2, 16] },
    ] as const;
    const planned = planSoftmaxAttention(ctx, { q, k, v: k, blockMask });
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test.each([
    [
      "a kernel that cuts keys",
      { kernel: "split", threads: 64, keysPerSplit: 64, f16: false },
      "unsupported",
    ],
    [
      "a tile larger than a block",
      { kernel: "tiled", groups: 8, lanes: 8, rows: 16, keys: 4, staged: false, f16: false },
      "shape",
    ],
  ] as const)("refuses %s", async (_, configuration, code) => {
    const ctx = await testContext();
    const { words } = randomList(1);
    const blockMask: BlockMask = { buffer: wordBuffer(ctx, words), shape, blockQ: 64, blockK: 16 };
    const q = { dtype: "f32", shape: [2, 130, 4, 16] } as const;
    const k = { dtype: "f32", shape: [2, 170, 2, 16] } as const;
    const planned = planSoftmaxAttention(ctx, { q, k, v: k, blockMask }, { configuration });
    await expect(planned).rejects.toMatchObject({ code });
    blockMask.buffer.destroy();
  });

  test("counts what is visited, where that is known", async () => {
    const ctx = await testContext();
    const layout = { dtype: "f32", shape: [1, 256, 2, 16] } as const;
    const options = { shape: [1, 1, 256, 256] as const };
    const blockMask = await createBlockMask(ctx, { wgsl: "return i / 64u == j / 64u;" }, options);
    const flops = async (given: object) => {
      const plan = await planSoftmaxAttention(ctx, { q: layout, k: layout, v: layout, ...given });
      plan.destroy();
      return plan.cost.flops;
    };
    expect(await flops({ blockMask })).toBe((await flops({})) / 4);
    blockMask.buffer.destroy();
  });
});

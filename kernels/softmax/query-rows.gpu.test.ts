import { expect, test } from "vitest";
import { expectSoftmax } from "../../test/support/expect-softmax.js";
import { testContext } from "../../test/support/gpu.js";
import { randomSource } from "../../test/support/random.js";
import { registerConfiguration, sharedConfiguration } from "../../test/support/softmax-configurations.js";
import { type SoftmaxRun, wordBuffer } from "../../test/support/softmax-run.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { planSoftmaxAttention } from "./index.js";

const sizes = (run: SoftmaxRun) => ({
  batches: 1,
  heads: 2,
  kvHeads: 2,
  headDim: 16,
  valueDim: 16,
  ...run,
});

/** Rows of each head: every row with this chance; head 0 none, head 1 all, the others by chance. */
function randomRows(batches: number, heads: number, tokens: number, chance: number, seed: number) {
  const random = randomSource(seed);
  const listed = Array.from({ length: batches * heads * tokens }, (_, n) => {
    const head = Math.floor(n / tokens) % heads;
    return random() < chance && head !== 0 ? true : head === 1;
  });
  const words = Array.from({ length: batches * heads }, (_, n) => {
    const own = Array.from({ length: tokens }, (_, token) => token).filter((t) => listed[n * tokens + t]);
    return [own.length, ...own, ...new Array(tokens - own.length).fill(0xdeadbeef)];
  }).flat();
  return { words, has: (b: number, h: number, i: number) => listed[(b * heads + h) * tokens + i]! };
}

const RUNS: Record<string, SoftmaxRun> = {
  "a few rows": { tokensQ: 40, tokensK: 40, heads: 3 },
  "causal, batches, grouped heads": {
    batches: 2,
    tokensQ: 70,
    tokensK: 70,
    heads: 4,
    kvHeads: 2,
    options: { causal: true },
    reference: { causal: true },
  },
  "rope and window, more keys": {
    tokensQ: 33,
    tokensK: 90,
    heads: 3,
    options: { rope: {}, window: { left: 9, right: 0 } },
    reference: { rope: {}, window: { left: 9, right: 0 } },
  },
  "one token": {
    tokensQ: 1,
    tokensK: 50,
    heads: 4,
    kvHeads: 2,
    options: { causal: true },
    reference: { causal: true },
  },
  f16: { tokensQ: 50, tokensK: 50, heads: 3, headDim: 20, dtype: "f16" },
};

const KERNELS: Record<string, (run: SoftmaxRun, subgroups: boolean) => SoftmaxConfiguration | undefined> = {
  "the table's kernel": () => undefined,
  tiled: (run) => sharedConfiguration({ ...sizes(run), tokensQ: Math.max(run.tokensQ, 9) }),
};

test.each(Object.keys(KERNELS).flatMap((kernel) => Object.keys(RUNS).map((run) => [kernel, run] as const)))(
  "only listed rows are computed: %s, %s",
  async (kernel, name) => {
    const ctx = await testContext();
    const run = RUNS[name]!;
    const { words, has } = randomRows(run.batches ?? 1, run.heads!, run.tokensQ, 0.4, 3);
    const queryRows = wordBuffer(ctx, words);
    const configuration = KERNELS[kernel]!(run, ctx.capabilities.subgroups);
    await expectSoftmax(ctx, {
      ...run,
      options: { ...run.options, queryRows },
      untouched: (b, h, i) => !has(b, h, i),
      ...(configuration && { configuration }),
    });
    queryRows.destroy();
  },
);

test("without subgroups, rolled", async () => {
  const ctx = await testContext();
  const run = RUNS["causal, batches, grouped heads"]!;
  const { words, has } = randomRows(2, 4, 70, 0.5, 8);
  const queryRows = wordBuffer(ctx, words);
  const capabilities = { ...ctx.capabilities, subgroups: false };
  const configuration = registerConfiguration(sizes(run), capabilities, { threads: 8, rows: 3, columns: 3 });
  const untouched = (b: number, h: number, i: number) => !has(b, h, i);
  await expectSoftmax(ctx, { ...run, options: { ...run.options, queryRows }, untouched, configuration });
  queryRows.destroy();
});

test.each([
  ["a number", 3, "shape", /queryRows: expected a GPUBuffer of u32/],
  [
    "a buffer that is too small",
    { size: 64, usage: 0x80 },
    "shape",
    /queryRows: expected at least 328 bytes/,
  ],
  ["a buffer for something else", { size: 4096, usage: 0x08 }, "unsupported", /queryRows usage/],
])("refuses %s", async (_, queryRows, code, message) => {
  const ctx = await testContext();
  const layout = { dtype: "f32", shape: [1, 40, 2, 16] } as const;
  const problem = { q: layout, k: layout, v: layout, queryRows: queryRows as unknown as GPUBuffer };
  const refused = expect(planSoftmaxAttention(ctx, problem)).rejects;
  await refused.toMatchObject({ code, message: expect.stringMatching(message) });
});

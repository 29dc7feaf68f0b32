import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readWords } from "../../src/dispatch/read-back.js";
import type { AttentionContext } from "../../src/index.js";
import { testContext } from "../../test/support/gpu.js";
import { planSampling, type SamplingOptions } from "./index.js";
import { sampleReference } from "./sampling-reference.js";
import { TestTensors } from "./test-tensors.js";

const [BATCHES, VOCABULARY, CAPACITY] = [3, 517, 40];

describe("sampling", () => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await testContext();
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  const past = Uint32Array.from({ length: BATCHES * CAPACITY }, (_, n) => (n * 37) % VOCABULARY);

  /** Runs a plan on `tokens` rows a batch entry, and gives the ids beside the reference's. */
  async function sample(
    data: Float32Array,
    tokens: number,
    options: SamplingOptions & { readonly advance?: boolean },
    lengths = [tokens, 17, 30],
  ) {
    const buffers = {
      lengths: tensors.uploadBytes(new Uint8Array(Uint32Array.from(lengths).buffer)),
      history: tensors.uploadBytes(new Uint8Array(past.slice().buffer)),
      ids: tensors.uploadBytes(new Uint8Array(4 * BATCHES * tokens).fill(0xff)),
    };
    const logits = tensors.uploadSparse(data, [BATCHES, tokens, 1, VOCABULARY]);
    const plan = await planSampling(ctx, {
      ...{ logits, lengths: buffers.lengths, history: { buffer: buffers.history, capacity: CAPACITY } },
      ...options,
    });
    const encoder = ctx.device.createCommandEncoder();
    plan.record(encoder, { logits, ids: buffers.ids });
    ctx.device.queue.submit([encoder.finish()]);
    plan.destroy();
    const { advance: _, ...sampling } = options;
    const expected = Array.from({ length: BATCHES * tokens }, (_, row) => {
      const batch = Math.floor(row / tokens);
      const position = Math.max(0, lengths[batch]! - tokens + (row % tokens) + 1);
      // What the history has no room for is forgotten: an id that no token has.
      const known = (n: number) => (n < CAPACITY ? past[batch * CAPACITY + n]! : VOCABULARY);
      const own = data.subarray(row * VOCABULARY, (row + 1) * VOCABULARY);
      return sampleReference(own, sampling, {
        ...{ position, batch },
        past: Array.from({ length: position }, (_, n) => known(n)),
      });
    });
    return {
      expected,
      ids: [...(await readWords(ctx, buffers.ids, BATCHES * tokens))],
      lengths: [...(await readWords(ctx, buffers.lengths, BATCHES))],
      history: await readWords(ctx, buffers.history, BATCHES * CAPACITY),
    };
  }

  const logitsOf = (tokens: number) =>
    tensors.normal(BATCHES * tokens * VOCABULARY).map((value) => 3 * value);

  test.each<[string, SamplingOptions]>([
    ["greedy", {}],
    ["temperature and min-p", { temperature: 1.3, minP: 0.1, seed: 2 ** 40 + 3 }],
    ["top-k", { temperature: 2, topK: 5, seed: 1 }],
    [
      "all of them",
      {
        ...{ temperature: 1.5, topK: 40, topP: 0.9, minP: 0.02 },
        ...{ repetitionPenalty: 1.8, repetitionWindow: 9 },
      },
    ],
    ["greedy with a penalty", { repetitionPenalty: 4 }],
  ])("%s, of eight rows each", async (_, options) => {
    const { ids, expected } = await sample(logitsOf(8), 8, options);
    expect(ids).toEqual(expected);
  });

  test("the token goes into the history, and lengths grow where that is wanted", async () => {
    const { ids, lengths, history } = await sample(logitsOf(1), 1, { advance: true });
    expect(lengths).toEqual([2, 18, 31]);
    expect([1, 17, 30].map((place, b) => history[b * CAPACITY + place])).toEqual(ids);
  });

  test.each<[string, SamplingOptions, number[]]>([
    [
      "the window ends at the newest token, which a full history has not",
      { repetitionWindow: 9 },
      [44, 60, 38],
    ],
    ["rows before a sequence's beginning have no past", {}, [1, 2, 3]],
  ])("%s", async (_, options, lengths) => {
    const tokens = 3;
    const data = logitsOf(tokens);
    // The past is likelier than all else, the newer the more, unless it is penalised.
    for (let row = 0; row < BATCHES * tokens; row++)
      for (let n = 0; n < CAPACITY; n++)
        data[row * VOCABULARY + past[Math.floor(row / tokens) * CAPACITY + n]!] = 20 + n;
    const { ids, expected } = await sample(data, tokens, { repetitionPenalty: 16, ...options }, lengths);
    expect(ids).toEqual(expected);
  });

  test("ties, NaN and infinities", async () => {
    const data = new Float32Array(BATCHES * VOCABULARY).fill(Number.NEGATIVE_INFINITY);
    // Equal largest, among NaN; nothing at all; +infinity, before what is only large.
    data.set([Number.NaN, 2, 7, 7], 100);
    data.fill(Number.NaN, VOCABULARY + 50, 2 * VOCABULARY);
    data.set([3e38, Number.POSITIVE_INFINITY], 2 * VOCABULARY + 200);
    expect((await sample(data, 1, {})).ids).toEqual([102, 0, 200]);
    const { ids, expected } = await sample(data, 1, { temperature: 1, topK: 1, topP: 0.1 });
    expect(ids).toEqual(expected);
    expect([102, 103]).toContain(ids[0]);
    expect(ids[1]).toBe(0);
    expect([200, 201]).toContain(ids[2]);
  });

  test("one token is kept at the least", async () => {
    const { ids, expected } = await sample(logitsOf(1), 1, { temperature: 1, topP: 1e-9, minP: 1 });
    expect(ids).toEqual(expected);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { testContext } from "../../../test/support/gpu.js";
import { LanguageModel } from "../language-model.js";
import { SequenceState } from "../model/sequence-state.js";

const FIXTURES = new URL("../../../test/fixtures/", import.meta.url);

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

/** Caches alone, recurrent states alone with positions of their own, and recurrent states without. */
test("a mixture of heads reads keys of bytes as well", async () => {
  const model = await LanguageModel.load(ctx, new URL("native/lm-moh/", FIXTURES));
  const ids = [1, 9, 4, 12, 3, 7, 2, 8, 5];
  const { vocabulary } = model.config.tokens!;
  const expected = (await model.logits(ids)).subarray(-vocabulary);
  const state = await model.createState({ capacity: 64, dtype: "q8" });
  const largest = Math.max(...expected.map(Math.abs));
  const off = (await model.prefill(state, ids)).map((value, n) => Math.abs(value - expected[n]!) / largest);
  expect(Math.max(...off)).toBeLessThan(5e-2);
  for (const one of [state, model]) one.destroy();
});

describe.each(["architectures/llama", "native/lm-lightning", "native/lm-flow"])("a state of %s", (name) => {
  let model: LanguageModel;
  let vocabulary: number;
  const prefix = [1, 9, 4, 12, 3, 7, 2, 8, 5, 11, 6];
  const ends = [
    [10, 4, 9],
    [2, 12, 13],
  ];
  beforeAll(async () => {
    model = await LanguageModel.load(ctx, new URL(`${name}/`, FIXTURES));
    vocabulary = model.config.tokens!.vocabulary;
  });
  afterAll(() => model.destroy());

  const far = (actual: Float32Array, expected: Float32Array) => {
    expect(actual).toHaveLength(expected.length);
    const largest = Math.max(...expected.map(Math.abs));
    return Math.max(...actual.map((value, n) => Math.abs(value - expected[n]!))) / largest;
  };
  async function written(prompt: readonly number[], options: Parameters<LanguageModel["generate"]>[1]) {
    const ids: number[] = [];
    for await (const { id } of model.generate([...prompt], { stopIds: [], ...options })) ids.push(id);
    return ids;
  }

  test("has the whole text's logits after pieces, copies and joins", async () => {
    const state = await model.createState({ capacity: 20 });
    const first = await model.prefill(state, prefix, { logitsOf: "all" });
    const expected = await model.logits([...prefix, ...ends[0]!]);
    expect(far(first, expected.subarray(0, first.length))).toBeLessThan(1e-4);
    const copy = await state.copy();
    expect(far(await model.prefill(state, ends[0]!), expected.subarray(-vocabulary))).toBeLessThan(1e-4);
    const other = (await model.logits([...prefix, ...ends[1]!])).subarray(-vocabulary);
    expect(far(await model.prefill(copy, ends[1]!), other)).toBeLessThan(1e-4);
    const both = await SequenceState.join(
      [state, copy].map((one) => ({ state: one, entry: 0 })),
      70,
    );
    const [, second] = both.lengths;
    expect([second, both.totals[0], both.batches]).toEqual([14, 14, 2]);
    const next = [[3], [5]];
    const pieces: number[][] = [[], []];
    for await (const { sequence, id } of model.generate(next, { state: both, maxTokens: 3, stopIds: [] }))
      pieces[sequence]!.push(id);
    const alone = [await written([...prefix, ...ends[0]!, 3], { maxTokens: 3 })];
    alone.push(await written([...prefix, ...ends[1]!, 5], { maxTokens: 3 }));
    expect(pieces).toEqual(alone);
    expect(both.totals).toEqual([17, 17]);
    for (const one of [state, copy, both]) one.destroy();
  });

  test("goes on where a generation ended, was left or ran out", async () => {
    const sampling = { temperature: 1.5, seed: 5 };
    const whole = await written(prefix, { maxTokens: 9, sampling });
    const state = await model.createState({ capacity: 64 });
    const start = await written(prefix, { maxTokens: 3, sampling, state });
    expect(start).toEqual(whole.slice(0, 3));
    expect(state.totals).toEqual([prefix.length + 2]);
    const more: number[] = [];
    for await (const { id } of model.generate([start[2]!], { state, sampling, stopIds: [], maxTokens: 20 })) {
      more.push(id);
      if (more.length === 2) break;
    }
    expect(more).toEqual(whole.slice(3, 5));
    const rest = await written([more[1]!], { maxTokens: 4, sampling, state });
    expect(rest).toEqual(whole.slice(5));
    state.destroy();
  });

  test.each([undefined, { sinks: 2, window: 9, evict: 1 }])(
    "is left where each sequence ended, while others went on: %o",
    async (cache) => {
      const sampling = { temperature: 1.5, seed: 5 };
      const options = { sampling, ...(cache && { cache }) };
      const prompts = [prefix, [...ends[0]!, 3]];
      const state = await model.createState({ batches: 2, capacity: 64 });
      const write = async (given: readonly (readonly number[])[], stopIds: readonly number[]) => {
        const pieces: number[][] = [[], []];
        for await (const { sequence, id } of model.generate(given, {
          ...options,
          state,
          maxTokens: 8,
          stopIds,
        }))
          pieces[sequence]!.push(id);
        return pieces;
      };
      const before = await state.copy();
      const whole = await write(prompts, []);
      state.become(before);
      // The first of these ends at once, the other later or not at all.
      const stop = whole[0]!.slice(1, 4).find((id) => !whole[1]!.slice(0, 5).includes(id))!;
      const first = await write(prompts, [stop]);
      const lengths = first.map((ids) => ids.length);
      expect(lengths[0]).toBeLessThan(lengths[1]! - 1);
      expect(state.totals).toEqual(prompts.map((prompt, n) => prompt.length + lengths[n]! - 1));
      const rest = await write(
        first.map((ids) => ids.slice(-1)),
        [],
      );
      for (const n of [0, 1]) expect([...first[n]!, ...rest[n]!].slice(0, 8)).toEqual(whole[n]!);
      state.destroy();
    },
  );

  test("is refused while a generation works with it, and by another model", async () => {
    const state = await model.createState({ capacity: 64 });
    const refusal = { code: "unsupported" };
    for await (const _ of model.generate([...prefix], { state, maxTokens: 3, stopIds: [] })) {
      await expect(state.copy()).rejects.toMatchObject(refusal);
      await expect(state.reserve(1000)).rejects.toMatchObject(refusal);
      await expect(SequenceState.join([{ state, entry: 0 }], 64)).rejects.toMatchObject(refusal);
    }
    const copy = await state.copy();
    const other = await LanguageModel.load(ctx, new URL(`${name}/`, FIXTURES));
    await expect(other.prefill(copy, prefix)).rejects.toMatchObject(refusal);
    await expect(other.describePass(copy)).rejects.toMatchObject(refusal);
    for (const one of [state, copy, other]) one.destroy();
  });

  test("takes what is right of a guess, as if token by token", async () => {
    const sampling = { temperature: 1.5, seed: 2 };
    const text = await written(prefix, { maxTokens: 8, sampling });
    const state = await model.createState({ capacity: 64 });
    await model.prefill(state, prefix.slice(0, -1), { logitsOf: "none" });
    const newest = prefix.at(-1)!;
    const wrong = (text[2]! + 1) % vocabulary;
    const first = await model.verify(state, [newest, text[0]!, text[1]!, wrong, 3], { sampling });
    expect(first).toEqual(text.slice(0, 3));
    expect(state.totals).toEqual([prefix.length + 2]);
    const second = await model.verify(state, [text[2]!, text[3]!, text[4]!], { sampling });
    expect(second).toEqual(text.slice(3, 6));
    expect(await model.verify(state, [text[5]!], { sampling })).toEqual([text[6]]);
    expect(await written([text[6]!], { maxTokens: 1, sampling, state })).toEqual([text[7]]);
    state.destroy();
  });

  test.runIf(name.startsWith("native"))(
    "counts positions in the whole text, whatever caches would forget",
    async () => {
      const long = Array.from({ length: model.config.context + 13 }, (_, n) => (n * 7 + 3) % 40);
      const state = await model.createState({ capacity: 64 });
      const window = { sinks: 1, window: 8 };
      const last = await model.prefill(state, long, { window });
      expect(far(last, (await model.logits(long)).subarray(-vocabulary))).toBeLessThan(1e-4);
      expect(state.totals).toEqual([long.length]);
      const [newest] = await written([long.at(-1)!], { state, maxTokens: 1, cache: { window: 8 } });
      expect(newest).toBe((await written([...long, long.at(-1)!], { maxTokens: 1 }))[0]);
      state.destroy();
    },
  );

  test("is used by one call at a time, and refuses what does not fit", async () => {
    const state = await model.createState({ capacity: 64 });
    const first = model.prefill(state, prefix);
    await expect(model.prefill(state, prefix)).rejects.toMatchObject({ code: "unsupported" });
    await first;
    const bounded = Number.isFinite(state.capacity);
    if (bounded) {
      await expect(model.prefill(state, Array(60).fill(1))).rejects.toMatchObject({ code: "shape" });
      await expect(state.copy(5)).rejects.toMatchObject({ code: "shape" });
      const reserved = state.reserve(100);
      await expect(model.prefill(state, prefix)).rejects.toMatchObject({ code: "unsupported" });
      await reserved;
      expect(state.capacity).toBe(100);
      await model.prefill(state, Array(60).fill(1));
    }
    expect(state.lengths).toEqual([prefix.length + (bounded ? 60 : 0)]);
    const two = await model.createState({ batches: 2, capacity: 64 });
    await expect(model.prefill(two, prefix)).rejects.toMatchObject({ code: "shape" });
    await expect(model.prefill(state, [Number.NaN])).rejects.toMatchObject({ code: "shape" });
    if (bounded)
      await expect(model.createState({ capacity: 2 ** 26 })).rejects.toMatchObject({ code: "limit" });
    await expect(model.createState({ capacity: 0 })).rejects.toMatchObject({ code: "shape" });
    for (const one of [state, two]) one.destroy();
    await expect(model.prefill(state, prefix)).rejects.toMatchObject({ code: "disposed" });
  });
});

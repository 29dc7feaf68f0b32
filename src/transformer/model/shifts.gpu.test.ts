import { describe, expect, test } from "vitest";
import {
  type AttentionHook,
  attentionCalibration,
  captureActivations,
  type ShiftOperation,
} from "webgpu-attention/hooks";
import { difference } from "../../../test/support/compare.js";
import { HEADS, HIDDEN, halved, ids, next, useLlama } from "../../../test/support/shifted-llama.js";
import type { SequenceState } from "./sequence-state.js";
import type { ReceivedSums } from "./sink-memory.js";

const THETA = 0.2;

const llama = useLlama();

/** Halves the weight of sinks in the first layer. */
function shift(...sinks: ShiftOperation["sinks"][]): AttentionHook {
  const heads = new Map(HEADS.map((head) => [head, halved(sinks[head % sinks.length]!)]));
  return { prepare: ({ layer }) => (layer === 0 ? { heads } : undefined) };
}

const received = (update: "prefill" | "running" = "prefill") =>
  shift({ received: "abs", theta: THETA, update });

/** Sinks of each head of the first layer that a state has kept. */
async function keptSinks(state: SequenceState): Promise<{ keys: number[] }[]> {
  const { lists, heads } = state.sinksOf(0);
  const words = await llama.ctx.read({
    buffer: lists.buffer,
    shape: [1, 1, 1, lists.buffer.size / 4],
    dtype: "f32",
  });
  const list = new Uint32Array(words.buffer, words.byteOffset, words.length);
  const each = list.length / heads;
  return HEADS.map((head) => ({
    keys: Array.from(list.subarray(head * each + 1, head * each + 1 + list[head * each]!)),
  }));
}

/** Mean weights that the keys of each head of the first layer have received, [heads][tokens]. */
async function means(state: SequenceState): Promise<number[][]> {
  const { sum, count }: ReceivedSums = state.sinksOf(0).turns![state.turn];
  const dense = (view: ReceivedSums["sum"]) =>
    llama.ctx.read({ buffer: view.buffer, dtype: "f32", shape: [1, 1, HEADS.length, state.capacity] });
  const [sums, counts] = [await dense(sum), await dense(count)];
  return HEADS.map((head) =>
    Array.from({ length: state.lengths[0]! }, (_, key) => head * state.capacity + key).map(
      (n) => sums[n]! / counts[n]!,
    ),
  );
}

describe("shifts in a model", () => {
  test("find sinks in the hidden states that go into the layer", async () => {
    const capture = captureActivations(llama.ctx, { names: ["residualIn"], layers: [0] });
    const plain = await llama.model.logits(ids, { hooks: [capture] });
    const states = await llama.ctx.read(capture.get(0, "residualIn")!);
    const width = states.length / ids.length;
    const sinks = ids.flatMap((_, key) => {
      const row = states.subarray(key * width, (key + 1) * width);
      const root = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0) / width);
      return HIDDEN.dims.some((dim) => Math.abs(row[dim]!) > HIDDEN.tau * root) ? [key] : [];
    });
    expect(sinks.length).toBeGreaterThan(0);
    expect(sinks.length).toBeLessThan(ids.length);
    const found = await llama.model.logits(ids, { hooks: [shift({ hidden: HIDDEN })] });
    const named = await llama.model.logits(ids, { hooks: [shift({ keys: sinks })] });
    expect(difference(found, named).maxRelative).toBeLessThan(1e-5);
    expect(difference(found, plain).maxRelative).toBeGreaterThan(1e-4);
    capture.destroy();
  });

  test.each([
    ["received weight", { received: "abs", theta: THETA }],
    ["received weight in 1 / keys", { received: "perKeys", alpha: 1.5 }],
    ["hidden states", { hidden: HIDDEN }],
  ] as const)("find sinks in a text by %s, and keep them for what follows", async (_, sinks) => {
    const hooks = [shift(sinks)];
    const state = await llama.model.createState({ capacity: 64 });
    const first = await llama.model.prefill(state, ids, { hooks, logitsOf: "all" });
    expect(difference(first, await llama.model.logits(ids, { hooks })).maxRelative).toBeLessThan(1e-5);
    const kept = await keptSinks(state);
    expect(kept.some(({ keys }) => keys.length > 0 && keys.length < ids.length)).toBe(true);
    // Further on, in a cache that has grown.
    await state.reserve(128);
    const rest = [await llama.model.prefill(state, next.slice(0, 1), { hooks })];
    rest.push(await llama.model.prefill(state, next.slice(1), { hooks }));
    const whole = [...ids, ...next];
    const named = await llama.model.logits(whole, { hooks: [shift(...kept)] });
    const [plain, vocabulary] = [await llama.model.logits(whole), llama.model.config.tokens!.vocabulary];
    const rowOf = (logits: Float32Array, row: number) =>
      logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    for (const [n, row] of [ids.length, whole.length - 1].entries()) {
      expect(difference(rest[n]!, rowOf(named, row)).maxRelative).toBeLessThan(1e-5);
      expect(difference(rest[n]!, rowOf(plain, row)).maxRelative).toBeGreaterThan(1e-4);
    }
    state.destroy();
  });

  test("find sinks anew with each token, among what all tokens so far have given", async () => {
    const hooks = [received("running")];
    const state = await llama.model.createState({ capacity: 64 });
    await llama.model.prefill(state, ids, { hooks });
    const step = await llama.model.createState({ capacity: 64 });
    await llama.model.prefill(step, ids, { hooks: [shift(...(await keptSinks(state)))] });
    for (const id of next) {
      const logits = await llama.model.prefill(state, [id], { hooks });
      // The newest key is none yet.
      const sinks = (await means(state)).map((of) => ({
        keys: of.flatMap((mean, key) => (mean > THETA && key < of.length - 1 ? [key] : [])),
      }));
      const named = await llama.model.prefill(step, [id], { hooks: [shift(...sinks)] });
      expect(difference(logits, named).maxRelative).toBeLessThan(1e-5);
    }
    const whole = await llama.model.createState({ capacity: 64 });
    await llama.model.prefill(whole, [...ids, ...next], { hooks });
    const all = await means(whole);
    for (const [head, of] of (await means(state)).entries())
      expect(difference(of, all[head]!).maxAbsolute).toBeLessThan(1e-5);
    for (const made of [state, step, whole]) made.destroy();
  });

  test.each(["prefill", "running"] as const)(
    "write texts of different lengths side by side as each alone: %s",
    async (update) => {
      const options = { maxTokens: 6, stopIds: [], hooks: [received(update)] };
      const prompts = [ids, ids.slice(0, 1), ids.slice(2, 7)];
      const write = async (given: readonly number[][]) => {
        const written = given.map((): number[] => []);
        for await (const { sequence, id } of llama.model.generate(given, options))
          written[sequence]!.push(id);
        return written;
      };
      const alone: number[][] = [];
      for (const prompt of prompts) alone.push(...(await write([prompt])));
      expect(await write(prompts)).toEqual(alone);
    },
  );

  test.each(["prefill", "running"] as const)(
    "leave a state with which a text goes on: %s",
    async (update) => {
      const hooks = [received(update)];
      const options = { maxTokens: 4, stopIds: [], hooks };
      const write = async (prompt: readonly number[], state: SequenceState, maxTokens = 4) => {
        const written: number[] = [];
        for await (const { id } of llama.model.generate([prompt], { ...options, state, maxTokens }))
          written.push(id);
        return written;
      };
      const [parts, whole] = [
        await llama.model.createState({ capacity: 64 }),
        await llama.model.createState({ capacity: 64 }),
      ];
      const first = await write(ids, parts);
      const copy = await parts.copy();
      const second = await write([first.at(-1)!], parts);
      expect([...first, ...second]).toEqual(await write(ids, whole, 8));
      // What was guessed wrongly is forgotten, sums of it too.
      const wrong = (second[1]! + 1) % llama.model.config.tokens!.vocabulary;
      expect(await llama.model.verify(copy, [first.at(-1)!, second[0]!, wrong], { hooks })).toEqual(
        second.slice(0, 2),
      );
      expect(await llama.model.verify(copy, second.slice(1, 4), { hooks })).toEqual(
        second.slice(2, 4).concat(expect.any(Number) as never),
      );
      for (const state of [parts, whole, copy]) state.destroy();
    },
  );

  test("that look for sinks are refused where they do not see the text", async () => {
    const state = await llama.model.createState({ capacity: 64 });
    await llama.model.prefill(state, ids);
    const reading = (hook: AttentionHook, options = {}) =>
      expect(llama.model.prefill(state, next, { hooks: [hook], ...options })).rejects.toMatchObject({
        code: "unsupported",
      });
    // Its beginning was read without looking, or by another rule.
    await reading(received());
    await reading(shift({ hidden: HIDDEN }));
    const other = await llama.model.createState({ capacity: 64 });
    await llama.model.prefill(other, ids, { hooks: [received()] });
    await expect(llama.model.prefill(other, next, { hooks: [received("running")] })).rejects.toThrow(
      /another rule/,
    );
    // Sums lack the tokens between.
    const running = await llama.model.createState({ capacity: 64 });
    await llama.model.prefill(running, ids, { hooks: [received("running")] });
    await llama.model.prefill(running, next);
    await expect(llama.model.prefill(running, next, { hooks: [received("running")] })).rejects.toThrow(
      /by another rule/,
    );
    // A cache that forgets moves them.
    await reading(received(), { window: { sinks: 2, window: 30 } });
    const generated = llama.model.generate([ids.slice(0, 1)], { hooks: [received()], cache: { window: 30 } });
    await expect(generated.next()).rejects.toThrow(/window/);
    expect(state.lengths).toEqual([ids.length]);
    await llama.model.prefill(state, next, { hooks: [shift({ keys: [1] })] });
    for (const made of [state, other, running]) made.destroy();
  });

  test("calibrate attention while text is written", async () => {
    const heads = new Map(
      HEADS.map((head) => [head, attentionCalibration({ theta: 0.05, beta: 0, protect: [] })]),
    );
    const calibrated = { prepare: () => ({ heads }) };
    const write = async (hooks: readonly AttentionHook[]) => {
      const written: number[] = [];
      for await (const { id } of llama.model.generate([ids], { maxTokens: 8, stopIds: [], hooks }))
        written.push(id);
      return written;
    };
    expect(await write([calibrated])).not.toEqual(await write([]));
  });
});

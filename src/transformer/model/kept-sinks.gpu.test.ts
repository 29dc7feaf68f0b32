import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { AttentionHook, HeadOperation, ShiftOperation } from "webgpu-attention/hooks";
import { difference } from "../../../test/support/compare.js";
import { HEADS, HIDDEN, halved, ids, next, useLlama } from "../../../test/support/shifted-llama.js";
import type { GenerateOptions } from "../generation/options.js";
import { LanguageModel } from "../language-model.js";
import type { SequenceState } from "./sequence-state.js";

const FLOW = new URL("../../../test/fixtures/native/lm-flow/", import.meta.url);
const hidden = { hidden: HIDDEN };
const received = (update?: "prefill" | "running", theta = 0.2) =>
  ({ received: "abs", theta, ...(update && { update }) }) as const;

const llama = useLlama();

type Sinks = ShiftOperation["sinks"];

function headsOf(sinks: readonly (Sinks | undefined)[]): ReadonlyMap<number, HeadOperation> {
  return new Map(sinks.flatMap((rule, head) => (rule ? [[head, halved(rule)] as const] : [])));
}

/** In the first layer, by rule of each head. */
function shift(sinks: readonly (Sinks | undefined)[], phase?: "prefill" | "decode"): AttentionHook {
  const heads = headsOf(sinks);
  return {
    prepare: (site) => (site.layer === 0 && (!phase || site.phase === phase) ? { heads } : undefined),
  };
}

/** In the first layer, by rule of each head of each sequence. */
function shiftEach(...entries: readonly (readonly (Sinks | undefined)[])[]): AttentionHook {
  return { prepare: (site) => (site.layer === 0 ? { heads: entries.map(headsOf) } : undefined) };
}

/** The flow model with softmax in its first layer: its caches can be cut, its recurrent states cannot. */
async function softmaxThenFlow(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = await readFile(new URL(path, FLOW)).catch(() => undefined);
  if (!bytes || path !== "config.json") return bytes && new Uint8Array(bytes);
  const config = { ...JSON.parse(bytes.toString()), attention: [{ mechanism: "softmax" }, {}] };
  return new TextEncoder().encode(JSON.stringify(config));
}

const all = (sinks: Sinks) => HEADS.map(() => sinks);

async function written(prompts: readonly (readonly number[])[], options: GenerateOptions) {
  const texts = prompts.map((): number[] => []);
  for await (const { sequence, id } of llama.model.generate(prompts, {
    stopIds: [],
    maxTokens: 6,
    ...options,
  }))
    texts[sequence]!.push(id);
  return texts;
}

/** States live as long as a test. */
async function withStates<Result>(
  count: number,
  use: (...states: SequenceState[]) => Promise<Result>,
): Promise<Result> {
  const states = await Promise.all(
    Array.from({ length: count }, () => llama.model.createState({ capacity: 64 })),
  );
  try {
    return await use(...states);
  } finally {
    for (const state of states) state.destroy();
  }
}

function expectSame(a: Float32Array, b: Float32Array): void {
  expect(difference(a, b).maxRelative).toBeLessThan(1e-5);
}

describe("sinks by hidden states", () => {
  test("are those of the text, whatever was read before with the same buffers", () =>
    withStates(3, async (long, short, named) => {
      const hooks = [shift(all(hidden))];
      // The rows that a longer text left would be sinks of what comes at their places.
      const longText = Array.from(
        { length: 40 },
        (_, n) => (7 * n + 3) % llama.model.config.tokens!.vocabulary,
      );
      await llama.model.prefill(short, ids, { hooks });
      const expected = await llama.model.prefill(short, next, { hooks });
      await llama.model.prefill(long, longText, { hooks });
      await llama.model.prefill(named, ids, { hooks });
      expectSame(await llama.model.prefill(named, next, { hooks }), expected);
    }));
});

describe("named sinks beside those that are found", () => {
  // Far from each other, so that one is not the other by chance.
  const both = [received(), { keys: [1, 3] }, undefined];

  test("act in what is written behind a prompt", () =>
    withStates(2, async (mixed, apart) => {
      await llama.model.prefill(mixed, ids, { hooks: [shift(both)] });
      const logits = await llama.model.prefill(mixed, next, { hooks: [shift(both)] });
      // The same by two hooks, of which one names its own.
      const hooks = [shift([received()]), shift([undefined, { keys: [1, 3] }])];
      await llama.model.prefill(apart, ids, { hooks });
      expectSame(await llama.model.prefill(apart, next, { hooks }), logits);
      const whole = await llama.model.logits([...ids, ...next], { hooks: [shift(both)] });
      expect(whole.length).toBeGreaterThan(logits.length);
      const changed = await llama.model.prefill(await mixed.copy(), [5], { hooks: [shift([received()])] });
      const kept = await llama.model.prefill(await mixed.copy(), [5], { hooks: [shift(both)] });
      expect(difference(changed, kept).maxRelative).toBeGreaterThan(1e-4);
    }));

  test("are what they are called, also where others were named before", () =>
    withStates(2, async (renamed, named) => {
      await llama.model.prefill(renamed, ids, { hooks: [shift([received(), { keys: [0] }])] });
      await llama.model.prefill(named, ids, { hooks: [shift([received(), { keys: [0] }])] });
      const other = await llama.model.prefill(named, [5], { hooks: [shift([received(), { keys: [0] }])] });
      const logits = await llama.model.prefill(renamed, [5], {
        hooks: [shift([received(), { keys: [2, 4, 6] }])],
      });
      expect(difference(logits, other).maxRelative).toBeGreaterThan(1e-4);
    }));

  test("act for each sequence of several, and from the first token of a text on", async () => {
    const rules = [
      [received(), undefined],
      [{ keys: [1] }, undefined],
    ] as const;
    const prompts = [ids, ids.slice(2, 7)];
    const alone = [
      ...(await written(prompts.slice(0, 1), { hooks: [shift(rules[0])] })),
      ...(await written(prompts.slice(1), { hooks: [shift(rules[1])] })),
    ];
    expect(await written(prompts, { hooks: [shiftEach(...rules)] })).toEqual(alone);
    await withStates(2, async (mixed, named) => {
      for (const id of ids) {
        const logits = await llama.model.verify(mixed, [id], { hooks: [shift([received(), { keys: [0] }])] });
        expect(logits).toEqual(
          await llama.model.verify(named, [id], { hooks: [shift([undefined, { keys: [0] }])] }),
        );
      }
    });
  });
});

describe("sums of what keys have received", () => {
  const running = [shift(all(received("running", 0.12)))];

  test("verify a guess as it would have been written", () =>
    withStates(2, async (writing, guessing) => {
      await llama.model.prefill(writing, ids, { hooks: running });
      await llama.model.prefill(guessing, ids, { hooks: running });
      const [text] = await written([[5]], { hooks: running, state: writing, maxTokens: 8 });
      const [a, b, c, d] = text as [number, number, number, number];
      const wrong = (c + 1) % llama.model.config.tokens!.vocabulary;
      expect(await llama.model.verify(guessing, [5, a, b, wrong, d], { hooks: running })).toEqual([a, b, c]);
      expect(guessing.totals).toEqual([ids.length + 3]);
      expect(await llama.model.verify(guessing, text!.slice(2, 7), { hooks: running })).toEqual(
        text!.slice(3),
      );
    }));

  test("go on behind a step that is undone, also where the state has grown since", () =>
    withStates(1, async (state) => {
      await llama.model.prefill(state, ids, { hooks: running });
      const before = await state.copy();
      await llama.model.prefill(state, [7], { hooks: running });
      await state.reserve(128);
      state.undo(1);
      expectSame(
        await llama.model.prefill(state, [5], { hooks: running }),
        await llama.model.prefill(before, [5], { hooks: running }),
      );
      before.destroy();
    }));

  test("that lack tokens are not taken for those of the whole text", async () => {
    const [P, R] = [all(received()), all(received("running"))];
    const state = await llama.model.createState({ capacity: 64, batches: 2 });
    await written([ids, ids.slice(2)], { hooks: [shiftEach(P, R)], state });
    await written([[5], [6]], { hooks: [shiftEach(P, [])], state, maxTokens: 1 });
    await expect(written([[5], [6]], { hooks: [shiftEach(P, R)], state })).rejects.toThrow(/another rule/);
    // The other sequence needs none.
    await written([[5], [6]], { hooks: [shiftEach(P, [])], state, maxTokens: 1 });
    state.destroy();
  });

  test("begin for one sequence where another goes on without", async () => {
    const hooks = [shiftEach(all(received()), all(received("running")))];
    const prompts = [ids, [5]];
    const alone = [
      ...(await written(prompts.slice(0, 1), { hooks: [shift(all(received()))] })),
      ...(await written(prompts.slice(1), { hooks: [shift(all(received("running")))] })),
    ];
    expect(await written(prompts, { hooks })).toEqual(alone);
  });

  test("stay what they were where a pass fails", () =>
    withStates(1, async (state) => {
      await llama.model.prefill(state, ids, { hooks: running });
      const failing: AttentionHook = {
        activation() {
          throw new Error("a hook's own");
        },
      };
      await expect(llama.model.prefill(state, next, { hooks: [failing] })).rejects.toThrow("a hook's own");
      await llama.model.prefill(state, next, { hooks: running });
      expect(state.totals).toEqual([ids.length + next.length]);
    }));
});

describe("the search for sinks", () => {
  test("is the same however it is written", () =>
    withStates(1, async (state) => {
      await llama.model.prefill(state, ids, { hooks: [shift([received()])] });
      const same: ShiftOperation = {
        ...halved({ update: "prefill", theta: 0.2, received: "abs" } as never),
        keep: 0.25,
      };
      const heads = new Map([[0, same]]);
      await llama.model.prefill(state, next, {
        hooks: [{ prepare: ({ layer }) => (layer === 0 ? { heads } : undefined) }],
      });
      await expect(
        llama.model.prefill(state, next, { hooks: [shift([received("prefill", 0.3)])] }),
      ).rejects.toMatchObject({ code: "unsupported" });
    }));

  test("leaves a state where a guess was wrong as where it was right, also one that cannot be cut", async () => {
    const hooks = [shift(all(received(undefined, 0.05)))];
    const mixed = await LanguageModel.load(llama.ctx, softmaxThenFlow);
    const [right, wrong] = [
      await mixed.createState({ capacity: 64 }),
      await mixed.createState({ capacity: 64 }),
    ];
    const guess = [5];
    for (let n = 0; n < 3; n++) guess.push((await mixed.verify(right, guess.slice(-1), { hooks })).at(-1)!);
    const { vocabulary } = mixed.config.tokens!;
    const off = [...guess.slice(0, 3), (guess[3]! + 1) % vocabulary];
    expect(await mixed.verify(wrong, off, { hooks })).toEqual(guess.slice(1));
    expect(wrong.totals).toEqual(right.totals);
    expectSame(
      await mixed.prefill(wrong, [12, 3], { hooks }),
      await mixed.prefill(right, [12, 3], { hooks }),
    );
    for (const made of [right, wrong, mixed]) made.destroy();
  });

  test("is refused in a cache with a window, whatever the pass", async () => {
    const hooks = [shift(all(received()), "decode")];
    await expect(written([[5]], { hooks, cache: { window: 30 } })).rejects.toThrow(/window/);
  });

  test("says that a state is gone", async () => {
    const state = await llama.model.createState({ capacity: 64 });
    const reading = llama.model.prefill(state, ids, { hooks: [shift(all(received()))] });
    state.destroy();
    await expect(reading).rejects.toMatchObject({ code: "disposed" });
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testContext } from "../../../test/support/gpu.js";
import { LanguageModel } from "../language-model.js";
import type { GenerateOptions } from "./options.js";

const MODEL = new URL("../../../demo/public/models/lm-softmax/", import.meta.url);
const prompt = [0, 17, 300, 45, 912, 8];
const other = [0, 5, 77];

let model: LanguageModel;
beforeAll(async () => {
  model = await LanguageModel.load(await testContext(), MODEL);
});
afterAll(() => model.destroy());

async function idsOf(prompts: Parameters<LanguageModel["generate"]>[0], options: GenerateOptions) {
  const ids: number[][] = [];
  for await (const { sequence, id } of model.generate(prompts, options)) {
    ids[sequence] ??= [];
    ids[sequence].push(id);
  }
  return ids;
}

/** Whether every id is the most likely one after those before it, by a single pass without a cache. */
async function expectGreedy(start: readonly number[], ids: readonly number[]) {
  const { vocabulary } = model.config.tokens!;
  const logits = await model.logits([...start, ...ids]);
  ids.forEach((id, n) => {
    const place = (start.length + n - 1) * vocabulary;
    const row = logits.subarray(place, place + vocabulary);
    expect(row[id]).toBeCloseTo(Math.max(...row), 3);
  });
}

describe("generation", () => {
  test("continues several prompts of different lengths as each by itself, also where caches grow", async () => {
    const ids = await idsOf([prompt, other], { maxTokens: 68, stopIds: [] });
    expect(ids.map(({ length }) => length)).toEqual([68, 68]);
    await expectGreedy(prompt, ids[0]!);
    await expectGreedy(other, ids[1]!);
  });

  test("chance follows the seed", async () => {
    const sampling = { temperature: 1, topP: 0.9, seed: 7 };
    const first = await idsOf(prompt, { maxTokens: 8, sampling, stopIds: [] });
    expect(await idsOf(prompt, { maxTokens: 8, sampling, stopIds: [] })).toEqual(first);
    const others = await idsOf(prompt, { maxTokens: 8, sampling: { ...sampling, seed: 8 }, stopIds: [] });
    expect(others).not.toEqual(first);
  });

  test("ends at ids that say so, and when it is left", async () => {
    const [ids] = await idsOf(prompt, { maxTokens: 4, stopIds: [] });
    const [stopped] = await idsOf(prompt, { maxTokens: 4, stopIds: [ids![1]!] });
    expect(stopped).toEqual(ids!.slice(0, 2));
    const pieces: string[] = [];
    for await (const piece of model.generate(prompt, { stopIds: [], maxTokens: 3 })) {
      pieces.push(piece.finished ?? "");
      if (pieces.length === 2) break;
    }
    expect(pieces).toEqual(["", ""]);
  });

  test("a window as long as the text changes nothing, a shorter one forgets", async () => {
    const plain = await idsOf(prompt, { maxTokens: 12, stopIds: [] });
    const wide = { sinks: 2, window: 20 };
    expect(await idsOf(prompt, { maxTokens: 12, stopIds: [], cache: wide })).toEqual(plain);
    const narrow = { sinks: 1, window: 3 };
    expect(await idsOf(prompt, { maxTokens: 12, stopIds: [], cache: narrow })).not.toEqual(plain);
  });

  test("reads and writes texts", async () => {
    const pieces: string[] = [];
    for await (const { text } of model.generate("It was a", { maxTokens: 12, stopIds: [] }))
      pieces.push(text);
    const [ids] = await idsOf([0, ...model.tokenizer!.encode("It was a")].slice(-5), { maxTokens: 1 });
    expect(ids).toHaveLength(1);
    const text = pieces.join("");
    expect(text).toMatch(/^ ?\w/);
    const stop = text.slice(4, 7);
    const stopped: string[] = [];
    for await (const piece of model.generate("It was a", { maxTokens: 12, stopIds: [], stop })) {
      stopped.push(piece.text);
    }
    expect(stopped.join("")).toBe(text.slice(0, text.indexOf(stop)));
  });

  test("passes that run side by side keep their numbers", async () => {
    const alone = [await model.logits(prompt), await model.logits(other)];
    const writing = idsOf(prompt, { maxTokens: 6, stopIds: [] });
    expect(await Promise.all([model.logits(prompt), model.logits(other)])).toEqual(alone);
    const [ids] = await writing;
    await expectGreedy(prompt, ids!);
  });

  test("a window forgets as a cache without the forgotten tokens would", async () => {
    // One layer would be exact; with more, what is kept has looked at what is gone: only the cache's size is certain.
    const long = Array.from({ length: 60 }, (_, n) => (n * 37) % 2000);
    const cache = { sinks: 2, window: 12, evict: 3 };
    const [ids] = await idsOf(long, { maxTokens: 20, stopIds: [], cache });
    const [again] = await idsOf(long, { maxTokens: 20, stopIds: [], cache });
    expect(again).toEqual(ids);
    const state = model.createState({ capacity: 14 });
    await model.prefill(state, long, { window: cache });
    expect(state.lengths[0]).toBeLessThanOrEqual(14);
    expect(state.lengths[0]).toBeGreaterThanOrEqual(2 + 12 - 3);
    state.destroy();
  });

  test("a state that is full refuses more, and stays as it was", async () => {
    const state = model.createState({ capacity: 64 });
    await model.prefill(state, prompt);
    await expect(model.prefill(state, Array(60).fill(1))).rejects.toMatchObject({ code: "shape" });
    expect(state.lengths).toEqual([prompt.length]);
    state.destroy();
  });

  test("a penalty keeps tokens from coming again", async () => {
    const sampling = { repetitionPenalty: 1e6 };
    const [ids] = await idsOf(prompt, { maxTokens: 10, stopIds: [], sampling });
    expect(new Set([...prompt, ...ids!]).size).toBe(prompt.length + 10);
  });

  test("can be aborted", async () => {
    const signal = AbortSignal.abort("enough");
    await expect(idsOf(prompt, { signal })).rejects.toMatchObject({ code: "aborted" });
  });

  test.each<[string, GenerateOptions]>([
    ["shape", { maxTokens: 0 }],
    ["shape", { cache: { window: 4, evict: 5 } }],
    ["unsupported", { cache: { sinks: 3 } }],
    ["shape", { stop: [3] as never }],
    ["shape", { stopIds: 5 as never }],
    ["shape", { sampling: { topP: 0 } }],
    ["unsupported", { tokens: 3 } as never],
  ])("refuses %s: %j", async (code, options) => {
    await expect(idsOf(prompt, options)).rejects.toMatchObject({ code });
  });
});

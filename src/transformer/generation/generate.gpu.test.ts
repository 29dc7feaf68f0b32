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

/** Greedy, with all logits anew for every token. */
async function greedy(start: readonly number[], count: number): Promise<number[]> {
  const ids = [...start];
  for (let n = 0; n < count; n++) {
    const logits = await model.logits(ids);
    const last = logits.subarray(logits.length - model.config.tokens!.vocabulary);
    ids.push(last.indexOf(Math.max(...last)));
  }
  return ids.slice(start.length);
}

describe("generation", () => {
  test("continues several prompts of different lengths as each by itself, also where caches grow", async () => {
    const expected = [await greedy(prompt, 6), await greedy(other, 6)];
    expect(await idsOf([prompt, other], { maxTokens: 6, stopIds: [] })).toEqual(expected);
    const long = await idsOf(prompt, { maxTokens: 70, stopIds: [] });
    expect(long[0]!.slice(0, 6)).toEqual(expected[0]);
    expect(long[0]).toHaveLength(70);
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

  test("can be aborted", async () => {
    const signal = AbortSignal.abort("enough");
    await expect(idsOf(prompt, { signal })).rejects.toMatchObject({ code: "aborted" });
  });

  test.each<[string, GenerateOptions]>([
    ["shape", { maxTokens: 0 }],
    ["shape", { cache: { window: 4, evict: 5 } }],
    ["shape", { sampling: { topP: 0 } }],
    ["unsupported", { tokens: 3 } as never],
  ])("refuses %s: %j", async (code, options) => {
    await expect(idsOf(prompt, options)).rejects.toMatchObject({ code });
  });
});

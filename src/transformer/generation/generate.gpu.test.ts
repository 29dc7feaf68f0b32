import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AttentionHook,
  type AttentionSite,
  type HeadOperations,
  ZERO_HEAD,
} from "webgpu-attention/hooks";
import { testContext } from "../../../test/support/gpu.js";
import { LanguageModel } from "../language-model.js";
import type { GenerateOptions } from "./options.js";

const FIXTURES = new URL("../../../test/fixtures/architectures/", import.meta.url);
const prompt = [1, 17, 30, 5, 41, 8];
const other = [1, 5, 27];

let model: LanguageModel;
beforeAll(async () => {
  model = await LanguageModel.load(await testContext(), new URL("llama/", FIXTURES));
});
afterAll(() => model.destroy());

async function idsOf(prompts: Parameters<LanguageModel["generate"]>[0], options: GenerateOptions) {
  const ids: number[][] = [];
  for await (const { sequence, id } of model.generate(prompts, { stopIds: [], ...options })) {
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
    const ids = await idsOf([prompt, other], { maxTokens: 68 });
    expect(ids.map(({ length }) => length)).toEqual([68, 68]);
    await expectGreedy(prompt, ids[0]!);
    await expectGreedy(other, ids[1]!);
  });

  test("chance follows the seed", async () => {
    const sampling = { temperature: 1, topP: 0.9, seed: 7 };
    const first = await idsOf(prompt, { maxTokens: 8, sampling });
    expect(await idsOf(prompt, { maxTokens: 8, sampling })).toEqual(first);
    const others = await idsOf(prompt, { maxTokens: 8, sampling: { ...sampling, seed: 8 } });
    expect(others).not.toEqual(first);
  });

  test("ends at ids that say so, and when it is left", async () => {
    const sampling = { temperature: 1, seed: 3 };
    const [ids] = await idsOf(prompt, { maxTokens: 4, sampling });
    const [stopped] = await idsOf(prompt, { maxTokens: 4, sampling, stopIds: [ids![2]!] });
    expect(stopped).toEqual(ids!.slice(0, ids!.indexOf(ids![2]!) + 1));
    const pieces: string[] = [];
    for await (const piece of model.generate(prompt, { stopIds: [], maxTokens: 3 })) {
      pieces.push(piece.finished ?? "");
      if (pieces.length === 2) break;
    }
    expect(pieces).toEqual(["", ""]);
  });

  test("gives the likeliest tokens beside each that is taken", async () => {
    const found: { id: number; likely: readonly { id: number; probability: number }[] }[] = [];
    for await (const { id, candidates } of model.generate(prompt, {
      maxTokens: 3,
      stopIds: [],
      candidates: 4,
    }))
      found.push({ id, likely: candidates! });
    const logits = await model.logits([...prompt, ...found.map(({ id }) => id)]);
    const { vocabulary } = model.config.tokens!;
    for (const [n, { id, likely }] of found.entries()) {
      const place = (prompt.length + n - 1) * vocabulary;
      const exps = Array.from(logits.subarray(place, place + vocabulary), Math.exp);
      const sum = exps.reduce((total, value) => total + value);
      expect(likely).toHaveLength(4);
      expect(likely[0]!.id).toBe(id);
      for (const candidate of likely) expect(candidate.probability).toBeCloseTo(exps[candidate.id]! / sum, 4);
    }
  });

  test("a window as long as the text changes nothing, and storage of halves and bytes little", async () => {
    const plain = await idsOf(prompt, { maxTokens: 12 });
    expect(await idsOf(prompt, { maxTokens: 12, cache: { sinks: 2, window: 20 } })).toEqual(plain);
    const likely = async (dtype: "f32" | "f16" | "q8") => {
      const state = await model.createState({ capacity: 64, dtype });
      const logits = await model.prefill(state, [...prompt, ...plain[0]!]);
      state.destroy();
      return logits;
    };
    const exact = await likely("f32");
    const largest = Math.max(...exact.map(Math.abs));
    for (const [dtype, least, most] of [
      ["f16", 1e-7, 2e-3],
      ["q8", 1e-5, 3e-2],
    ] as const) {
      const off = (await likely(dtype)).map((value, n) => Math.abs(value - exact[n]!) / largest);
      expect(Math.max(...off)).toBeLessThan(most);
      expect(Math.max(...off)).toBeGreaterThan(least);
    }
    expect(
      (await idsOf(prompt, { maxTokens: 4, cache: { dtype: "q8", window: 3, sinks: 1 } }))[0],
    ).toHaveLength(4);
  });

  test("a cache that forgets sees the same tokens whether they are read alone or in pieces", async () => {
    const long = Array.from({ length: 26 }, (_, n) => (n * 37) % 43);
    const window = { sinks: 2, window: 6, evict: 3 };
    const states = [await model.createState({ capacity: 10 }), await model.createState({ capacity: 10 })];
    const whole = await model.prefill(states[0]!, long, { window, logitsOf: "all" });
    const rows: number[] = [];
    for (const id of long) rows.push(...(await model.prefill(states[1]!, [id], { window })));
    expect(states.map(({ lengths }) => lengths)).toEqual([[8], [8]]);
    expect(states[0]!.totals).toEqual([26]);
    expect(Math.max(...whole.map((value, n) => Math.abs(value - rows[n]!)))).toBeLessThan(1e-4);
    const all = await model.logits(long);
    const forgotten = whole.slice(-43).map((value, n) => Math.abs(value - all[all.length - 43 + n]!));
    expect(Math.max(...forgotten)).toBeGreaterThan(1e-2);
    for (const state of states) state.destroy();
  });

  test("hooks may do to each sequence what they like", async () => {
    const heads: HeadOperations = new Map([0, 1, 2, 3, 4, 5].map((head) => [head, ZERO_HEAD]));
    const each = (site: HeadOperations[]): AttentionHook => ({ prepare: () => ({ heads: site }) });
    const alone = [
      (await idsOf(prompt, { maxTokens: 6 }))[0],
      (await idsOf(other, { maxTokens: 6, hooks: [each([heads])] }))[0],
    ];
    expect(await idsOf([prompt, other], { maxTokens: 6, hooks: [each([new Map(), heads])] })).toEqual(alone);
  });

  test("hooks may keep the sites that they are told", async () => {
    const sites: AttentionSite[] = [];
    const watching: AttentionHook = {
      activation: (site, name) => {
        if (site.layer === 0 && name === "residualIn") sites.push(site);
      },
    };
    await idsOf(prompt, { maxTokens: 3, hooks: [watching] });
    const positions = [
      [0, 4],
      [4, 5],
      [5, 6],
      [6, 7],
      [7, 8],
    ];
    expect(sites.map((site) => site.positions)).toEqual(positions);
  });

  test.each(["llama-longrope", "llama-dynamic"])(
    "%s verifies a guess as it would have been written, where its length changes how keys are turned",
    async (name) => {
      const turning = await LanguageModel.load(await testContext(), new URL(`${name}/`, FIXTURES));
      const text = Array.from({ length: 14 }, (_, n) => (5 * n + 1) % turning.config.tokens!.vocabulary);
      const state = await turning.createState({ capacity: 64 });
      const written: number[] = [];
      for await (const { id } of turning.generate(text, { maxTokens: 6, stopIds: [] })) written.push(id);
      await turning.prefill(state, text.slice(0, -1), { logitsOf: "none" });
      const guess = [text.at(-1)!, ...written.slice(0, 4)];
      expect(await turning.verify(state, guess)).toEqual(written.slice(0, 5));
      expect(state.totals).toEqual([text.length + 4]);
      for (const one of [state, turning]) one.destroy();
    },
  );

  test("passes that run side by side keep their numbers", async () => {
    const alone = [await model.logits(prompt), await model.logits(other)];
    const writing = idsOf(prompt, { maxTokens: 6 });
    expect(await Promise.all([model.logits(prompt), model.logits(other)])).toEqual(alone);
    const [ids] = await writing;
    await expectGreedy(prompt, ids!);
  });

  test("texts of one length that are read side by side are read each as it is", async () => {
    const texts = [prompt, prompt.map((id) => (id + 7) % model.config.tokens!.vocabulary)];
    const read = async (text: readonly number[]) => {
      const state = await model.createState({ capacity: 64 });
      const logits = await model.prefill(state, text);
      const verified = await model.verify(state, [text[1]!, text[0]!, text[2]!]);
      state.destroy();
      return { logits, verified };
    };
    const alone = [await read(texts[0]!), await read(texts[1]!)];
    expect(alone[0]!.logits).not.toEqual(alone[1]!.logits);
    expect(await Promise.all(texts.map(read))).toEqual(alone);
    const written = texts.map((text) => idsOf(text, { maxTokens: 6 }));
    for (const [n, text] of texts.entries()) await expectGreedy(text, (await written[n]!)[0]!);
  });

  test("a penalty keeps tokens from coming again, as long as the text may become", async () => {
    const sampling = { repetitionPenalty: 1e6 };
    const [ids] = await idsOf(prompt, { maxTokens: 20, sampling });
    expect(new Set([...prompt, ...ids!]).size).toBe(prompt.length + 20);
  });

  test("can be aborted", async () => {
    const signal = AbortSignal.abort("enough");
    await expect(idsOf(prompt, { signal })).rejects.toMatchObject({ code: "aborted" });
  });

  test.each<[string, GenerateOptions]>([
    ["shape", { maxTokens: 0 }],
    ["shape", { candidates: -1 }],
    ["shape", { cache: { window: 4, evict: 5 } }],
    ["unsupported", { cache: { sinks: 3 } }],
    ["dtype", { cache: { dtype: "q4" as never } }],
    ["shape", { stop: [3] as never }],
    ["shape", { stopIds: 5 as never }],
    ["shape", { hooks: [null] as never }],
    ["shape", { sampling: { topP: 0 } }],
    ["unsupported", { sampling: { advance: true } as never }],
    ["unsupported", { tokens: 3 } as never],
  ])("refuses %s: %j", async (code, options) => {
    await expect(idsOf(prompt, options)).rejects.toMatchObject({ code });
  });

  test.each<[string, never]>([
    ["unsupported", "a text without a tokenizer" as never],
    ["unsupported", [{ role: "user", content: "Hello" }] as never],
    ["shape", [] as never],
    ["shape", [[1], []] as never],
    ["shape", [1.5] as never],
    ["shape", undefined as never],
  ])("refuses %s: the prompt %j", async (code, prompts) => {
    await expect(idsOf(prompts, {})).rejects.toMatchObject({ code });
  });
});

test("learned positions end, and cannot be forgotten", async () => {
  const gpt2 = await LanguageModel.load(model.ctx, new URL("gpt2/", FIXTURES));
  const last = async (options: GenerateOptions) => {
    for await (const _ of gpt2.generate([1, 2], options));
  };
  await expect(last({ maxTokens: 30 })).rejects.toMatchObject({ code: "shape" });
  await expect(last({ maxTokens: 3, cache: { window: 4 } })).rejects.toMatchObject({ code: "unsupported" });
  gpt2.destroy();
  await expect(last({ maxTokens: 3 })).rejects.toMatchObject({ code: "disposed" });
});

test("reads and writes texts", async () => {
  const folder = new URL("../../../demo/public/models/lm-softmax/", import.meta.url);
  const writer = await LanguageModel.load(model.ctx, folder);
  const written = async (options: GenerateOptions) => {
    const pieces: string[] = [];
    for await (const { text } of writer.generate("It was a", { maxTokens: 8, stopIds: [], ...options }))
      pieces.push(text);
    return pieces.join("");
  };
  const text = await written({});
  expect(text).toMatch(/^ ?\w/);
  const stop = text.slice(4, 7);
  expect(await written({ stop })).toBe(text.slice(0, text.indexOf(stop)));
  writer.destroy();
});

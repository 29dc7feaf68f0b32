import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { captureActivations } from "webgpu-attention/hooks";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { readSafetensors } from "../../../test/support/safetensors.js";
import { writeSafetensors } from "../../../test/support/safetensors-writer.js";
import { LanguageModel } from "../language-model.js";

const TRAINED = new URL("../../../demo/public/models/lm-softmax/", import.meta.url);
const TINY = new URL("../../../test/fixtures/native/lm-moh/", import.meta.url);

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

/** A model of a folder as one whose layers prefill with SALE. */
function load(folder: URL, threshold: number, more: object = {}): Promise<LanguageModel> {
  const config = JSON.parse(readFileSync(new URL("config.json", folder), "utf8"));
  const sale = { mechanism: "sale", sale_thresholds: Array(config.heads).fill(threshold), ...more };
  const files: Record<string, () => Uint8Array> = {
    "config.json": () => new TextEncoder().encode(JSON.stringify({ ...config, ...sale })),
    "model.safetensors": () => withoutRouters(readFileSync(new URL("model.safetensors", folder))),
  };
  return LanguageModel.load(ctx, async (path) => files[path]?.(), { dtype: "f32" });
}

/** Heads of a mixture are heads like any other. */
function withoutRouters(bytes: Uint8Array): Uint8Array {
  const { metadata, tensors } = readSafetensors(bytes);
  const kept = [...tensors].filter(([name]) => !name.includes("router"));
  return kept.length < tensors.size ? writeSafetensors(metadata, Object.fromEntries(kept)) : bytes;
}

const far = (actual: Float32Array, wanted: Float32Array) => difference(actual, wanted).maxRelative;

describe("layers that prefill with SALE", () => {
  test("give PyTorch's logits of softmax where no block is left out", async () => {
    const file = new URL("../../../test/fixtures/lm-softmax.safetensors", import.meta.url);
    const { tensors } = readSafetensors(readFileSync(file));
    const model = await load(TRAINED, 0);
    const logits = await model.logits(tensors.get("ids")!.data as Int32Array);
    // The fixture has the last rows.
    const expected = tensors.get("logits")!.data as Float32Array;
    expect(far(logits.subarray(-expected.length), expected)).toBeLessThan(1e-4);
    model.destroy();
  });

  test("leave blocks out where thresholds say so, fill caches for softmax, and refuse what they cannot", async () => {
    const long = Array.from({ length: 300 }, (_, n) => (n * 7 + (n % 11)) % 40);
    const [dense, sparse] = [await load(TINY, 0), await load(TINY, 1e6)];
    const { vocabulary } = dense.config.tokens!;
    const [all, some] = [await dense.logits(long), await sparse.logits(long)];
    // The first 256 queries have local blocks alone.
    const early = 256 * vocabulary;
    expect(far(some.subarray(0, early), all.subarray(0, early))).toBeLessThan(1e-5);
    expect(far(some.subarray(early), all.subarray(early))).toBeGreaterThan(1e-3);

    const state = await sparse.createState({ capacity: 512 });
    const capture = captureActivations(ctx, { names: ["k", "headOutput"], layers: [1] });
    const read = await sparse.prefill(state, long, { hooks: [capture] });
    expect(far(read, some.subarray(-vocabulary))).toBeLessThan(1e-4);
    expect(capture.get(1, "headOutput")!.shape[1]).toBe(300);
    expect(capture.get(1, "k")!.shape[1]).toBe(512);

    const carried = await dense.createState({ capacity: 512 });
    await dense.prefill(carried, long.slice(0, 290));
    const rest = await dense.prefill(carried, long.slice(290), { logitsOf: "all" });
    expect(far(rest, all.subarray(290 * vocabulary))).toBeLessThan(1e-4);

    const halves = dense.createState({ capacity: 64, dtype: "f16" });
    await expect(halves).rejects.toMatchObject({ code: "unsupported" });
    const sliding = await load(TINY, 0, { sliding_window: 32 });
    await expect(sliding.logits(long)).rejects.toMatchObject({ code: "unsupported" });
    for (const one of [capture, state, carried, dense, sparse, sliding]) one.destroy();
  });
});

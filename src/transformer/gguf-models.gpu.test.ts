import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import { LanguageModel } from "./language-model.js";

const FIXTURES = new URL("../../test/fixtures/architectures/", import.meta.url);

/**
 * Largest difference, in shares of the largest logit. Expected values are of the dequantised weights, which Q8_0 and Q4_0 are kept as
 * to the bit; of Q4_K and Q6_K scales are rounded to halves.
 */
test.each([
  ["llama-f32", 1e-4],
  ["llama-f16", 1e-4],
  ["gpt2-f16", 1e-4],
  ["qwen2-q8_0", 1e-4],
  ["qwen3-q4_0", 1e-4],
  ["llama-q4_k_m", 2e-3],
])("%s gives the logits of an independent definition", async (name, tolerance) => {
  const ctx = await testContext();
  const { tensors } = readSafetensors(readFileSync(new URL(`gguf-${name}/expected.safetensors`, FIXTURES)));
  const model = await LanguageModel.load(ctx, new URL(`gguf-${name}/model.gguf`, FIXTURES));
  const actual = await model.logits(tensors.get("input_ids")!.data as Int32Array);
  const { maxRelative } = difference(actual, tensors.get("logits")!.data as Float32Array);
  expect(maxRelative).toBeLessThan(tolerance);
  model.destroy();
});

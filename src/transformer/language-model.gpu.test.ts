import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import { LanguageModel } from "./language-model.js";

const FIXTURES = new URL("../../test/fixtures/architectures/", import.meta.url);
/** Of the largest logit; fixtures are float64 of the stored weights. */
const TOLERANCE = 1e-4;

/** Folders whose models write text, and their files of expected values. */
const cases = readdirSync(FIXTURES)
  .filter((name) => /^(llama|mistral|qwen|gpt2|transnormer)/.test(name))
  .flatMap((name) =>
    readdirSync(new URL(`${name}/`, FIXTURES))
      .filter((file) => /^expected.*\.safetensors$/.test(file))
      .map((file) => [name, file] as const),
  );

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

describe.each(cases)("%s, %s", (name, file) => {
  test("gives the logits of an independent definition", async () => {
    const { tensors } = readSafetensors(readFileSync(new URL(`${name}/${file}`, FIXTURES)));
    const numbers = (tensor: string) => tensors.get(tensor)!.data as Float32Array | Int32Array;
    const [batches, tokens] = tensors.get("input_ids")!.shape as [number, number];
    const [ids, mask, logits] = [numbers("input_ids"), numbers("attention_mask"), numbers("logits")];
    const model = await LanguageModel.load(ctx, new URL(`${name}/`, FIXTURES));
    const vocabulary = logits.length / (batches * tokens);
    for (let b = 0; b < batches; b++) {
      const seen = mask.subarray(b * tokens, (b + 1) * tokens).indexOf(1);
      const first = b * tokens + seen;
      const actual = await model.logits(ids.subarray(first, (b + 1) * tokens));
      const expected = logits.subarray(first * vocabulary, (b + 1) * tokens * vocabulary);
      expect(difference(actual, expected).maxRelative).toBeLessThan(TOLERANCE);
    }
    model.destroy();
  });
});

import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import { TextEncoderModel } from "./text-encoder.js";

const FIXTURES = new URL("../../test/fixtures/architectures/", import.meta.url);
const TOLERANCE = 1e-4;

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const cases = readdirSync(FIXTURES)
  .filter((name) => name.startsWith("bert"))
  .flatMap((name) =>
    readdirSync(new URL(`${name}/`, FIXTURES))
      .filter((file) => /^expected.*\.safetensors$/.test(file))
      .map((file) => [name, file] as const),
  );

describe.each(cases)("%s, %s", (name, file) => {
  test("encodes as an independent definition does, whatever the padding", async () => {
    const { tensors } = readSafetensors(readFileSync(new URL(`${name}/${file}`, FIXTURES)));
    const numbers = (tensor: string) => tensors.get(tensor)?.data as Float32Array | undefined;
    const [batches, tokens] = tensors.get("input_ids")!.shape as [number, number];
    const lengths = Array.from({ length: batches }, (_, b) =>
      numbers("attention_mask")!
        .subarray(b * tokens, (b + 1) * tokens)
        .reduce((sum, bit) => sum + bit, 0),
    );
    const rows = (tensor: string) =>
      lengths.map((length, b) => [...numbers(tensor)!.subarray(b * tokens, b * tokens + length)]);
    const model = await TextEncoderModel.load(ctx, new URL(`${name}/`, FIXTURES));
    const results = await model.encode(rows("input_ids"), { typeIds: rows("token_type_ids") });
    const compare = (part: "hidden" | "pooled" | "logits", tensor: string) => {
      const expected = numbers(tensor);
      if (!expected) return;
      results.forEach((result, b) => {
        const own = (expected.length / batches) * b;
        const values = expected.subarray(own, own + result[part]!.length);
        expect(difference(result[part]!, values).maxRelative, part).toBeLessThan(TOLERANCE);
      });
    };
    compare("hidden", "last_hidden_state");
    if (model.config.pooler) compare("pooled", "pooler_output");
    compare("logits", "logits");
    const alone = results[0]!.logits ? "logits" : "hidden";
    const [first] = await model.encode(rows("input_ids"), {
      ...{ typeIds: rows("token_type_ids"), outputs: [alone] },
    });
    expect(first).toEqual({ [alone]: results[0]![alone] });
    await expect(model.encode([[0], [-1]])).rejects.toMatchObject({ code: "shape" });
    model.destroy();
  });
});

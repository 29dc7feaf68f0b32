import { existsSync, readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import { ImageModel } from "./image-model.js";

const FIXTURES = new URL("../../test/fixtures/", import.meta.url);
const ARCHITECTURES = new URL("architectures/", FIXTURES);
const MODELS = new URL("../../demo/public/models/", import.meta.url);
const TOLERANCE = 1e-4;

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

function read(address: URL) {
  const { tensors } = readSafetensors(readFileSync(address));
  return (name: string) => tensors.get(name)?.data as Float32Array | undefined;
}

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>) =>
  expect(difference(actual, expected).maxRelative).toBeLessThan(TOLERANCE);

describe.each(readdirSync(ARCHITECTURES).filter((name) => /^(vit|deit)/.test(name)))("%s", (name) => {
  test("encodes as an independent definition does", async () => {
    const expected = read(new URL(`${name}/expected.safetensors`, ARCHITECTURES));
    const model = await ImageModel.load(ctx, new URL(`${name}/`, ARCHITECTURES));
    const results = await model.encode(expected("pixel_values")!);
    const joined = (part: "hidden" | "pooled" | "logits") => results.flatMap((result) => [...result[part]!]);
    close(joined("hidden"), expected("last_hidden_state")!);
    if (expected("pooler_output")) close(joined("pooled"), expected("pooler_output")!);
    if (expected("logits")) close(joined("logits"), expected("logits")!);
    // What is asked for alone is the same, and nothing else comes.
    const alone = expected("logits") ? "logits" : expected("pooler_output") ? "pooled" : "hidden";
    const [first] = await model.encode(expected("pixel_values")!, { outputs: [alone] });
    expect(first).toEqual({ [alone]: results[0]![alone] });
    model.destroy();
  });
});

const trained = ["image-softmax", "image-agent", "image-flow", "image-moh"].filter((name) =>
  existsSync(new URL(`${name}/`, MODELS)),
);

describe.each(trained)("%s", (name) => {
  test("gives PyTorch's logits", async () => {
    const expected = read(new URL(`${name}.safetensors`, FIXTURES));
    const model = await ImageModel.load(ctx, new URL(`${name}/`, MODELS), { dtype: "f32" });
    const [result] = await model.encode(expected("image")!);
    close(result!.logits!, expected("logits")!);
    expect(model.labels).toHaveLength(10);
    model.destroy();
  });
});

test("pixels are scaled as the configuration says, and have to be whole images", async () => {
  const model = await ImageModel.load(ctx, new URL("image-softmax/", MODELS));
  expect([...model.pixelsOf([0, 255])]).toEqual([-1, 1]);
  await expect(model.encode(new Float32Array(100))).rejects.toMatchObject({ code: "shape" });
  const blank = model.pixelsOf(new Uint8Array(28 * 28));
  await expect(model.encode(blank, { outputs: ["pooled"] })).rejects.toMatchObject({ code: "unsupported" });
  await expect(model.encode(blank, { outputs: [] })).rejects.toMatchObject({ code: "shape" });
  model.destroy();
});

import { describe, expect, test } from "vitest";
import { MemoryDevice } from "../../test/support/memory-device.js";
import { DiffusionModel } from "./diffusion-model.js";
import { ImageModel } from "./image-model.js";
import { LanguageModel } from "./language-model.js";
import { TextEncoderModel } from "./text-encoder.js";

const FIXTURES = new URL("../../test/fixtures/architectures/", import.meta.url);

test("a model of another kind is refused before its weights are read", async () => {
  const device = new MemoryDevice();
  const folder = new URL("vit/", FIXTURES);
  const refused = { code: "unsupported" };
  await expect(LanguageModel.load(device.context, folder)).rejects.toMatchObject(refused);
  await expect(TextEncoderModel.load(device.context, folder)).rejects.toMatchObject(refused);
  await expect(DiffusionModel.load(device.context, folder)).rejects.toMatchObject(refused);
  await expect(ImageModel.load(device.context, new URL("bert/", FIXTURES))).rejects.toMatchObject(refused);
  expect(device.bytes.size).toBe(0);
});

describe("what is no input is refused by type, before anything is compiled", () => {
  const refusal = (code: string, subject: string) => ({ code, message: expect.stringContaining(subject) });

  test.each<[string, string, unknown, object?]>([
    ["shape", "ids", undefined],
    ["shape", "ids", "text"],
    ["shape", "ids[0]", [undefined]],
    ["shape", "typeIds[0]", [[1, 2]], { typeIds: [[0]] }],
    ["shape", "hooks", [[1]], { hooks: {} }],
    ["unsupported", "outputs", [[1]], { outputs: ["all"] }],
    ["shape", "outputs", [[1]], { outputs: [] }],
  ])("text encoder: %s of %s", async (code, subject, ids, options) => {
    const { context } = new MemoryDevice();
    const model = await TextEncoderModel.load(context, new URL("bert/", FIXTURES));
    await expect(model.encode(ids as never, options)).rejects.toMatchObject(refusal(code, subject));
  });

  test.each<[string, string, object]>([
    ["shape", "hooks[0]", { hooks: [null] }],
    ["unsupported", "outputs", { outputs: ["all"] }],
  ])("image model: %s of %s", async (code, subject, options) => {
    const { context } = new MemoryDevice();
    const model = await ImageModel.load(context, new URL("vit/", FIXTURES));
    await expect(model.encode(new Float32Array(1), options)).rejects.toMatchObject(refusal(code, subject));
  });

  test.each<[string, string, object]>([
    ["shape", "hooks", { hooks: {} }],
    ["shape", "hooks", { perturbation: { w: 2 } }],
    ["shape", "perturbation.w", { perturbation: { hooks: [] } }],
    ["unsupported", "perturbation", { perturbation: { w: 2, hook: [] } }],
  ])("diffusion transformer: %s of %s", async (code, subject, options) => {
    const { context } = new MemoryDevice();
    const model = await DiffusionModel.load(context, new URL("../native/dit/", FIXTURES));
    const { channels, size } = model.config.image!;
    const given = { labels: [1], noise: new Float32Array(channels * size ** 2) };
    await expect(model.sample({ ...given, ...options })).rejects.toMatchObject(refusal(code, subject));
  });
});

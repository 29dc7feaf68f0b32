import { expect, test } from "vitest";
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

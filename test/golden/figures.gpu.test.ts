import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { DiffusionModel, ImageModel, LanguageModel } from "webgpu-attention/transformer";
import { argMax, asPixels, bitsOfWindow, classesOf, textWindows } from "../../tools/recompute/evaluate.js";
import { difference } from "../support/compare.js";
import { testContext } from "../support/gpu.js";
import { readSafetensors } from "../support/safetensors.js";

// The items that figures of the shipped checkpoints are made of, as PyTorch has them (tools/train/figure_items.py).

const MODELS = new URL("../../demo/public/models/", import.meta.url);
const { tensors } = readSafetensors(
  readFileSync(new URL("../fixtures/figures.safetensors", import.meta.url)),
);
const numbers = (name: string) => tensors.get(name)!.data as Float32Array | Float64Array | Int32Array;
const names = (item: string) =>
  [...tensors.keys()].filter((key) => key.endsWith(item)).map((key) => key.slice(0, -item.length));
/** Of logits, as fixtures are held to. */
const TOLERANCE = 1e-4;
/** Of images, after fifty steps that each begin where the last one ended. */
const STEPS_TOLERANCE = 1e-3;

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

test.each(names(".bits"))("bits of %s on the held-out book are PyTorch's, window by window", async (name) => {
  const ids = numbers("ids");
  const model = await LanguageModel.load(ctx, new URL(`${name}/`, MODELS), { dtype: "f32" });
  const windows = textWindows(ids.length, model.config.context);
  const expected = numbers(`${name}.bits`);
  expect(windows).toHaveLength(expected.length);
  for (const [n, window] of windows.entries()) {
    const bits = await bitsOfWindow(model, ids, window);
    expect(Math.abs(bits / expected[n]! - 1)).toBeLessThan(1e-5);
  }
  model.destroy();
});

test.each(names(".logits"))("%s names test images as PyTorch does", async (name) => {
  const expected = numbers(`${name}.logits`) as Float32Array;
  const model = await ImageModel.load(ctx, new URL(`${name}/`, MODELS), { dtype: "f32" });
  const results = await model.encode(model.pixelsOf(numbers("images")), { outputs: ["logits"] });
  expect(
    difference(
      results.flatMap(({ logits }) => [...logits!]),
      expected,
    ).maxRelative,
  ).toBeLessThan(TOLERANCE);
  const classes = model.labels.length;
  const right = (row: (n: number) => ArrayLike<number>) =>
    results.filter((_, n) => argMax(row(n)) === numbers("labels")[n]).length;
  expect(right((n) => results[n]!.logits!)).toBe(
    right((n) => expected.subarray(n * classes, (n + 1) * classes)),
  );
  model.destroy();
});

test.each(names(".noise"))("%s makes PyTorch's images, and the judge names them alike", async (name) => {
  const [noise, expected] = [numbers(`${name}.noise`), numbers(`${name}.samples`)] as Float32Array[];
  const model = await DiffusionModel.load(ctx, new URL(`${name}/`, MODELS), { dtype: "f32" });
  const judge = await ImageModel.load(ctx, new URL("image-softmax/", MODELS), { dtype: "f32" });
  const { channels, size } = model.config.image!;
  const labels = Array.from({ length: noise!.length / (channels * size ** 2) }, (_, label) => label);
  const images = await model.sample({ labels, noise: noise! });
  expect(difference(images, expected!).maxRelative).toBeLessThan(STEPS_TOLERANCE);
  expect(await classesOf(judge, asPixels(images))).toEqual(await classesOf(judge, asPixels(expected!)));
  model.destroy();
  judge.destroy();
});

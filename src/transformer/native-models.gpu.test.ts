import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import {
  type ActivationName,
  captureActivations,
  patchActivations,
  perturbHeads,
  softPag,
  ZERO_HEAD,
} from "webgpu-attention/hooks";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import { DiffusionModel } from "./diffusion-model.js";
import { ImageModel } from "./image-model.js";
import { LanguageModel } from "./language-model.js";

const MODELS = new URL("../../test/fixtures/native/", import.meta.url);
/** Of the largest value, against PyTorch in float32. */
const TOLERANCE = 1e-4;

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const folder = (name: string) => new URL(`${name}/`, MODELS);

function expectedOf(name: string) {
  const { tensors } = readSafetensors(readFileSync(new URL(`${name}/expected.safetensors`, MODELS)));
  return (tensor: string) => tensors.get(tensor)!.data as Float32Array;
}

const close = (actual: ArrayLike<number>, expected: ArrayLike<number>) =>
  expect(difference(actual, expected).maxRelative).toBeLessThan(TOLERANCE);

describe.each(["lm-lightning", "lm-flow", "lm-moh"])("%s", (name) => {
  test("gives PyTorch's logits, and goes on from a state as from the whole text", async () => {
    const expected = expectedOf(name);
    const ids = [...expected("ids")];
    const model = await LanguageModel.load(ctx, folder(name));
    const logits = await model.logits(ids);
    close(logits, expected("logits"));
    const { vocabulary } = model.config.tokens!;
    const start = ids.slice(0, 5);
    const written: number[] = [];
    for await (const { id } of model.generate(start, { maxTokens: 4, stopIds: [] })) written.push(id);
    const all = await model.logits([...start, ...written]);
    written.forEach((id, n) => {
      const row = all.subarray((start.length + n - 1) * vocabulary, (start.length + n) * vocabulary);
      expect(row[id]).toBeCloseTo(Math.max(...row), 3);
    });
    model.destroy();
  });
});

describe("hooks", () => {
  const names: ActivationName[] = [
    "residualIn",
    "q",
    "headOutput",
    "attentionOutput",
    "residualOut",
    "logits",
  ];

  test.each(["lm-lightning", "lm-flow", "lm-moh"])(
    "see the activations of %s, and change nothing by that",
    async (name) => {
      const expected = expectedOf(name);
      const ids = [...expected("ids")];
      const model = await LanguageModel.load(ctx, folder(name));
      const capture = captureActivations(ctx, { names });
      const logits = await model.logits(ids, { hooks: [capture] });
      close(logits, expected("logits"));
      const read = async (layer: number, activation: ActivationName) =>
        ctx.read(capture.get(layer, activation)!);
      expect(await read(1, "residualIn")).toEqual(await read(0, "residualOut"));
      expect(await read(1, "logits")).toEqual(logits);
      expect((await read(0, "attentionOutput")).some((value) => value !== 0)).toBe(true);
      capture.destroy();
      model.destroy();
    },
  );

  test("act on heads of a mixture, and put back what they took", async () => {
    const ids = [...expectedOf("lm-moh")("ids")];
    const model = await LanguageModel.load(ctx, folder("lm-moh"));
    const plain = await model.logits(ids);
    const capture = captureActivations(ctx, { names: ["attentionOutput"], layers: [0] });
    await model.logits(ids, { hooks: [capture] });
    const zeroed = perturbHeads(
      [0, 1, 2, 3, 4, 5].map((head) => ({ layer: 0, head })),
      ZERO_HEAD,
    );
    const changed = await model.logits(ids, { hooks: [zeroed] });
    expect(difference(changed, plain).maxRelative).toBeGreaterThan(0.01);
    const source = capture.get(0, "attentionOutput")!;
    const patch = patchActivations([
      { layer: 0, name: "attentionOutput", operation: { kind: "patch", source } },
    ]);
    close(await model.logits(ids, { hooks: [zeroed, patch] }), plain);
    capture.destroy();
    model.destroy();
  });
});

describe.each(["image-agent", "image-flow", "image-moh"])("%s", (name) => {
  test("gives PyTorch's logits", async () => {
    const expected = expectedOf(name);
    const model = await ImageModel.load(ctx, folder(name));
    const results = await model.encode(expected("images"));
    close(
      results.flatMap(({ logits }) => [...logits!]),
      expected("logits"),
    );
    model.destroy();
  });
});

describe("dit", () => {
  let model: DiffusionModel;
  const expected = expectedOf("dit");
  const labels = [3, null];
  beforeAll(async () => {
    model = await DiffusionModel.load(ctx, folder("dit"));
  });

  test("gives PyTorch's velocities", async () => {
    close(await model.velocity(expected("images"), 0.3, labels), expected("velocity"));
  });

  test("samples as PyTorch does", async () => {
    const progress: number[] = [];
    const options = { labels, noise: expected("images"), steps: 3, guidance: 2.5 };
    const images = await model.sample({ ...options, onProgress: ({ done }) => progress.push(done) });
    close(images, expected("samples"));
    expect(progress).toEqual([1, 2, 3]);
  });

  test("is guided away from perturbed heads", async () => {
    const options = { labels: [null], noise: expected("images").subarray(0, 144), steps: 2 };
    const plain = await model.sample(options);
    const hooks = [perturbHeads([{ layer: 0, head: 1 }], softPag())];
    expect(await model.sample({ ...options, perturbation: { w: 0, hooks } })).toEqual(plain);
    expect(await model.sample({ ...options, perturbation: { w: 2, hooks } })).not.toEqual(plain);
  });

  test("refuses labels and images that do not fit", async () => {
    const noise = new Float32Array(144);
    await expect(model.sample({ labels: [10], noise })).rejects.toMatchObject({ code: "shape" });
    await expect(model.sample({ labels: [1, 2], noise })).rejects.toMatchObject({ code: "shape" });
    await expect(model.sample({ labels: [1], noise, steps: 0 })).rejects.toMatchObject({ code: "shape" });
    await expect(model.sample({ label: 1 } as never)).rejects.toMatchObject({ code: "unsupported" });
  });
});

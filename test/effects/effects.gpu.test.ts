import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { captureActivations } from "webgpu-attention/hooks";
import { LanguageModel, loadCheckpoint, ropeTable, type SoftmaxConfig } from "webgpu-attention/transformer";
import type { EffectReport } from "../../tools/effects/effect.js";
import { headHunter } from "../../tools/effects/effects/head-hunter.js";
import { Gates } from "../../tools/effects/gates.js";
import { HeadStatistics } from "../../tools/effects/head-statistics.js";
import { rotated } from "../../tools/effects/rotation.js";
import { difference } from "../support/compare.js";
import { testContext } from "../support/gpu.js";
import { readSafetensors } from "../support/safetensors.js";

const MODELS = new URL("../../demo/public/models/", import.meta.url);
const NATIVE = new URL("../fixtures/native/", import.meta.url);
const folder = (name: string) => new URL(`${name}/`, MODELS);

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

/** Every cell that is a number is one. */
function expectNumbers({ tables, conditions }: EffectReport): void {
  expect(conditions).not.toMatch(/NaN|undefined/);
  for (const { header, rows } of tables) {
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) {
      expect(row).toHaveLength(header.length);
      expect(row.join(" ")).not.toMatch(/NaN|undefined|Infinity/);
    }
  }
}

/** Models of random weights that a command can be tried with: it is not the figures that are looked at here. */
const TINY: Readonly<Record<string, string>> = { dit: "dit", "image-softmax": "image-flow" };

// The other commands compile too much for a test: `npm run effect -- NAME --quick` tries them.
test("head-hunter runs with tiny sizes", async () => {
  const log: string[] = [];
  const model = (wanted: string) => new URL(`${TINY[wanted]}/`, NATIVE);
  const input = { ctx, model, seeds: [1], quick: true, log: (line: string) => log.push(line) };
  expectNumbers(await headHunter(input));
  expect(log.length).toBeGreaterThan(0);
});

/** [1, heads, tokens, channels] of a fixture, as [tokens, heads, channels]. */
function byToken({ shape, data }: { readonly shape: readonly number[]; readonly data: ArrayLike<number> }) {
  const [, heads, tokens, channels] = shape as [number, number, number, number];
  return Float32Array.from({ length: data.length }, (_, n) => {
    const [token, head, c] = [
      Math.floor(n / channels / heads),
      Math.floor(n / channels) % heads,
      n % channels,
    ];
    return data[(head * tokens + token) * channels + c]!;
  });
}

function fixture(name: string) {
  const { tensors } = readSafetensors(
    readFileSync(new URL(`../fixtures/${name}.safetensors`, import.meta.url)),
  );
  return (tensor: string) => tensors.get(tensor)! as { shape: readonly number[]; data: Float32Array };
}

/** What key 0 receives on average from queries of PyTorch's, [tokens, heads, channels], and keys, rotated both. */
function firstReceived(q: Float32Array, k: Float32Array, head: number): number {
  const [tokens, heads, kvHeads, dim] = [q.length / 192, 8, 4, 24];
  const dot = (t: number, s: number) => {
    const [qRow, kRow] = [(t * heads + head) * dim, (s * kvHeads + Math.floor(head / 2)) * dim];
    return Array.from({ length: dim }, (_, c) => q[qRow + c]! * k[kRow + c]!).reduce((a, b) => a + b);
  };
  const first = Array.from({ length: tokens }, (_, t) => {
    const weights = Array.from({ length: t + 1 }, (_, s) => Math.exp(dot(t, s) / Math.sqrt(dim)));
    return weights[0]! / weights.reduce((a, b) => a + b);
  });
  return first.reduce((a, b) => a + b) / tokens;
}

test("what heads look at, and what SALE is given, is what PyTorch's queries and keys say", async () => {
  const expected = fixture("lm-softmax");
  const model = await LanguageModel.load(ctx, folder("lm-softmax"), { dtype: "f32" });
  const ids = [...expected("ids").data];
  const statistics = await HeadStatistics.create(ctx, model.config, ids.length, { receivedMean: true });
  const capture = captureActivations(ctx, { names: ["q", "k"] });
  await model.logits(ids, { hooks: [statistics.hook, capture] });
  const received = await statistics.read("receivedMean");
  for (const layer of [0, 3]) {
    const [q, k] = [byToken(expected(`layers.${layer}.q`)), byToken(expected(`layers.${layer}.k`))];
    for (let head = 0; head < 8; head++)
      expect(received[8 * layer + head]!.values[0]).toBeCloseTo(firstReceived(q, k, head), 4);
    const { attention } = model.config.layers[layer]! as { attention: SoftmaxConfig };
    const shape = { heads: 8, headDim: 24, dim: attention.rope!.dim };
    const read = await ctx.read(capture.get(layer, "q")!);
    const turned = rotated(read, shape, ropeTable(attention.rope!, ids.length));
    expect(difference(turned, q).maxRelative).toBeLessThan(1e-4);
  }
  statistics.destroy();
  capture.destroy();
  model.destroy();
});

test("gates from what enters layers are PyTorch's", async () => {
  const expected = fixture("lm-moh-75");
  const model = await LanguageModel.load(ctx, folder("lm-moh-75"), { dtype: "f32" });
  const { weights } = await loadCheckpoint(ctx, folder("lm-moh-75"), { dtype: "f32" });
  const ids = [...expected("ids").data];
  const gates = await Gates.create(ctx, model.config, weights, ids.length);
  const capture = captureActivations(ctx, { names: ["residualIn"] });
  await model.logits(ids, { hooks: [capture] });
  const found = await gates.read((layer) => capture.get(layer, "residualIn")!);
  for (const layer of [0, 3])
    expect(difference(found[layer]!, expected(`layers.${layer}.gates`).data).maxRelative).toBeLessThan(1e-4);
  gates.destroy();
  capture.destroy();
  weights.destroy();
  model.destroy();
});

/** The first block of the trained language models, by the reference, against what PyTorch had for it when they were exported. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import type { DenseTensor } from "../softmax/reference.js";
import { mixtureOfHeadReference, projectionReference } from "./reference.js";

const ROOT = new URL("../../", import.meta.url);
/** What remains is the float32 rounding of PyTorch. */
const ROUNDING = 5e-6;

interface Config {
  readonly width: number;
  readonly heads: number;
  readonly kv_heads: number;
  readonly hidden: number;
  readonly rope_theta: number;
  readonly shared_heads: number;
  readonly routed_topk: number;
}

describe.each(["lm-moh-75", "lm-moh-50"])("%s", (model) => {
  const folder = `demo/public/models/${model}`;
  const config = JSON.parse(readFileSync(new URL(`${folder}/config.json`, ROOT), "utf8")) as Config;
  const weights = readSafetensors(readFileSync(new URL(`${folder}/model.safetensors`, ROOT))).tensors;
  const trace = readSafetensors(readFileSync(new URL(`test/fixtures/${model}.safetensors`, ROOT))).tensors;
  const numbers = (tensors: typeof weights, name: string) => tensors.get(name)!.data as Float32Array;
  const block = (name: string) => numbers(weights, `blocks.0.${name}.weight`);
  const { width, heads, kv_heads: kvHeads, hidden } = config;

  /** [out, in] row-major as [1, 1, in, out]. */
  const matrix = (data: ArrayLike<number>, inner: number): DenseTensor => {
    const outer = data.length / inner;
    const flipped = Float64Array.from({ length: data.length }, (_, i) => {
      return data[(i % outer) * inner + Math.floor(i / outer)]!;
    });
    return { data: flipped, shape: [1, 1, inner, outer] };
  };
  const normalized = (x: Float64Array, scale: ArrayLike<number>) =>
    x.map((value, i) => {
      const row = x.subarray(i - (i % width), i - (i % width) + width);
      const squares = row.reduce((sum, channel) => sum + channel * channel, 0);
      return (value / Math.sqrt(squares / width + 1e-6)) * scale[i % width]!;
    });

  it("has the gates and the residual that PyTorch had", () => {
    const ids = Array.from(numbers(trace, "ids"));
    const table = numbers(weights, "embedding.weight");
    const embedded = Float64Array.from(
      ids.flatMap((id) => [...table.subarray(id * width, (id + 1) * width)]),
    );
    const x = normalized(embedded, block("norm1"));
    const tokens = ids.length;
    const dim = width / heads;
    const qkv = projectionReference(x, width, matrix(block("mixer.qkv"), width));
    const all = (heads + 2 * kvHeads) * dim;
    const part = (from: number, count: number): DenseTensor => ({
      data: qkv.filter((_, i) => i % all >= from * dim && i % all < (from + count) * dim),
      shape: [1, tokens, count, dim],
    });
    const router = (name: string) => matrix(block(`mixer.router.${name}`), width);
    const mixed = mixtureOfHeadReference({
      x: { data: x, shape: [1, tokens, 1, width] },
      weights: {
        routed: router("among_routed"),
        shared: router("among_shared"),
        balance: router("balance"),
      },
      sharedHeads: config.shared_heads,
      topK: config.routed_topk,
      ...{ q: part(0, heads), k: part(heads, kvHeads), v: part(heads + kvHeads, kvHeads) },
      attention: { causal: true, rope: { theta: config.rope_theta } },
      weight: matrix(block("mixer.out"), width),
    });
    const gates = numbers(trace, "layers.0.gates");
    expect(difference(mixed.gates, gates).maxRelative).toBeLessThan(ROUNDING);
    expect(Array.from(mixed.gates, (gate) => gate !== 0)).toEqual(Array.from(gates, (gate) => gate !== 0));

    const residual = embedded.map((value, i) => value + mixed.out[i]!);
    const up = projectionReference(
      normalized(residual, block("norm2")),
      width,
      matrix(block("channels.up"), width),
    );
    const channels = Float64Array.from({ length: tokens * hidden }, (_, i) => {
      const at = Math.floor(i / hidden) * 2 * hidden + (i % hidden);
      return (up[at]! / (1 + Math.exp(-up[at]!))) * up[at + hidden]!;
    });
    const down = projectionReference(channels, hidden, matrix(block("channels.down"), hidden));
    const found = residual.map((value, i) => value + down[i]!);
    expect(difference(found, numbers(trace, "layers.0.residual")).maxRelative).toBeLessThan(ROUNDING);
  });
});

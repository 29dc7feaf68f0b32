import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { WeightMatrix } from "webgpu-attention/layers";
import { paddedColumns } from "webgpu-attention/layers";
import { testContext } from "../../test/support/gpu.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import type { AttentionContext } from "../index.js";
import { loadCheckpoint } from "./load-checkpoint.js";

const MODELS = new URL("../../demo/public/models/", import.meta.url);

/** The f32 or f16 numbers of a matrix, [rows, columns]. */
async function readMatrix(ctx: AttentionContext, matrix: WeightMatrix): Promise<Float32Array> {
  const { rows, columns, dtype } = matrix;
  const padded = paddedColumns(matrix);
  const values = new Float32Array(rows * columns);
  for (const { buffer, firstRow, rows: count } of matrix.parts) {
    const shape = [1, 1, count, padded] as const;
    const part = await ctx.read({ buffer, dtype: dtype as "f32" | "f16", shape });
    for (let row = 0; row < count; row++) {
      values.set(part.subarray(row * padded, row * padded + columns), (firstRow + row) * columns);
    }
  }
  return values;
}

const names = readdirSync(MODELS);

describe.each(names)("%s", (name) => {
  test("is on the GPU as the file has it", async () => {
    const ctx = await testContext();
    const progress: number[] = [];
    const { config, weights } = await loadCheckpoint(ctx, new URL(`${name}/`, MODELS), {
      onProgress: ({ loadedBytes, totalBytes }) => progress.push(loadedBytes / totalBytes),
    });
    const stored = readSafetensors(readFileSync(new URL(`${name}/model.safetensors`, MODELS))).tensors;
    expect(config.layers.length).toBeGreaterThan(0);
    expect(progress.at(-1)).toBe(1);
    expect(weights.times.readMs).toBeGreaterThan(0);
    const count = [...stored.values()].reduce((sum, { data }) => sum + data.length, 0);
    expect(weights.bytes).toBeGreaterThanOrEqual(2 * count);
    const last = config.layers.length - 1;
    const part = config.image ? "attention" : "mixer";
    const qkv = config.layers[last]!.attention.mechanism === "lightning" ? "qkvu" : "qkv";
    const pairs = [
      [`layers.${last}.${qkv}`, `blocks.${last}.${part}.${qkv}.weight`],
      [`layers.${last}.down`, `blocks.${last}.${config.image ? "" : "channels."}down.weight`],
      config.image ? ["patches", "patches.weight"] : ["embedding", "embedding.weight"],
    ] as const;
    for (const [slot, tensor] of pairs) {
      const [matrix] = weights.matrices(slot);
      expect(matrix!.dtype).toBe("f16");
      const difference = (await readMatrix(ctx, matrix!)).findIndex(
        (value, place) => value !== stored.get(tensor)!.data[place],
      );
      expect(difference, slot).toBe(-1);
    }
    if (config.norm.learned) {
      expect(await ctx.read(weights.view("norm.weight"))).toEqual(stored.get("norm.weight")!.data);
    }
    weights.destroy();
  });
});

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { WeightDType } from "webgpu-attention/layers";
import { MemoryDevice } from "../../../test/support/memory-device.js";
import { readSafetensors } from "../../../test/support/safetensors.js";
import { writeSafetensors } from "../../../test/support/safetensors-writer.js";
import { TensorList } from "../config/tensor-list.js";
import { type LoadCheckpointOptions, loadCheckpoint } from "../load-checkpoint.js";
import { bytesSource } from "../sources/bytes-source.js";
import { halfToFloat } from "./half.js";
import { loadWeights } from "./load-weights.js";
import { readSafetensorsHeader } from "./safetensors.js";

const FIXTURES = new URL("../../../test/fixtures/architectures/", import.meta.url);
const folders = readdirSync(FIXTURES).filter((name) => existsSync(new URL(`${name}/config.json`, FIXTURES)));

async function load(name: string, options: LoadCheckpointOptions = {}, limit?: number) {
  const device = new MemoryDevice(limit);
  const file = new URL(name.endsWith(".gguf") ? name : `${name}/`, FIXTURES);
  return { device, ...(await loadCheckpoint(device.context, file, options)) };
}

/** All tensors of a fixture's files, as numbers. */
function stored(name: string): Map<string, Float32Array> {
  const folder = new URL(`${name}/`, FIXTURES);
  const files = readdirSync(folder).filter((file) => /^model.*\.safetensors$/.test(file));
  const tensors = files.flatMap((file) => [...readSafetensors(readFileSync(new URL(file, folder))).tensors]);
  return new Map(
    tensors.map(([tensor, { data }]) => [tensor, Float32Array.from(data as Float32Array, Number)]),
  );
}

const joined = (...parts: Float32Array[]) => Float32Array.from(parts.flatMap((part) => [...part]));

function transposed(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return values.map((_, place) => values[(place % columns) * rows + Math.floor(place / columns)]!);
}

test.each(folders)("%s: as stored, no number is changed", async (name) => {
  const { weights, device } = await load(name);
  const file = stored(name);
  const all = new Set<number>([...file.values()].flatMap((values) => [...values]));
  // A half has no steps below 2^-24, which bfloat16 has for numbers below 2^-17.
  const isStored = (value: number) => all.has(value) || Math.abs(value) < 2 ** -17;
  for (const slot of weights.names) {
    const isMatrix = !/(norm\d?|Norm|bias|positions|Token|tokenTypes|lrpe)(\.weight|\.bias)?$/.test(slot);
    const values = isMatrix
      ? joined(...weights.matrices(slot).map((matrix) => device.matrix(matrix)))
      : device.floats(weights.view(slot).buffer);
    expect(values.every(isStored), slot).toBe(true);
  }
});

describe("what several tensors make", () => {
  test("q, k and v, gate and up: one below the other", async () => {
    const { weights, device } = await load("qwen3-layer-types");
    const file = stored("qwen3-layer-types");
    const attention = (part: string) => file.get(`model.layers.1.self_attn.${part}`)!;
    const [qkv] = weights.matrices("layers.1.qkv");
    const projections = ["q", "k", "v"].map((part) => attention(`${part}_proj.weight`));
    expect(device.matrix(qkv!)).toEqual(joined(...projections));
    const biases = ["q", "k", "v"].map((part) => attention(`${part}_proj.bias`));
    expect(device.floats(weights.view("layers.1.qkv.bias").buffer)).toEqual(joined(...biases));
    const [gateUp] = weights.matrices("layers.1.gateUp");
    const halves = ["gate", "up"].map((part) => file.get(`model.layers.1.mlp.${part}_proj.weight`)!);
    expect(device.matrix(gateUp!)).toEqual(joined(...halves));
    expect(weights.view("layers.1.qNorm.weight").shape).toEqual([1, 1, 1, 6]);
  });

  test("GPT-2's matrices are transposed", async () => {
    const { weights, device } = await load("gpt2");
    const file = stored("gpt2");
    for (const [slot, name] of [
      ["qkv", "attn.c_attn"],
      ["down", "mlp.c_proj"],
    ] as const) {
      const [matrix] = weights.matrices(`layers.0.${slot}`);
      expect(device.matrix(matrix!)).toEqual(transposed(file.get(`h.0.${name}.weight`)!, matrix!.rows));
    }
  });

  test("small limits cut matrices into parts, the embedding too", async () => {
    const whole = await load("llama-sharded");
    const cut = await load("llama-sharded", {}, 1024);
    const [embedding] = cut.weights.matrices("embedding");
    expect(embedding!.parts.length).toBeGreaterThan(1);
    for (const slot of ["embedding", "layers.0.qkv", "head"]) {
      const [a, b] = [whole.weights.matrices(slot), cut.weights.matrices(slot)];
      expect(cut.device.matrix(b[0]!)).toEqual(whole.device.matrix(a[0]!));
    }
  });

  test("a vector that no binding holds is refused", async () => {
    await expect(load("gpt2", {}, 256)).rejects.toMatchObject({ code: "limit" });
  });
});

describe("types", () => {
  /** Largest difference in a group of so many columns, in shares of the group's range. */
  function worstShare(
    got: Float32Array,
    expected: Float32Array,
    columns: number,
    group: number,
    spread: boolean,
  ) {
    let worst = 0;
    for (let row = 0; row < got.length; row += columns) {
      for (let from = 0; from < columns; from += group) {
        const places = Array.from({ length: Math.min(group, columns - from) }, (_, i) => row + from + i);
        const values = places.map((place) => expected[place]!);
        const range = spread ? Math.max(...values) - Math.min(...values) : Math.max(...values.map(Math.abs));
        const errors = places.map((place) => Math.abs(got[place]! - expected[place]!));
        worst = Math.max(worst, Math.max(...errors) / (range || 1));
      }
    }
    return worst;
  }

  test.each<[WeightDType, number, boolean, number]>([
    ["f32", 1, false, 0],
    ["f16", 1, false, 2 ** -11],
    // Half a step of 1 / 127, and what the scale's own rounding adds to 127 steps.
    ["q8", 16, false, 0.5 / 127 + 2 ** -11],
    // Half a step of 1 / 15, and the rounding of scale and offset.
    ["q4", 32, true, 0.5 / 15 + 2 ** -9],
  ])("%s", async (dtype, group, spread, bound) => {
    const { weights, device } = await load("llama", { dtype });
    const expected = stored("llama").get("model.layers.0.mlp.down_proj.weight")!;
    const [down] = weights.matrices("layers.0.down");
    expect(down).toMatchObject({ dtype, rows: 24, columns: 40 });
    expect(worstShare(device.matrix(down!), expected, 40, group, spread)).toBeLessThanOrEqual(bound);
  });

  test("a choice for each weight", async () => {
    const { weights } = await load("llama-tied", { dtype: (slot) => (slot === "embedding" ? "f16" : "q8") });
    expect(weights.matrices("embedding")[0]!.dtype).toBe("f16");
    expect(weights.matrices("layers.0.down")[0]!.dtype).toBe("q8");
  });

  test("bfloat16 that a half cannot hold is refused, and f32 takes it", async () => {
    const file = writeSafetensors(
      {},
      { w: { dtype: "BF16", shape: [1, 2], data: Uint16Array.of(0x3f80, 0x4780) } },
    );
    const list = new TensorList();
    list.matrix("w", "w", 1, 2);
    const opened = [await readSafetensorsHeader(bytesSource("m", file))];
    const device = new MemoryDevice();
    await expect(loadWeights(device.context, list, opened)).rejects.toMatchObject({
      code: "dtype",
      message: expect.stringContaining("65536"),
    });
    const weights = await loadWeights(device.context, list, opened, { dtype: "f32" });
    expect(Array.from(device.matrix(weights.matrices("w")[0]!))).toEqual([1, 65536]);
  });
});

/** The numbers of one matrix, stored as F32 unless there are others. */
async function loadRows(rows: number[][], dtype: WeightDType | "stored", stored?: [string, ArrayBufferView]) {
  const data = stored?.[1] ?? Float32Array.from(rows.flat());
  const shape = [rows.length, rows[0]!.length];
  const file = writeSafetensors({}, { w: { dtype: stored?.[0] ?? "F32", shape, data } as never });
  const list = new TensorList();
  list.matrix("w", "w", shape[0]!, shape[1]!);
  const device = new MemoryDevice();
  const files = [await readSafetensorsHeader(bytesSource("m", file))];
  const weights = await loadWeights(device.context, list, files, { dtype });
  return [...device.matrix(weights.matrices("w")[0]!)];
}

describe("tiny and absurd weights", () => {
  test.each([1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7])("q8 and q4 of values up to %f", async (largest) => {
    const row = Array.from({ length: 32 }, (_, i) => largest * Math.sin(i + 0.5));
    const [low, high] = [Math.min(...row), Math.max(...row)];
    const worst = async (dtype: WeightDType) =>
      Math.max(...(await loadRows([row], dtype)).map((value, i) => Math.abs(value - row[i]!)));
    // What docs/models.md promises: shares of the largest value and of the range, and a step of scales that are subnormal halves.
    expect(await worst("q8")).toBeLessThanOrEqual(0.0045 * largest + 2 ** -25);
    expect(await worst("q4")).toBeLessThanOrEqual(0.035 * (high - low) + 2 ** -24);
  });

  const halves = (...bits: number[]) => Uint16Array.from(bits);
  test.each<[string, WeightDType | "stored", [string, ArrayBufferView]]>([
    ["F32 NaN", "stored", ["F32", Float32Array.of(1, Number.NaN)]],
    ["F32 infinity", "stored", ["F32", Float32Array.of(1, Number.NEGATIVE_INFINITY)]],
    ["F16 NaN", "stored", ["F16", halves(0x3c00, 0x7e00)]],
    ["F16 infinity, wider", "f32", ["F16", halves(0x3c00, 0x7c00)]],
    ["BF16 NaN", "stored", ["BF16", halves(0x3f80, 0x7fc0)]],
    ["BF16 infinity, wider", "f32", ["BF16", halves(0x3f80, 0x7f80)]],
    ["F32 NaN, rounded", "q8", ["F32", Float32Array.of(1, Number.NaN)]],
    ["F32 NaN, rounded to 16 levels", "q4", ["F32", Float32Array.of(1, Number.NaN)]],
  ])("%s is refused", async (_name, dtype, stored) => {
    const loading = loadRows([[0, 0]], dtype, stored);
    await expect(loading).rejects.toMatchObject({
      code: "dtype",
      message: expect.stringMatching(/w: expected finite weights/),
    });
  });

  test("so is a vector that is no number", async () => {
    const file = writeSafetensors({}, { v: { dtype: "F32", shape: [1], data: Float32Array.of(Number.NaN) } });
    const list = new TensorList();
    list.vector("v", "v", 1);
    const files = [await readSafetensorsHeader(bytesSource("m", file))];
    const loading = loadWeights(new MemoryDevice().context, list, files);
    await expect(loading).rejects.toMatchObject({ code: "dtype", message: expect.stringContaining("NaN") });
  });
});

test("halves of a gated part in two types keep the finer one's values", async () => {
  const gate = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) / 3);
  const up = Uint16Array.from({ length: 64 }, (_, i) => 0x3c00 + 7 * i);
  const file = writeSafetensors(
    {},
    { gate: { dtype: "F32", shape: [2, 32], data: gate }, up: { dtype: "F16", shape: [2, 32], data: up } },
  );
  const list = new TensorList();
  const parts = [
    { name: "gate", rows: 2 },
    { name: "up", rows: 2 },
  ];
  list.stacked("layers.0.gateUp", parts, 32);
  const device = new MemoryDevice();
  const files = [await readSafetensorsHeader(bytesSource("m", file))];
  const [matrix] = (await loadWeights(device.context, list, files)).matrices("layers.0.gateUp");
  expect(matrix!.dtype).toBe("f32");
  expect(device.matrix(matrix!)).toEqual(
    joined(
      gate,
      Float32Array.from(up, (bits) => halfToFloat(bits)),
    ),
  );
});

describe("GGUF", () => {
  test("llama's q and k come back in the order of their heads", async () => {
    const { weights, device } = await load("gguf-llama-f32/model.gguf");
    const [qkv] = weights.matrices("layers.0.qkv");
    // As many values as the file has, each once; which order is right, logits tell.
    expect(qkv).toMatchObject({ dtype: "f32", rows: 40, columns: 24 });
    expect(new Set(device.matrix(qkv!)).size).toBe(40 * 24);
  });

  test("matrices in several types stay apart, but for gates", async () => {
    const { weights } = await load("gguf-llama-q4_k_m/model.gguf");
    expect(weights.matrices("layers.0.qkv").map(({ dtype, rows }) => [dtype, rows])).toEqual([
      ["q4", 48],
      ["q8", 16],
    ]);
    expect(weights.matrices("layers.0.gateUp")).toHaveLength(1);
  });

  test.each(["q8_0", "q4_0", "q4_k_m"])("of %s is what it says, at any type", async (name) => {
    const file = { q8_0: "gguf-qwen2-q8_0", q4_0: "gguf-qwen3-q4_0", q4_k_m: "gguf-llama-q4_k_m" }[name]!;
    const kept = await load(`${file}/model.gguf`);
    const wide = await load(`${file}/model.gguf`, { dtype: "f32" });
    for (const slot of ["embedding", "layers.0.qkv", "layers.0.gateUp", "layers.0.down"]) {
      const [a, b] = [kept, wide].map(({ device, weights }) =>
        joined(...weights.matrices(slot).map((matrix) => device.matrix(matrix))),
      );
      const largest = b!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = a!.reduce((most, value, place) => Math.max(most, Math.abs(value - b![place]!)), 0);
      // Scales of Q4_K and Q6_K are products of two numbers, rounded to halves.
      expect(worst / largest, slot).toBeLessThanOrEqual(name === "q4_k_m" ? 2 ** -10 : 1e-7);
    }
  });
});

describe("hashes", () => {
  const sha256 = (hash: string) => ({ sha256: { "model.safetensors": hash } });

  test("a file of the given hash is taken, another refused", async () => {
    const bytes = readFileSync(new URL("llama/model.safetensors", FIXTURES));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    await load("llama", sha256(hash));
    await expect(load("llama", sha256("0".repeat(64)))).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining(hash),
    });
    await expect(load("llama", sha256("0"))).rejects.toMatchObject({ code: "shape" });
    const misspelt = load("llama", { sha256: { "modle.safetensors": hash } });
    await expect(misspelt).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining("modle"),
    });
  });
});

import { describe, expect, test } from "vitest";
import { AttentionContext, type TensorLayout, type TensorView } from "../../src/index.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { planningDevice } from "../../test/support/planning-device.js";
import {
  planGate,
  planLrpe,
  planMatmul,
  planMeanPool,
  planQkv,
  type WeightMatrix,
  weightBytes,
} from "./index.js";
import { checkLinear } from "./linear.js";
import linearKernel from "./linear.wgsl";
import { checkMatmul } from "./matmul.js";
import { checkQkv } from "./qkv.js";
import { qkvPasses } from "./qkv-passes.js";
import { checkSampling } from "./sampling.js";

// What the layers refuse, where drivers end loops, and what they hold.

const adapter = { vendor: "mesa", architecture: "llvmpipe", device: "", description: "" };
/** Ends loops after 65,535 rounds. */
const llvmpipe = { ...minimumCapabilities(), software: true, adapter };

const buffer = (size: number) => ({ size, usage: 0x8c }) as GPUBuffer;
const layout = (...shape: readonly [number, number, number, number]): TensorLayout => ({
  dtype: "f32",
  shape,
});
const vector = (length: number): TensorView => ({ ...layout(1, 1, 1, length), buffer: buffer(4 * length) });

function matrix(rows: number, columns: number, parts = 1): WeightMatrix {
  const whole = { dtype: "f32", rows, columns } as const;
  const each = rows / parts;
  return {
    ...whole,
    parts: Array.from({ length: parts }, (_, part) => ({
      buffer: buffer(weightBytes(whole, each)),
      ...{ firstRow: part * each, rows: each },
    })),
  };
}

async function context() {
  return AttentionContext.create(planningDevice().device);
}

describe("loops that a driver would end", () => {
  const wide = 40_000;
  const qkv = (columns: number, at = llvmpipe) =>
    qkvPasses(
      checkQkv(
        {
          ...{
            x: layout(1, 1, 1, columns),
            weight: matrix(768, columns),
            k: layout(1, 8, 1, 256),
            v: layout(1, 8, 1, 256),
          },
          ...{ queryNorm: vector(256), keyNorm: vector(256) },
        },
        at,
      ),
      { unused: true },
      at,
      1e12,
    ).map(({ name }) => name);

  test("projections of whole heads go through scratch, where they are shorter", () => {
    expect(qkv(1024)).toEqual(["layers/qkv_rows"]);
    expect(qkv(wide)).toEqual(["layers/vector_matrix", "layers/cache_append"]);
    expect(qkv(wide, minimumCapabilities())).toEqual(["layers/qkv_rows"]);
    // As many columns as fit, but for what is done with a head.
    expect(qkv(31_744)).toEqual(["layers/vector_matrix", "layers/cache_append"]);
  });

  test("a product is refused", () => {
    const problem = (columns: number) => ({ x: layout(1, 1, 1, columns), weight: matrix(8, columns) });
    expect(() => checkMatmul(problem(90_000), llvmpipe)).toThrowError(
      expect.objectContaining({ code: "unsupported" }),
    );
    // Where the columns alone would do, but not the sums of statistics.
    expect(() => checkMatmul(problem(87_300), llvmpipe)).toThrowError(/weight\.columns.*87300/);
    expect(() => checkMatmul(problem(80_000), llvmpipe)).not.toThrow();
    expect(() => checkMatmul(problem(90_000), minimumCapabilities())).not.toThrow();
  });

  test("a product with a matrix of any strides is refused", () => {
    const problem = (inner: number) => ({ x: layout(1, 1, 1, inner), weight: layout(1, 1, inner, 4) });
    expect(() => checkLinear(problem(262_144), llvmpipe)).toThrowError(
      expect.objectContaining({ code: "unsupported" }),
    );
    expect(() => checkLinear(problem(260_000), llvmpipe)).not.toThrow();
    expect(() => checkLinear(problem(262_144), minimumCapabilities())).not.toThrow();
  });

  test("its loads are no loops, which would count in each round", () => {
    for (const { code } of Object.values(linearKernel.variants)) {
      const loads = code.match(/fn \w*(?:load_(?:x|weight|weight_row|rows))\([\s\S]*?\n}/g);
      expect(loads!.length).toBeGreaterThan(2);
      for (const load of loads!) expect(load).not.toContain("for (");
    }
  });

  test("a mean is refused", async () => {
    const ctx = await context();
    const pool = (tokens: number) => planMeanPool(ctx, { x: layout(1, tokens, 1, 4) });
    await expect(pool(65_536)).resolves.toBeDefined();
    Object.defineProperty(ctx, "capabilities", { value: llvmpipe });
    await expect(pool(65_536)).rejects.toMatchObject({ code: "unsupported" });
    await expect(pool(65_535)).resolves.toBeDefined();
  });

  test("the rounds of sampling count, whatever the vocabulary", () => {
    const problem = (capacity: number, changes: object = {}) => ({
      logits: layout(1, 1, 1, 100),
      history: { buffer: buffer(4 * capacity), capacity },
      ...{ repetitionPenalty: 2, temperature: 1, topK: 3, topP: 0.5, ...changes },
    });
    expect(() => checkSampling(problem(64_000), llvmpipe)).toThrowError(
      expect.objectContaining({ code: "unsupported" }),
    );
    expect(() => checkSampling(problem(60_000), llvmpipe)).not.toThrow();
    // Only what is read of the past.
    expect(() => checkSampling(problem(64_000, { repetitionWindow: 100 }), llvmpipe)).not.toThrow();
    expect(() => checkSampling(problem(64_000, { repetitionPenalty: 1 }), llvmpipe)).not.toThrow();
  });
});

describe("options that would be ignored", () => {
  const x = layout(1, 4, 1, 8);
  test("a gate's activation without a gate", async () => {
    const ctx = await context();
    await expect(planGate(ctx, { x, activation: "silu" })).rejects.toMatchObject({ code: "unsupported" });
    await expect(planGate(ctx, { x, gate: x, activation: "silu" })).resolves.toBeDefined();
  });

  test("two ways to say how LRPE turns, and frequencies that are no numbers", async () => {
    const ctx = await context();
    const frequencies = new Float32Array(8).fill(1);
    const lengths = buffer(4);
    for (const both of [
      { theta: 100, frequencies },
      { firstPosition: 1, lengths },
    ])
      await expect(planLrpe(ctx, { x, ...both })).rejects.toMatchObject({ code: "unsupported" });
    frequencies[3] = Number.NaN;
    await expect(planLrpe(ctx, { x, frequencies })).rejects.toThrow(/frequencies\[3\]/);
  });
});

describe("a product", () => {
  test("binds no more than eight buffers, whatever it reads", async () => {
    const { device } = planningDevice();
    const limits = { ...device.limits, maxStorageBuffersPerShaderStage: 8 };
    const ctx = await AttentionContext.create({ ...device, limits } as GPUDevice);
    const reads = (tokens: number) => ({
      x: layout(1, tokens, 1, 32),
      norm: { kind: "layer", weight: vector(32), bias: vector(32) } as const,
      modulation: { scale: layout(1, 1, 1, 32), shift: layout(1, 1, 1, 32) },
    });
    for (const tokens of [8, 9]) {
      const changed = { outScale: layout(1, 1, 1, 8), residual: layout(1, tokens, 1, 8) };
      const gated = { weight: [matrix(8, 32), matrix(8, 32)], gated: true, bias: vector(16) };
      const { passes } = await planMatmul(ctx, { ...reads(tokens), ...gated, ...changed });
      expect(passes.at(-1)!.name).toBe("layers/gate");
      const cache = { k: layout(1, 16, 1, 8), v: layout(1, 16, 1, 8), lengths: buffer(4) };
      const qkv = await planQkv(ctx, { ...reads(tokens), weight: matrix(24, 32), ...cache });
      expect(qkv.passes.at(-1)!.name).toBe("layers/cache_append");
    }
  });

  test("has its vectors counted until it is destroyed", async () => {
    const ctx = await context();
    const before = ctx.memory().scratchBytes;
    const plan = await planMatmul(ctx, { x: layout(1, 1, 1, 32), weight: matrix(8, 32), bias: vector(8) });
    expect(ctx.memory().scratchBytes - before).toBe(4 * 8);
    plan.destroy();
    expect(ctx.memory().scratchBytes).toBe(before);
  });

  test("does not write into any part of its weights", async () => {
    const ctx = await context();
    const weight = matrix(128, 32, 2);
    const plan = await planMatmul(ctx, { x: layout(1, 1, 1, 32), weight });
    const x = { ...layout(1, 1, 1, 32), buffer: buffer(4 * 32) };
    for (const part of weight.parts) {
      const out = { ...layout(1, 1, 1, 128), buffer: part.buffer };
      expect(() => plan.bind({ x, out })).toThrowError(expect.objectContaining({ code: "unsupported" }));
    }
  });
});

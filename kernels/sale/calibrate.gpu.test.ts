import { beforeAll, describe, expect, test, vi } from "vitest";
import type { AttentionContext } from "../../src/index.js";
import { testContext } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { calibrateSale, type SaleSample, saleAttention } from "./index.js";
import { saleReference } from "./reference.js";

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

const TOKENS = 450;
const HEADS = 2;
const DIM = 32;
const random = randomSource(3);

/** Head 0 has keys far apart that matter; head 1 has none. */
function sample(layer: number): SaleSample & { readonly data: Record<"q" | "k" | "v", Float32Array> } {
  const shape = [1, TOKENS, HEADS, DIM] as const;
  const make = () => normalArray(TOKENS * HEADS * DIM, random);
  const data = { q: make(), k: make(), v: make() };
  for (let i = 0; i < data.k.length; i++) {
    const [token, head] = [Math.floor(i / (HEADS * DIM)), Math.floor(i / DIM) % HEADS];
    if (head === 0 && token % 97 === 50) data.k[i] = 1.2 * data.q[(TOKENS - 1) * HEADS * DIM + (i % DIM)]!;
    if (head === 1) data.q[i]! *= 0.2;
  }
  const upload = (values: Float32Array) => ctx.fromArray(values, shape);
  return { layer, q: upload(data.q), k: upload(data.k), v: upload(data.v), data };
}

const SELECTION = { blockK: 32, segment: 128, localWindow: 64 };

/** The published rule in float64, one head and one candidate after another. */
function expected(samples: readonly ReturnType<typeof sample>[], start: number, bound: number): number[] {
  const thresholds = Array<number>(HEADS).fill(start);
  for (const { data } of samples) {
    const shape = [1, TOKENS, HEADS, DIM] as const;
    const dense = { data: data.q, shape };
    const given = {
      q: dense,
      k: { data: data.k, shape },
      v: { data: data.v, shape },
      scale: DIM ** -0.5,
      ...SELECTION,
    };
    const exact = saleReference({ ...given, thresholds: [0, 0] });
    for (let h = 0; h < HEADS; h++) {
      for (;;) {
        const { out } = saleReference({ ...given, thresholds })[h]!;
        const error = out.reduce((sum, value, i) => sum + Math.abs(value - exact[h]!.out[i]!), 0) / TOKENS;
        if (error < bound) break;
        const half = thresholds[h]! / 2;
        thresholds[h] = half <= 1e-3 ? 0 : half;
      }
    }
  }
  return thresholds;
}

describe("calibrateSale", () => {
  test("comes to the thresholds of the published rule, which go on from sample to sample", async () => {
    const samples = [sample(1), sample(1)];
    const rule = { start: 0.4, floor: 1e-3, errorBound: 0.3 };
    const found = await calibrateSale(ctx, samples, { ...SELECTION, ...rule });
    const { layers, ...said } = JSON.parse(JSON.stringify(found)) as typeof found;
    expect(said).toEqual(rule);
    expect(layers).toHaveLength(1);
    const [{ layer, options, keptFraction, error }] = layers as [(typeof layers)[number]];
    expect(layer).toBe(1);
    expect(options).toEqual({ ...SELECTION, thresholds: expected(samples, rule.start, rule.errorBound) });
    for (const h of [0, 1]) {
      expect(error[h]).toBeLessThan(rule.errorBound);
      expect(keptFraction[h]).toBeGreaterThan(0);
      expect(keptFraction[h]).toBeLessThanOrEqual(1);
    }
    const { q, k, v } = samples[0]!;
    const { out } = await saleAttention(ctx, q, k, v, options);
    expect((await ctx.read(out)).every(Number.isFinite)).toBe(true);
  });

  test("makes heads dense that stay above the bound", async () => {
    const { layers } = await calibrateSale(ctx, [sample(0)], {
      ...SELECTION,
      start: 0.4,
      floor: 0.3,
      errorBound: 1e-9,
    });
    expect(layers[0]).toMatchObject({ options: { thresholds: [0, 0] }, keptFraction: [1, 1] });
    for (const error of layers[0]!.error) expect(error).toBeLessThan(1e-4);
  });

  test("takes layers as they come, one sample at a time, and says how far it is", async () => {
    const progress: [number, number, number | undefined][] = [];
    async function* samples() {
      for (const layer of [2, 0]) {
        const one = sample(layer);
        yield one;
        for (const { buffer } of [one.q, one.k, one.v]) buffer.destroy();
      }
    }
    const before = ctx.memory().scratchBytes;
    const { layers } = await calibrateSale(ctx, samples(), {
      ...SELECTION,
      total: 2,
      onProgress: ({ layer, done, total }) => progress.push([layer, done, total]),
    });
    expect(layers.map(({ layer }) => layer)).toEqual([0, 2]);
    expect(progress).toEqual([
      [2, 1, 2],
      [0, 2, 2],
    ]);
    expect(ctx.memory().scratchBytes).toBe(before);
  });

  test("ends when the signal fires", async () => {
    const abort = new AbortController();
    const onProgress = () => abort.abort(new Error("enough"));
    const calibrating = calibrateSale(ctx, [sample(0), sample(1)], {
      ...SELECTION,
      signal: abort.signal,
      onProgress,
    });
    await expect(calibrating).rejects.toMatchObject({ code: "aborted" });
  });

  test("refuses samples that are no numbers", async () => {
    const one = sample(0);
    const k = one.data.k.slice();
    k[70] = Number.NaN;
    const calibration = calibrateSale(ctx, [{ ...one, k: ctx.fromArray(k, one.k.shape) }], SELECTION);
    await expect(calibration).rejects.toMatchObject({
      code: "shape",
      message: expect.stringMatching(/samples: expected finite/),
    });
  });

  test("asks for no sample once the signal has fired", async () => {
    const asked = vi.fn(() => sample(0));
    function* samples() {
      yield asked();
    }
    const calibration = calibrateSale(ctx, samples(), { ...SELECTION, signal: AbortSignal.abort() });
    await expect(calibration).rejects.toMatchObject({ code: "aborted" });
    expect(asked).not.toHaveBeenCalled();
  });

  test("refuses a layer whose heads change", async () => {
    const one = sample(0);
    const fewer = { ...one, q: { ...one.q, shape: [1, TOKENS, 1, DIM] as const } };
    await expect(calibrateSale(ctx, [one, fewer], SELECTION)).rejects.toMatchObject({ code: "shape" });
  });
});

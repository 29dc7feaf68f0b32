import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  AttentionContext,
  AttentionError,
  indexedDbTuningStore,
  memoryTuningStore,
} from "../../src/index.js";
import { testDevice } from "../../test/support/gpu.js";
import { SOFTMAX_CASES, shapesOf } from "./cases.js";
import {
  planSoftmaxAttention,
  type SoftmaxConfiguration,
  type SoftmaxProblem,
  softmaxAttention,
  softmaxConfigurations,
  tuneSoftmaxAttention,
} from "./index.js";

// Rolled loops compile fast; what is tested is the measuring.
const CANDIDATES: readonly SoftmaxConfiguration[] = [
  { kernel: "tiled", groups: 8, lanes: 4, rows: 2, keys: 4, staged: false, f16: false },
  { kernel: "rows", threads: 8, rows: 2, keys: 8, columns: 4, subgroups: false, unroll: false, f16: false },
  { kernel: "rows", threads: 8, rows: 2, keys: 12, columns: 4, subgroups: false, unroll: false, f16: false },
  { kernel: "split", threads: 16, keysPerSplit: 100, f16: false },
];
const layout = { dtype: "f32", shape: [1, 64, 2, 16] } as const;
const problem: SoftmaxProblem = { q: layout, k: layout, v: layout, causal: true };

let device: GPUDevice;
beforeAll(async () => {
  device = await testDevice();
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Changes the text of the kernels that have the mark in theirs: a driver's bug. */
function breakKernels(mark: string, change: (code: string) => string): void {
  const original = device.createShaderModule.bind(device);
  vi.spyOn(device, "createShaderModule").mockImplementation((descriptor) =>
    original(descriptor.code.includes(mark) ? { ...descriptor, code: change(descriptor.code) } : descriptor),
  );
}

describe("tuning softmax attention", () => {
  test("checks and times its candidates, and plans take the winner from then on", async () => {
    const ctx = await AttentionContext.create(device);
    const phases = new Set<string>();
    const measurement = await tuneSoftmaxAttention(ctx, problem, {
      candidates: CANDIDATES,
      onProgress: ({ phase }) => phases.add(phase),
    });
    expect(measurement.dropped).toEqual([]);
    expect(measurement.measured).toHaveLength(CANDIDATES.length);
    expect(measurement.winner.samples.length).toBeGreaterThan(0);
    expect(measurement.flopsPerSecond).toBeGreaterThan(0);
    expect([...phases]).toEqual(["compile", "check", "time"]);
    const { passes } = await planSoftmaxAttention(ctx, problem);
    expect(passes[0]!.name).toBe(`softmax/${measurement.winner.candidate.kernel}`);
    // Another length within a factor of two is the same class; another head dimension is not.
    const { entries } = await ctx.tuning.exportProfile();
    expect(Object.keys(entries)).toHaveLength(1);
    ctx.destroy();
  });

  test("drops a candidate that the driver gets wrong, and one that it does not compile, and reports both", async () => {
    breakKernels("const KEYS: u32 = 8u", (code) => code.replace("1.0 / row_sum", "1.001 / row_sum"));
    const ctx = await AttentionContext.create(device);
    const broken = await tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES });
    expect(broken.dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[1]]);
    expect(broken.dropped[0]!.reason).toMatch(/out is off by 1\.0e-3/);
    vi.restoreAllMocks();
    breakKernels("const KEYS: u32 = 12u", (code) => `${code}\nfn broken() { return 1; }`);
    const fresh = await AttentionContext.create(device);
    const refused = await tuneSoftmaxAttention(fresh, problem, { candidates: CANDIDATES });
    expect(refused.dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[2]]);
    expect(refused.dropped[0]!.reason).toMatch(/softmax\/rows/);
    ctx.destroy();
    fresh.destroy();
  });

  test("finds out a candidate that writes nothing, though the one before was right", async () => {
    breakKernels("const KEYS: u32 = 8u", (code) =>
      code.replace("if (token <= last_token)", "if (token > 99999u)"),
    );
    const ctx = await AttentionContext.create(device);
    const { dropped } = await tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES });
    expect(dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[1]]);
    ctx.destroy();
  });

  test("refuses when every candidate is wrong", async () => {
    breakKernels("fn main", (code) => code.replaceAll("/ row_sum", "/ 3.0 / row_sum"));
    const ctx = await AttentionContext.create(device);
    const tuned = tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES.slice(1, 3) });
    await expect(tuned).rejects.toMatchObject({ code: "compile", message: expect.stringMatching(/off by/) });
    expect(Object.keys((await ctx.tuning.exportProfile()).entries)).toHaveLength(0);
    ctx.destroy();
  });

  test("ends when the signal fires, stores nothing, and frees what it made", async () => {
    const ctx = await AttentionContext.create(device);
    const abort = new AbortController();
    const made: GPUBuffer[] = [];
    const original = device.createBuffer.bind(device);
    vi.spyOn(device, "createBuffer").mockImplementation((descriptor) => {
      const buffer = original(descriptor);
      made.push(buffer);
      return buffer;
    });
    const onProgress = () => abort.abort();
    const tuned = tuneSoftmaxAttention(ctx, problem, {
      candidates: CANDIDATES,
      signal: abort.signal,
      onProgress,
    });
    await expect(tuned).rejects.toMatchObject({ name: "AttentionError", code: "aborted" });
    expect(Object.keys((await ctx.tuning.exportProfile()).entries)).toHaveLength(0);
    ctx.destroy();
    for (const buffer of made) expect(await isDestroyed(buffer)).toBe(true);
  });

  test("measures a problem of every kind of term, types and layouts included, without dropping a candidate", async () => {
    const names =
      /^(all options, (tiled|split)|f16 f16, head dim 40|broadcast bias, tiled|head dim 15|causal window 16)$/;
    const ctx = await AttentionContext.create(device);
    for (const { name, options, dtype, kvDtype, ...sizes } of SOFTMAX_CASES.filter((one) =>
      names.test(one.name),
    )) {
      const shapes = shapesOf({ name, options, dtype, kvDtype, ...sizes });
      const { batches, heads, tokensQ, tokensK } = sizes;
      const { bias, keyMask, alibiSlopes, sinkLogits, ...plain } = options;
      const axes = [batches, heads, tokensQ, tokensK];
      const { dropped, measured } = await tuneSoftmaxAttention(
        ctx,
        {
          ...plain,
          q: { dtype, shape: shapes.q },
          k: { dtype: kvDtype, shape: shapes.k },
          v: { dtype: kvDtype, shape: shapes.v },
          ...(bias && {
            bias: { dtype: "f32", shape: axes.map((n, axis) => (bias[axis] ? n : 1)) as never },
          }),
          ...(keyMask && { keyMask: new Array(batches * tokensK).fill(1) }),
          ...(alibiSlopes && { alibiSlopes: new Array(heads).fill(0.1) }),
          ...(sinkLogits && { sinkLogits: new Array(heads).fill(0) }),
        },
        { candidates: CANDIDATES, budgetMs: 20 },
      );
      expect(dropped, name).toEqual([]);
      expect(measured.length, name).toBeGreaterThanOrEqual(3);
    }
    ctx.destroy();
  });

  test.each([
    ["no candidates", { candidates: [] }, "shape"],
    ["a candidate that is none", { candidates: [{ kernel: "none" } as never] }, "unsupported"],
    ["a budget below zero", { budgetMs: -1 }, "shape"],
    ["an unknown option", { budget: 3 } as never, "unsupported"],
  ])("refuses %s", async (_name, options, code) => {
    const ctx = await AttentionContext.create(device);
    await expect(tuneSoftmaxAttention(ctx, problem, options)).rejects.toMatchObject({ code });
    ctx.destroy();
  });
});

describe("a context that measures", () => {
  test("measures the first plan of a class, once for all that wait for it, and remembers", async () => {
    const store = memoryTuningStore();
    const save = vi.spyOn(store, "save");
    const ctx = await AttentionContext.create(device, { tuning: store });
    const layouts = {
      q: { ...layout, shape: [1, 16, 1, 4] },
      k: { ...layout, shape: [1, 16, 1, 4] },
    } as const;
    const small: SoftmaxProblem = { ...layouts, v: layouts.k };
    const plans = await Promise.all([planSoftmaxAttention(ctx, small), planSoftmaxAttention(ctx, small)]);
    expect(plans[1]!.passes).toEqual(plans[0]!.passes);
    expect(save).toHaveBeenCalledTimes(1);
    const next = await AttentionContext.create(device, { tuning: store });
    const phases: string[] = [];
    await planSoftmaxAttention(next, small, { onProgress: ({ phase }) => phases.push(phase) });
    expect(phases).toEqual([]);
    const q = next.fromArray(new Float32Array(64).fill(1), [1, 16, 1, 4]);
    const { out } = await softmaxAttention(next, q, q, q);
    for (const value of await next.read(out)) expect(value).toBeCloseTo(1, 5);
    ctx.destroy();
    next.destroy();
  });

  test("takes a shipped profile without measuring, and no nonsense from it", async () => {
    const source = await AttentionContext.create(device);
    const { winner } = await tuneSoftmaxAttention(source, problem, { candidates: CANDIDATES.slice(1, 2) });
    const profile = JSON.parse(JSON.stringify(await source.tuning.exportProfile()));
    const ctx = await AttentionContext.create(device);
    expect(await ctx.tuning.importProfile(profile)).toBe(1);
    const { passes } = await planSoftmaxAttention(ctx, problem);
    expect(passes[0]!.constants).toMatchObject({ ROWS: 2, KEYS: 8, THREADS: 8 });
    expect(winner.candidate).toEqual(CANDIDATES[1]);
    for (const entry of Object.values(profile.entries) as { configuration: { threads: number } }[])
      entry.configuration.threads = 1e9;
    await ctx.tuning.importProfile(profile);
    expect((await planSoftmaxAttention(ctx, problem)).passes[0]!.constants.THREADS).not.toBe(1e9);
    source.destroy();
    ctx.destroy();
  });

  test("goes on measuring for one caller when another's signal ends it", async () => {
    const ctx = await AttentionContext.create(device, { tuning: memoryTuningStore() });
    const small = { q: layout, k: layout, v: layout, window: { left: 3 } };
    const abort = new AbortController();
    const ended = planSoftmaxAttention(ctx, small, { signal: abort.signal, onProgress: () => abort.abort() });
    const [first, second] = await Promise.allSettled([ended, planSoftmaxAttention(ctx, small)]);
    expect(first).toMatchObject({ status: "rejected", reason: expect.any(AttentionError) });
    expect(second.status).toBe("fulfilled");
    ctx.destroy();
  });

  test.runIf(typeof indexedDB !== "undefined")("remembers in IndexedDB", async () => {
    const ctx = await AttentionContext.create(device, { tuning: indexedDbTuningStore("test") });
    await tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES.slice(1) });
    expect(ctx.tuning.storeError).toBeUndefined();
    const next = await AttentionContext.create(device, { tuning: indexedDbTuningStore("test") });
    expect(Object.keys((await next.tuning.exportProfile()).entries)).toHaveLength(1);
    const phases: string[] = [];
    await planSoftmaxAttention(next, problem, { onProgress: ({ phase }) => phases.push(phase) });
    expect(phases).toEqual([]);
    ctx.destroy();
    next.destroy();
  });

  test("refuses a tuning that is none", async () => {
    const created = AttentionContext.create(device, { tuning: "fast" as never });
    await expect(created).rejects.toMatchObject({ code: "unsupported" });
  });

  test("publishes the configurations that it chooses among", async () => {
    const ctx = await AttentionContext.create(device);
    expect(softmaxConfigurations(ctx, problem).length).toBeGreaterThanOrEqual(3);
    ctx.destroy();
  });
});

/** A destroyed buffer cannot be written to; the driver says so. */
async function isDestroyed(buffer: GPUBuffer): Promise<boolean> {
  if (!(buffer.usage & GPUBufferUsage.COPY_DST)) return true;
  device.pushErrorScope("validation");
  const encoder = device.createCommandEncoder();
  encoder.clearBuffer(buffer);
  device.queue.submit([encoder.finish()]);
  return (await device.popErrorScope()) !== null;
}

import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
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
import { boundedRate } from "./tuning.js";

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
  test("checks and times its candidates, and plans of the class take the winner from then on", async () => {
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
    const { configuration } = Object.values((await ctx.tuning.exportProfile()).entries)[0]!;
    expect(configuration).toEqual(measurement.winner.candidate);
    const of = (tokens: number, dim: number): SoftmaxProblem => {
      const one = { dtype: "f32", shape: [1, tokens, 2, dim] } as const;
      return { q: one, k: one, v: one, causal: true };
    };
    const odd: SoftmaxConfiguration = {
      kernel: "tiled",
      groups: 2,
      lanes: 2,
      rows: 1,
      keys: 1,
      staged: false,
      f16: false,
    };
    await tuneSoftmaxAttention(ctx, problem, { candidates: [odd] });
    expect((await planSoftmaxAttention(ctx, of(40, 16))).passes[0]!.constants).toMatchObject({ LANES: 2 });
    expect((await planSoftmaxAttention(ctx, of(64, 20))).passes[0]!.constants.LANES).not.toBe(2);
    expect(Object.keys((await ctx.tuning.exportProfile()).entries)).toHaveLength(1);
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

  test("finds out one that leaves another's partial sums to be merged, and touches no scratch of the context's", async () => {
    breakKernels("const THREADS: u32 = 32u", (code) =>
      code.replace("if (index >= params.first_group + params.groups)", "if (index >= 0u)"),
    );
    const ctx = await AttentionContext.create(device);
    const candidates = [16, 32, 64].map((threads): SoftmaxConfiguration => {
      return { kernel: "split", threads, keysPerSplit: 32, f16: false };
    });
    const { dropped, measured } = await tuneSoftmaxAttention(ctx, problem, { candidates });
    expect(dropped.map(({ candidate }) => candidate)).toEqual([candidates[1]]);
    expect(measured).toHaveLength(2);
    expect(ctx.memory().scratchBytes).toBe(0);
    ctx.destroy();
  });

  test("finds out one that writes nothing after another that was wrong", async () => {
    breakKernels("const KEYS: u32 = ", (code) =>
      code.includes("const KEYS: u32 = 8u")
        ? code.replace("1.0 / row_sum", "1.001 / row_sum")
        : code.includes("const KEYS: u32 = 12u")
          ? code.replace("if (token <= last_token)", "if (token > 99999u)")
          : code,
    );
    const ctx = await AttentionContext.create(device);
    const { dropped } = await tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES });
    expect(dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[1], CANDIDATES[2]]);
    ctx.destroy();
  });

  test("drops no candidate for a scale that suits the problem's own data only", async () => {
    const ctx = await AttentionContext.create(device);
    const steep = { ...problem, scale: 1e5 };
    const { dropped } = await tuneSoftmaxAttention(ctx, steep, { candidates: CANDIDATES.slice(0, 3) });
    expect(dropped).toEqual([]);
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
    const alive = livingBuffers();
    const onProgress = () => abort.abort();
    const tuned = tuneSoftmaxAttention(ctx, problem, {
      candidates: CANDIDATES,
      signal: abort.signal,
      onProgress,
    });
    await expect(tuned).rejects.toMatchObject({ name: "AttentionError", code: "aborted" });
    expect(Object.keys((await ctx.tuning.exportProfile()).entries)).toHaveLength(0);
    ctx.destroy();
    await vi.waitFor(() => expect(alive()).toEqual([]));
  });

  test("frees what it made when it succeeds, when a callback throws, and when the driver has no room", async () => {
    const alive = livingBuffers();
    const ctx = await AttentionContext.create(device);
    const options = { candidates: CANDIDATES };
    await tuneSoftmaxAttention(ctx, problem, options);
    const onProgress = () => {
      throw new Error("no element");
    };
    await expect(tuneSoftmaxAttention(ctx, problem, { ...options, onProgress })).rejects.toThrow(
      "no element",
    );
    vi.spyOn(ctx, "empty").mockImplementationOnce(() => {
      throw new AttentionError("limit", { subject: "a", expected: "b", got: "c", fix: "d" });
    });
    const made = vi.spyOn(ctx, "fromArray");
    await expect(tuneSoftmaxAttention(ctx, problem, options)).rejects.toMatchObject({ code: "limit" });
    expect(made).toHaveBeenCalled();
    ctx.destroy();
    expect(alive()).toEqual([]);
  });

  test("drops what the driver refuses to run, and tells the application's handler nothing of it", async () => {
    const heard = vi.fn();
    device.addEventListener("uncapturederror", heard);
    breakKernels("const KEYS: u32 = 12u", (code) => `${code}\nfn broken() { return 1; }`);
    const ctx = await AttentionContext.create(device);
    const groups = device.createBindGroup.bind(device);
    vi.spyOn(device, "createBindGroup").mockImplementation((descriptor) =>
      groups(descriptor.label === "softmax/tiled" ? { ...descriptor, entries: [] } : descriptor),
    );
    const { dropped } = await tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES });
    const names = dropped.map(({ candidate: { kernel }, reason }) => `${kernel}: ${reason}`).sort();
    expect(names).toEqual([
      expect.stringMatching(/^rows: softmax\/rows/),
      expect.stringMatching(/^tiled: tuning submission/),
    ]);
    await device.queue.onSubmittedWorkDone();
    expect(heard).not.toHaveBeenCalled();
    device.removeEventListener("uncapturederror", heard);
    ctx.destroy();
  });

  test.each(["compile", "check", "time"])(
    "says so when the device is lost in the phase %s",
    async (phase) => {
      const doomed = await testDevice();
      const ctx = await AttentionContext.create(doomed);
      const onProgress = (progress: { phase: string }) => {
        if (progress.phase === phase) doomed.destroy();
      };
      const tuned = tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES, onProgress });
      await expect(tuned).rejects.toMatchObject({ name: "AttentionError", code: "device-lost" });
    },
  );

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

  test("takes the table's choice when no candidate works, stores nothing, and reports it once", async () => {
    breakKernels("exp(score - row_max)", (code) =>
      code.replace("exp(score - row_max)", "exp(0.9 * (score - row_max))"),
    );
    const store = memoryTuningStore();
    const save = vi.spyOn(store, "save");
    const ctx = await AttentionContext.create(device, { tuning: store });
    const one = { dtype: "f32", shape: [1, 12, 1, 4] } as const;
    const small = { q: one, k: one, v: one };
    const onProgress = vi.fn();
    const table = await planSoftmaxAttention(await AttentionContext.create(device), small);
    const plan = await planSoftmaxAttention(ctx, small, { onProgress });
    expect(plan.passes.map(({ constants }) => constants)).toEqual(
      table.passes.map(({ constants }) => constants),
    );
    expect([...ctx.tuning.failures.values()]).toEqual([expect.objectContaining({ code: "compile" })]);
    expect(save).not.toHaveBeenCalled();
    onProgress.mockClear();
    await planSoftmaxAttention(ctx, small, { onProgress });
    expect(onProgress).not.toHaveBeenCalled();
    ctx.destroy();
  });

  test("bounds dispatches by no other device's speed, and by none that cannot be", async () => {
    const source = await AttentionContext.create(device);
    await tuneSoftmaxAttention(source, problem, { candidates: CANDIDATES.slice(1, 2) });
    const profile = JSON.parse(JSON.stringify(await source.tuning.exportProfile()));
    const untuned = await AttentionContext.create(device, { maxDispatchMs: 0.01 });
    const configuration = CANDIDATES[1]!;
    const bounded = (await planSoftmaxAttention(untuned, problem, { configuration })).passes.length;
    expect(bounded).toBeGreaterThan(1);
    for (const entry of Object.values<{ flopsPerSecond: number }>(profile.entries))
      entry.flopsPerSecond = 1e30;
    const elsewhere = { ...profile, device: "another" };
    await untuned.tuning.importProfile(elsewhere, { anyDevice: true });
    expect((await planSoftmaxAttention(untuned, problem)).passes.length).toBe(bounded);
    const { capabilities } = untuned;
    expect(boundedRate(1e30, capabilities)).toBe(50 * dispatchFlops(capabilities, 1000));
    expect(boundedRate(1e-30, capabilities)).toBe(dispatchFlops(capabilities, 1));
    expect(boundedRate(undefined, capabilities)).toBeUndefined();
    source.destroy();
    untuned.destroy();
  });

  test.runIf(typeof indexedDB !== "undefined")(
    "keeps one connection to a database, and joins what is saved",
    async () => {
      const open = vi.spyOn(indexedDB, "open");
      const store = indexedDbTuningStore("connections");
      const profile = (key: string) => ({
        format: "webgpu-attention-tuning" as const,
        version: 1 as const,
        device: "one",
        entries: { [key]: { mechanism: "m", kernels: "k", configuration: {}, candidates: 1 } },
      });
      await Promise.all([store.save(profile("a")), store.save(profile("b"))]);
      expect(Object.keys((await store.load("one"))!.entries)).toEqual(["a", "b"]);
      expect(open).toHaveBeenCalledTimes(1);
    },
  );

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

/** Watches the device; gives labels, sizes and usages of buffers that were made since and not destroyed. */
function livingBuffers(): () => string[] {
  const living = new Map<GPUBuffer, string>();
  const create = device.createBuffer.bind(device);
  vi.spyOn(device, "createBuffer").mockImplementation((descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      living.delete(buffer);
      return destroy();
    };
    living.set(buffer, `${descriptor.label ?? ""} ${descriptor.size} bytes, usage ${descriptor.usage}`);
    return buffer;
  });
  return () => [...living.values()];
}

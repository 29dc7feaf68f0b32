import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import {
  AttentionContext,
  AttentionError,
  indexedDbTuningStore,
  memoryTuningStore,
} from "../../src/index.js";
import { testDevice } from "../../test/support/gpu.js";
import { breakKernels, CANDIDATES, PROBLEM } from "../../test/support/softmax-tuning.js";
import {
  planSoftmaxAttention,
  type SoftmaxProblem,
  softmaxAttention,
  softmaxConfigurations,
  tuneSoftmaxAttention,
} from "./index.js";
import { boundedRate } from "./tuning.js";

let device: GPUDevice;
beforeAll(async () => {
  device = await testDevice();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("a context that measures", () => {
  test("measures the first plan of a class, once for all that wait for it, and remembers", async () => {
    const store = memoryTuningStore();
    const save = vi.spyOn(store, "save");
    const ctx = await AttentionContext.create(device, { tuning: store });
    const layouts = {
      q: { dtype: "f32", shape: [1, 16, 1, 4] },
      k: { dtype: "f32", shape: [1, 16, 1, 4] },
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
    const { winner } = await tuneSoftmaxAttention(source, PROBLEM, { candidates: CANDIDATES.slice(1, 2) });
    const profile = JSON.parse(JSON.stringify(await source.tuning.exportProfile()));
    const ctx = await AttentionContext.create(device);
    expect(await ctx.tuning.importProfile(profile)).toBe(1);
    const { passes } = await planSoftmaxAttention(ctx, PROBLEM);
    expect(passes[0]!.constants).toMatchObject({ ROWS: 2, KEYS: 8, THREADS: 8 });
    expect(winner.candidate).toEqual(CANDIDATES[1]);
    for (const entry of Object.values(profile.entries) as { configuration: { threads: number } }[])
      entry.configuration.threads = 1e9;
    await ctx.tuning.importProfile(profile);
    expect((await planSoftmaxAttention(ctx, PROBLEM)).passes[0]!.constants.THREADS).not.toBe(1e9);
    source.destroy();
    ctx.destroy();
  });

  test("goes on measuring for one caller when another's signal ends it", async () => {
    const ctx = await AttentionContext.create(device, { tuning: memoryTuningStore() });
    const { q, k, v } = PROBLEM;
    const small = { q, k, v, window: { left: 3 } };
    const abort = new AbortController();
    const ended = planSoftmaxAttention(ctx, small, { signal: abort.signal, onProgress: () => abort.abort() });
    const [first, second] = await Promise.allSettled([ended, planSoftmaxAttention(ctx, small)]);
    expect(first).toMatchObject({ status: "rejected", reason: expect.any(AttentionError) });
    expect(second.status).toBe("fulfilled");
    ctx.destroy();
  });

  test("takes the table's choice when no candidate works, stores nothing, and reports it once", async () => {
    breakKernels(device, "exp(score - row_max)", (code) =>
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
    await tuneSoftmaxAttention(source, PROBLEM, { candidates: CANDIDATES.slice(1, 2) });
    const profile = JSON.parse(JSON.stringify(await source.tuning.exportProfile()));
    const untuned = await AttentionContext.create(device, { maxDispatchMs: 0.01 });
    const configuration = CANDIDATES[1]!;
    const bounded = (await planSoftmaxAttention(untuned, PROBLEM, { configuration })).passes.length;
    expect(bounded).toBeGreaterThan(1);
    for (const entry of Object.values<{ flopsPerSecond: number }>(profile.entries))
      entry.flopsPerSecond = 1e30;
    const elsewhere = { ...profile, device: "another" };
    await untuned.tuning.importProfile(elsewhere, { anyDevice: true });
    expect((await planSoftmaxAttention(untuned, PROBLEM)).passes.length).toBe(bounded);
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
    await tuneSoftmaxAttention(ctx, PROBLEM, { candidates: CANDIDATES.slice(1) });
    expect(ctx.tuning.storeError).toBeUndefined();
    const next = await AttentionContext.create(device, { tuning: indexedDbTuningStore("test") });
    expect(Object.keys((await next.tuning.exportProfile()).entries)).toHaveLength(1);
    const phases: string[] = [];
    await planSoftmaxAttention(next, PROBLEM, { onProgress: ({ phase }) => phases.push(phase) });
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
    expect(softmaxConfigurations(ctx, PROBLEM).length).toBeGreaterThanOrEqual(3);
    ctx.destroy();
  });
});

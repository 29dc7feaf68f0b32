import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { AttentionContext, AttentionError } from "../../src/index.js";
import { testDevice } from "../../test/support/gpu.js";
import { breakKernels, CANDIDATES, livingBuffers, PROBLEM } from "../../test/support/softmax-tuning.js";
import { SOFTMAX_CASES, shapesOf } from "./cases.js";
import {
  planSoftmaxAttention,
  type SoftmaxConfiguration,
  type SoftmaxProblem,
  tuneSoftmaxAttention,
} from "./index.js";

let device: GPUDevice;
beforeAll(async () => {
  device = await testDevice();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("tuning softmax attention", () => {
  test("checks and times its candidates, and plans of the class take the winner from then on", async () => {
    const ctx = await AttentionContext.create(device);
    const phases = new Set<string>();
    const measurement = await tuneSoftmaxAttention(ctx, PROBLEM, {
      candidates: CANDIDATES,
      onProgress: ({ phase }) => phases.add(phase),
    });
    expect(measurement.dropped).toEqual([]);
    expect(measurement.measured).toHaveLength(CANDIDATES.length);
    expect(measurement.winner.samples.length).toBeGreaterThan(0);
    expect(measurement.flopsPerSecond).toBeGreaterThan(0);
    expect([...phases]).toEqual(["compile", "check", "time"]);
    const { passes } = await planSoftmaxAttention(ctx, PROBLEM);
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
    await tuneSoftmaxAttention(ctx, PROBLEM, { candidates: [odd] });
    expect((await planSoftmaxAttention(ctx, of(40, 16))).passes[0]!.constants).toMatchObject({ LANES: 2 });
    expect((await planSoftmaxAttention(ctx, of(64, 20))).passes[0]!.constants.LANES).not.toBe(2);
    expect(Object.keys((await ctx.tuning.exportProfile()).entries)).toHaveLength(1);
    ctx.destroy();
  });

  test("drops a candidate that the driver gets wrong, and one that it does not compile, and reports both", async () => {
    breakKernels(device, "const KEYS: u32 = 8u", (code) => code.replace("1.0 / row_sum", "1.001 / row_sum"));
    const ctx = await AttentionContext.create(device);
    const broken = await tuneSoftmaxAttention(ctx, PROBLEM, { candidates: CANDIDATES });
    expect(broken.dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[1]]);
    expect(broken.dropped[0]!.reason).toMatch(/out is off by 1\.0e-3/);
    vi.restoreAllMocks();
    breakKernels(device, "const KEYS: u32 = 12u", (code) => `${code}\nfn broken() { return 1; }`);
    const fresh = await AttentionContext.create(device);
    const refused = await tuneSoftmaxAttention(fresh, PROBLEM, { candidates: CANDIDATES });
    expect(refused.dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[2]]);
    expect(refused.dropped[0]!.reason).toMatch(/softmax\/rows/);
    ctx.destroy();
    fresh.destroy();
  });

  test("finds out a candidate that writes nothing, though the one before was right", async () => {
    breakKernels(device, "const KEYS: u32 = 8u", (code) =>
      code.replace("if (i32(own_row + r) <= rows.last)", "if (own_row > 99999u)"),
    );
    const ctx = await AttentionContext.create(device);
    const { dropped } = await tuneSoftmaxAttention(ctx, PROBLEM, { candidates: CANDIDATES });
    expect(dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[1]]);
    ctx.destroy();
  });

  test("finds out one that leaves another's partial sums to be merged, and touches no scratch of the context's", async () => {
    breakKernels(device, "const THREADS: u32 = 32u", (code) =>
      code.replace("if (index >= params.first_group + params.groups)", "if (index >= 0u)"),
    );
    const ctx = await AttentionContext.create(device);
    const candidates = [16, 32, 64].map((threads): SoftmaxConfiguration => {
      return { kernel: "split", threads, keysPerSplit: 32, f16: false };
    });
    const { dropped, measured } = await tuneSoftmaxAttention(ctx, PROBLEM, { candidates });
    expect(dropped.map(({ candidate }) => candidate)).toEqual([candidates[1]]);
    expect(measured).toHaveLength(2);
    expect(ctx.memory().scratchBytes).toBe(0);
    ctx.destroy();
  });

  test("finds out one that writes nothing after another that was wrong", async () => {
    breakKernels(device, "const KEYS: u32 = ", (code) =>
      code.includes("const KEYS: u32 = 8u")
        ? code.replace("1.0 / row_sum", "1.001 / row_sum")
        : code.includes("const KEYS: u32 = 12u")
          ? code.replace("if (i32(own_row + r) <= rows.last)", "if (own_row > 99999u)")
          : code,
    );
    const ctx = await AttentionContext.create(device);
    const { dropped } = await tuneSoftmaxAttention(ctx, PROBLEM, { candidates: CANDIDATES });
    expect(dropped.map(({ candidate }) => candidate)).toEqual([CANDIDATES[1], CANDIDATES[2]]);
    ctx.destroy();
  });

  test("refuses when every candidate is wrong", async () => {
    breakKernels(device, "fn main", (code) => code.replaceAll("/ row_sum", "/ 3.0 / row_sum"));
    const ctx = await AttentionContext.create(device);
    const tuned = tuneSoftmaxAttention(ctx, PROBLEM, { candidates: CANDIDATES.slice(1, 3) });
    await expect(tuned).rejects.toMatchObject({ code: "compile", message: expect.stringMatching(/off by/) });
    expect(Object.keys((await ctx.tuning.exportProfile()).entries)).toHaveLength(0);
    ctx.destroy();
  });

  test("ends when the signal fires, stores nothing, and frees what it made", async () => {
    const ctx = await AttentionContext.create(device);
    const abort = new AbortController();
    const alive = livingBuffers(device);
    const onProgress = () => abort.abort();
    const tuned = tuneSoftmaxAttention(ctx, PROBLEM, {
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
    const alive = livingBuffers(device);
    const ctx = await AttentionContext.create(device);
    const options = { candidates: CANDIDATES };
    await tuneSoftmaxAttention(ctx, PROBLEM, options);
    const onProgress = () => {
      throw new Error("no element");
    };
    await expect(tuneSoftmaxAttention(ctx, PROBLEM, { ...options, onProgress })).rejects.toThrow(
      "no element",
    );
    vi.spyOn(ctx, "empty").mockImplementationOnce(() => {
      throw new AttentionError("limit", { subject: "a", expected: "b", got: "c", fix: "d" });
    });
    const made = vi.spyOn(ctx, "fromArray");
    await expect(tuneSoftmaxAttention(ctx, PROBLEM, options)).rejects.toMatchObject({ code: "limit" });
    expect(made).toHaveBeenCalled();
    ctx.destroy();
    expect(alive()).toEqual([]);
  });

  test("drops what the driver refuses to run, and tells the application's handler nothing of it", async () => {
    const heard = vi.fn();
    const alive = livingBuffers(device);
    device.addEventListener("uncapturederror", heard);
    breakKernels(device, "const KEYS: u32 = 12u", (code) => `${code}\nfn broken() { return 1; }`);
    const ctx = await AttentionContext.create(device);
    const groups = device.createBindGroup.bind(device);
    vi.spyOn(device, "createBindGroup").mockImplementation((descriptor) =>
      groups(descriptor.label === "softmax/tiled" ? { ...descriptor, entries: [] } : descriptor),
    );
    const { dropped } = await tuneSoftmaxAttention(ctx, PROBLEM, { candidates: CANDIDATES });
    const names = dropped.map(({ candidate: { kernel }, reason }) => `${kernel}: ${reason}`).sort();
    expect(names).toEqual([
      expect.stringMatching(/^rows: softmax\/rows/),
      expect.stringMatching(/^tiled: tuning submission/),
    ]);
    await device.queue.onSubmittedWorkDone();
    expect(heard).not.toHaveBeenCalled();
    device.removeEventListener("uncapturederror", heard);
    ctx.destroy();
    // Its candidate of the first look was the one that the driver refused.
    expect(alive()).toEqual([]);
  });

  test.each(["compile", "check", "time"])(
    "says so when the device is lost in the phase %s",
    async (phase) => {
      const doomed = await testDevice();
      const ctx = await AttentionContext.create(doomed);
      const onProgress = (progress: { phase: string }) => {
        if (progress.phase === phase) doomed.destroy();
      };
      const tuned = tuneSoftmaxAttention(ctx, PROBLEM, { candidates: CANDIDATES, onProgress });
      await expect(tuned).rejects.toMatchObject({ name: "AttentionError", code: "device-lost" });
    },
  );

  test("takes a smaller problem where the device is slower than its name says", async () => {
    const ctx = await AttentionContext.create(device);
    const adapter = {
      ...ctx.capabilities.adapter,
      vendor: "nvidia",
      device: "",
      architecture: "",
      description: "",
    };
    Object.assign(ctx, { capabilities: { ...ctx.capabilities, adapter } });
    const one = { dtype: "f32", shape: [1, 768, 4, 64] } as const;
    const { proxy, gpuMs } = await tuneSoftmaxAttention(
      ctx,
      { q: one, k: one, v: one },
      { candidates: CANDIDATES, budgetMs: 60 },
    );
    expect(proxy.tokensQ * proxy.heads).toBeLessThan(768 * 4);
    expect(gpuMs).toBeGreaterThan(0);
    ctx.destroy();
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
    await expect(tuneSoftmaxAttention(ctx, PROBLEM, options)).rejects.toMatchObject({ code });
    ctx.destroy();
  });
});

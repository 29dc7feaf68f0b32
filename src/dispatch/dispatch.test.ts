import { describe, expect, test, vi } from "vitest";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { deviceRequirements } from "./capabilities.js";
import { AttentionError } from "./errors.js";
import type { KernelModule } from "./kernel-module.js";
import { spreadWorkgroups } from "./pass.js";
import { PipelineCache } from "./pipeline-cache.js";
import { ScratchArena } from "./scratch.js";
import { packUniforms } from "./uniforms.js";
import { bindingRange, checkOutput } from "./validate.js";

const kernel: KernelModule = {
  name: "test/kernel",
  conditions: [],
  hash: "0",
  variants: {
    base: {
      code: "",
      enables: [],
      entryPoint: "main",
      bindings: [],
      uniforms: {},
      slots: {},
      constants: { N: { type: "u32", default: 1 } },
    },
  },
};
const request = (N: number) => ({ kernel, variant: "base", constants: { N } });

/** A device that "compiles" when told to. */
function fakeDevice(createComputePipelineAsync: () => Promise<unknown>) {
  return {
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({
      getCompilationInfo: async () => ({
        messages: [{ type: "error", lineNum: 3, linePos: 7, message: "no such type" }],
      }),
    }),
    createComputePipelineAsync: vi.fn(createComputePipelineAsync),
  } as unknown as GPUDevice & { createComputePipelineAsync: ReturnType<typeof vi.fn> };
}

describe("the pipeline cache", () => {
  test("compiles once for requests that are made together, and for later ones", async () => {
    const device = fakeDevice(async () => ({}));
    const cache = new PipelineCache(device);
    const [a, b] = await Promise.all([cache.get(request(1)), cache.get(request(1))]);
    expect(a).toBe(b);
    expect(await cache.get({ ...request(1), slots: {} })).toBe(a);
    expect(device.createComputePipelineAsync).toHaveBeenCalledTimes(1);
    await cache.get(request(2));
    expect(device.createComputePipelineAsync).toHaveBeenCalledTimes(2);
  });

  test("drops the least recently used pipeline", async () => {
    const device = fakeDevice(async () => ({}));
    const cache = new PipelineCache(device, 2);
    for (const n of [1, 2, 1, 3, 1]) await cache.get(request(n));
    expect(cache.size).toBe(2);
    expect(device.createComputePipelineAsync).toHaveBeenCalledTimes(3);
    await cache.get(request(2));
    expect(device.createComputePipelineAsync).toHaveBeenCalledTimes(4);
  });

  test("reports the driver's message and forgets the failure", async () => {
    let failing = true;
    const device = fakeDevice(async () => {
      if (failing) throw new Error("pipeline");
      return {};
    });
    const cache = new PipelineCache(device);
    await expect(cache.get(request(1))).rejects.toMatchObject({
      code: "compile",
      message: /3:7 no such type/,
    });
    failing = false;
    await expect(cache.get(request(1))).resolves.toBeDefined();
  });
});

describe("scratch", () => {
  const device = (maxBufferSize = 2 ** 20) =>
    ({
      limits: { maxBufferSize },
      createBuffer: vi.fn(({ size }: { size: number }) => ({ size, destroy: vi.fn() })),
    }) as unknown as GPUDevice & { createBuffer: ReturnType<typeof vi.fn> };

  test("reuses a slot, grows it by doubling, and keeps what may still be in flight until trim", () => {
    const gpu = device();
    const arena = new ScratchArena(gpu);
    const small = arena.acquire(0, 100);
    expect(arena.acquire(0, 4096)).toBe(small);
    const large = arena.acquire(0, 5000);
    expect(large.size).toBe(8192);
    expect(small.destroy).not.toHaveBeenCalled();
    expect(arena.acquire(0, 10)).toBe(large);
    expect(arena.acquire(1, 10)).not.toBe(large);
    expect(arena.bytes).toBe(4096 + 8192 + 4096);
    arena.trim();
    expect(small.destroy).toHaveBeenCalledTimes(1);
    expect(arena.bytes).toBe(8192 + 4096);
    arena.destroy();
    expect(large.destroy).toHaveBeenCalledTimes(1);
    expect(arena.bytes).toBe(0);
  });

  test("holds buffers for single plans, counts them, and frees them on release and on destroy", () => {
    const arena = new ScratchArena(device());
    const [first, second] = [arena.hold(10), arena.hold(10)];
    expect(second).not.toBe(first);
    expect(arena.bytes).toBe(24);
    arena.release(first);
    expect(first.destroy).toHaveBeenCalledTimes(1);
    expect(arena.bytes).toBe(12);
    arena.destroy();
    expect(second.destroy).toHaveBeenCalledTimes(1);
    expect(first.destroy).toHaveBeenCalledTimes(1);
    expect(() => arena.hold(2 ** 21)).toThrowError(expect.objectContaining({ code: "limit" }));
  });

  test("refuses more than the device takes", () => {
    const arena = new ScratchArena(device(10_000));
    expect(arena.acquire(0, 9_000).size).toBe(10_000);
    expect(() => arena.acquire(1, 10_001)).toThrow(AttentionError);
  });
});

describe("uniforms", () => {
  const layout = {
    size: 48,
    fields: {
      count: { offset: 0, type: "u32" },
      offset: { offset: 4, type: "i32" },
      scale: { offset: 8, type: "f32" },
      strides: { offset: 16, type: "u32", length: 4 },
    },
  } as const;

  test("are packed at their reflected places", () => {
    const view = new DataView(
      packUniforms(layout, { count: 4e9, offset: -5, scale: 0.5, strides: [1, 2, 3, 4] }),
    );
    expect([view.getUint32(0, true), view.getInt32(4, true), view.getFloat32(8, true)]).toEqual([
      4e9, -5, 0.5,
    ]);
    expect([16, 20, 24, 28].map((at) => view.getUint32(at, true))).toEqual([1, 2, 3, 4]);
  });

  test("must all be given, by their names", () => {
    const all = { count: 1, offset: 1, scale: 1, strides: [1, 2, 3, 4] };
    expect(() => packUniforms(layout, { ...all, cuont: 1 })).toThrow(/no field cuont/);
    expect(() => packUniforms(layout, { count: 1 })).toThrow(/offset was not given/);
    expect(() => packUniforms(layout, { ...all, strides: 1 })).toThrow(/strides takes 4 u32/);
  });
});

describe("tensor bindings", () => {
  const capabilities = minimumCapabilities();

  test("start at aligned offsets; the rest goes to the kernel", () => {
    const layout = { dtype: "f32", shape: [1, 2, 1, 3], offset: 100 } as const;
    expect(bindingRange(layout, capabilities)).toEqual({ offset: 256, size: (100 - 64 + 6) * 4, base: 36 });
    expect(bindingRange({ ...layout, offset: 64 }, capabilities)).toEqual({ offset: 256, size: 24, base: 0 });
  });

  test("of outputs give every element its own place", () => {
    const buffer = {} as GPUBuffer;
    const view = (shape: [number, number, number, number], strides: [number, number, number, number]) => ({
      buffer,
      dtype: "f32" as const,
      shape,
      strides,
    });
    const check =
      (...args: Parameters<typeof view>) =>
      () =>
        checkOutput("out", view(...args), {});
    expect(check([2, 3, 4, 5], [60, 20, 5, 1])).not.toThrow();
    expect(check([2, 3, 4, 5], [60, 5, 15, 1])).not.toThrow();
    expect(check([2, 1, 1, 5], [5, 0, 0, 1])).not.toThrow();
    expect(check([2, 3, 4, 5], [60, 20, 4, 1])).toThrow(/out\.strides/);
    expect(check([2, 3, 4, 5], [0, 20, 5, 1])).toThrow(/out\.strides/);
    expect(() => checkOutput("out", view([1, 1, 1, 1], [1, 1, 1, 1]), { q: buffer })).toThrow(/buffer of q/);
  });
});

test("workgroups are spread over two dimensions", () => {
  expect(spreadWorkgroups(65_535, 65_535)).toEqual([65_535, 1, 1]);
  const [x, y, z] = spreadWorkgroups(70_001, 65_535);
  expect([y, z]).toEqual([2, 1]);
  expect(x * y).toBeGreaterThanOrEqual(70_001);
});

test("requirements ask for what the adapter has and no more", () => {
  const limits = minimumCapabilities().limits;
  const adapter = { features: new Set(["subgroups", "depth-clip-control"]), limits } as unknown as GPUAdapter;
  const { requiredFeatures, requiredLimits } = deviceRequirements(adapter);
  expect(requiredFeatures).toEqual(["subgroups"]);
  expect(requiredLimits.maxStorageBufferBindingSize).toBe(limits.maxStorageBufferBindingSize);
  expect(requiredLimits).not.toHaveProperty("minStorageBufferOffsetAlignment");
});

import { BufferUsage } from "./buffer-usage.js";
import { type Capabilities, capabilitiesOf, deviceRequirements } from "./capabilities.js";
import { checkUsage } from "./check.js";
import { AttentionError } from "./errors.js";
import { float16Words, float32FromHalves, float32Words } from "./float16.js";
import { PipelineCache } from "./pipeline-cache.js";
import { Profiler } from "./profiler.js";
import { readBack } from "./read-back.js";
import { ScratchArena } from "./scratch.js";
import {
  bytesPerElement,
  type DType,
  elementCount,
  extentOf,
  type Shape4,
  stridesOf,
  type TensorView,
} from "./tensor-view.js";
import { defaultTuningStore, type TuningStore } from "./tuning/store.js";
import { Tuner } from "./tuning/tuner.js";
import { bindingRange, checkLayout, checkOptions } from "./validate.js";

type Tuning = "table" | "measure" | TuningStore;

/**
 * Everything the library keeps for one `GPUDevice` of the application's: compiled pipelines, scratch memory, and the
 * knowledge of whether the device still lives. Make one per device and share it.
 *
 * The context borrows the device. It never requests or destroys one, and submits only in the one-shot helpers
 * (`softmaxAttention`, `read`, ...), never in `plan.record`.
 */
export class AttentionContext {
  readonly device: GPUDevice;
  readonly capabilities: Capabilities;
  /** Longest that one dispatch is planned to take, in milliseconds: browsers lose the device on long ones. */
  readonly maxDispatchMs: number;
  /** What is known of the device from measuring; profiles to export and import. */
  readonly tuning: Tuner;
  /** @internal Pipelines by kernel, variant and constants. */
  readonly pipelines: PipelineCache;
  /** @internal Memory that passes share. */
  readonly scratch: ScratchArena;
  #lost: GPUDeviceLostInfo | undefined;
  #destroyed = false;
  readonly #onDestroy = new Set<() => void>();

  private constructor(device: GPUDevice, maxDispatchMs: number, tuning: Tuning) {
    this.device = device;
    this.maxDispatchMs = maxDispatchMs;
    this.capabilities = capabilitiesOf(device);
    const store = tuning === "measure" ? defaultTuningStore() : tuning === "table" ? undefined : tuning;
    this.tuning = new Tuner(this.capabilities, tuning !== "table", store);
    this.pipelines = new PipelineCache(device);
    this.scratch = new ScratchArena(device);
    device.lost.then((info) => {
      this.#lost = info;
    });
  }

  /**
   * @param device the application's device; ideally requested with `AttentionContext.requirements(adapter)`, but any works
   * @param options.maxDispatchMs longest that one dispatch is planned to take, by an estimate of the device's speed; default 100
   * @param options.tuning how plans choose kernels and tiles: `"table"` (default) by what is known of the device's family, at
   *   once; `"measure"` by timing candidates on the device the first time that a class of problems is planned (seconds, most of
   *   them compilation), remembered in IndexedDB or, in Node and Deno, in a file of the user's cache folder; a `TuningStore`
   *   measures likewise and remembers there
   * @throws AttentionError "unsupported" when `device` is no GPUDevice, "shape" for options that make no sense,
   *   "device-lost" when the device is lost already
   */
  static async create(
    device: GPUDevice,
    options: { readonly maxDispatchMs?: number; readonly tuning?: Tuning } = {},
  ): Promise<AttentionContext> {
    if (typeof device?.createComputePipelineAsync !== "function") {
      throw new AttentionError("unsupported", {
        subject: "AttentionContext.create",
        expected: "a GPUDevice",
        got: String(device),
        fix: "Request one: (await navigator.gpu.requestAdapter()).requestDevice(AttentionContext.requirements(adapter)).",
      });
    }
    checkOptions("AttentionContext.create", options, ["maxDispatchMs", "tuning"]);
    const { maxDispatchMs = 100, tuning = "table" } = options;
    if (!(typeof maxDispatchMs === "number" && maxDispatchMs > 0)) {
      throw new AttentionError("shape", {
        subject: "maxDispatchMs",
        expected: "a number of milliseconds above 0",
        got: String(maxDispatchMs),
        fix: "Leave it out for 100.",
      });
    }
    if (tuning !== "table" && tuning !== "measure" && !isStore(tuning)) {
      throw new AttentionError("unsupported", {
        subject: "tuning",
        expected: '"table", "measure" or a TuningStore { load, save }',
        got: String(tuning),
        fix: "Leave it out for the table.",
      });
    }
    const context = new AttentionContext(device, maxDispatchMs, tuning);
    await context.assertAlive();
    return context;
  }

  /** What to pass to `adapter.requestDevice` so that kernels may use all that this adapter has. */
  static requirements(adapter: GPUAdapter): ReturnType<typeof deviceRequirements> {
    return deviceRequirements(adapter);
  }

  /**
   * Uploads numbers as a dense tensor, f32 unless `dtype` says f16. The buffer is the caller's to destroy (`view.buffer.destroy()`); it has STORAGE,
   * COPY_SRC and COPY_DST usage.
   *
   * @param shape [batch, tokens, heads, dim]
   * @throws AttentionError "shape" when data and shape differ in size, "limit" when the device takes no such buffer
   */
  fromArray(data: ArrayLike<number>, shape: Shape4, dtype: DType = "f32"): TensorView {
    this.assertUsable();
    checkLayout("fromArray", { dtype, shape }, ["f32", "f16"]);
    if (data.length !== elementCount(shape)) {
      throw new AttentionError("shape", {
        subject: "fromArray data",
        expected: `${elementCount(shape)} numbers for shape [${shape}]`,
        got: `${data.length}`,
        fix: "Shapes are [batch, tokens, heads, dim] in elements.",
      });
    }
    const view = this.empty(shape, dtype);
    this.device.queue.writeBuffer(view.buffer, 0, dtype === "f16" ? float16Words(data) : float32Words(data));
    return view;
  }

  /** A dense tensor of zeros, in a buffer of the caller's as with `fromArray`. */
  empty(shape: Shape4, dtype: DType = "f32"): TensorView {
    this.assertUsable();
    checkLayout("empty", { dtype, shape }, ["f32", "f16"]);
    const size = Math.ceil((bytesPerElement(dtype) * elementCount(shape)) / 4) * 4;
    const { maxBufferSize } = this.capabilities.limits;
    if (size > maxBufferSize) {
      throw new AttentionError("limit", {
        subject: `tensor [${shape}]`,
        expected: `at most ${maxBufferSize} bytes (the device's maxBufferSize)`,
        got: `${size} bytes`,
        fix: "Request the device with AttentionContext.requirements(adapter), or split the tensor.",
      });
    }
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
    return { buffer: this.device.createBuffer({ size, usage }), dtype, shape };
  }

  /**
   * Reads a tensor back, in logical order whatever its strides. Submits a copy and waits for it, and with it for all
   * work submitted before.
   *
   * @returns batch * tokens * heads * dim numbers, dim fastest
   * @throws AttentionError "unsupported" without COPY_SRC usage, "shape", "dtype", "disposed", "device-lost"
   */
  async read(view: TensorView): Promise<Float32Array<ArrayBuffer>> {
    await this.assertAlive();
    checkLayout("view", view, ["f32", "f16"]);
    checkUsage("read view.buffer.usage", view.buffer, "COPY_SRC");
    const needed = Math.ceil((bytesPerElement(view.dtype) * extentOf(view).end) / 4) * 4;
    if (needed > view.buffer.size) {
      throw new AttentionError("shape", {
        subject: "read view.buffer",
        expected: `at least ${needed} bytes`,
        got: `${view.buffer.size} bytes`,
        fix: "Correct shape, strides or offset of the view.",
      });
    }
    const { offset, size, base } = bindingRange(view, this.capabilities);
    return readBack(this, "read view.buffer.usage", { buffer: view.buffer, offset, size }, (bytes) =>
      gather(
        view.dtype === "f16" ? float32FromHalves(new Uint16Array(bytes)) : new Float32Array(bytes),
        view,
        base,
      ),
    );
  }

  /** Times passes on the GPU; see `Profiler`. The caller destroys it. */
  createProfiler(capacity?: number): Profiler {
    this.assertUsable();
    return new Profiler(this.device, capacity);
  }

  /** Bytes of GPU memory that the context holds, and how many pipelines. Tensors and plans are the caller's. */
  memory(): { scratchBytes: number; pipelines: number } {
    return { scratchBytes: this.scratch.bytes, pipelines: this.pipelines.size };
  }

  /** Fills all scratch memory, present and future, with one value. For tests: NaN shows reads of stale data. */
  fillScratch(value: number): void {
    this.assertUsable();
    this.scratch.fill(value);
  }

  /** Frees the context's memory; the device stays the application's. Plans of this context can no longer record. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const dispose of this.#onDestroy) dispose();
    this.#onDestroy.clear();
    this.pipelines.clear();
    this.scratch.destroy();
  }

  /** @internal Runs `dispose` when the context is destroyed. */
  onDestroy(dispose: () => void): void {
    this.#onDestroy.add(dispose);
  }

  /** @internal @throws AttentionError "disposed" or "device-lost", as far as it is known at once. */
  assertUsable(): void {
    if (this.#destroyed) {
      throw new AttentionError("disposed", {
        subject: "context",
        expected: "a context in use",
        got: "a context after destroy()",
        fix: "Make a new one with AttentionContext.create(device).",
      });
    }
    if (this.#lost) {
      throw new AttentionError("device-lost", {
        subject: "device",
        expected: "a live GPUDevice",
        got: `a device lost (${this.#lost.reason || "unknown"}${this.#lost.message ? `: ${this.#lost.message}` : ""})`,
        fix: "Request a new device, make a new context, and upload the tensors again.",
      });
    }
  }

  /**
   * @internal Like `assertUsable`, after one round trip to the GPU process: a loss that has already happened is known
   * here only once the message about it has arrived, and messages arrive in order.
   */
  async assertAlive(): Promise<void> {
    this.assertUsable();
    this.device.pushErrorScope("validation");
    await this.device.popErrorScope().catch(() => null);
    this.assertUsable();
  }

  /**
   * @internal Records and submits, and turns what the driver says about it into a typed error: a buffer that was
   * destroyed or belongs to another device shows up only there.
   */
  async submitChecked(record: (encoder: GPUCommandEncoder) => void): Promise<void> {
    const { device } = this;
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation");
    const encoder = device.createCommandEncoder({ label: "webgpu-attention" });
    let thrown: unknown;
    try {
      record(encoder);
      device.queue.submit([encoder.finish()]);
    } catch (error) {
      thrown = error;
    }
    const scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const [validation, memory] = await scopes.catch(() => [null, null] as const);
    if (thrown) throw thrown;
    if (validation || memory) {
      await this.assertAlive();
      throw new AttentionError(validation ? "disposed" : "limit", {
        subject: "submit",
        expected: validation ? "live buffers of the context's own device" : "enough GPU memory",
        got: (validation ?? memory)!.message,
        fix: validation
          ? "Keep buffers alive until the work is done, and use buffers of this device only."
          : "Free buffers, or split the work.",
      });
    }
  }
}

function isStore(tuning: unknown): tuning is TuningStore {
  const { load, save } = (tuning ?? {}) as Partial<TuningStore>;
  return typeof load === "function" && typeof save === "function";
}

function gather(source: Float32Array, view: TensorView, base: number): Float32Array<ArrayBuffer> {
  const [batch, tokens, heads, dim] = view.shape;
  const [sb, st, sh, sd] = stridesOf(view);
  const result = new Float32Array(elementCount(view.shape));
  let next = 0;
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < tokens; t++) {
      for (let h = 0; h < heads; h++) {
        const row = base + b * sb + t * st + h * sh;
        for (let d = 0; d < dim; d++) result[next++] = source[row + d * sd]!;
      }
    }
  }
  return result;
}

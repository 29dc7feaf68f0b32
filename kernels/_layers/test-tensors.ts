import { expect } from "vitest";
import { AttentionContext } from "../../src/dispatch/context.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { testDevice } from "../../test/support/gpu.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { LayerPlan } from "./layer-plan.js";
import { encodeWeights } from "./test-weights.js";
import type { WeightDType, WeightMatrix } from "./weight-matrix.js";

/**
 * A context that plans what a GPU runs, whatever the adapter: software adapters get variants and sizes of their own, and
 * tests have to cover both.
 */
export async function contextAsOnGpu(): Promise<AttentionContext> {
  const ctx = await AttentionContext.create(await testDevice({}));
  const adapter = { vendor: "", architecture: "", device: "", description: "" };
  Object.defineProperty(ctx, "capabilities", { value: { ...ctx.capabilities, adapter, software: false } });
  return ctx;
}

/** Expects what `contextAsOnGpu` is for: kernels and sizes that no software adapter is given. */
export function expectForGpu(passes: readonly Pass[]): void {
  for (const { name, variant, constants = {} } of passes) {
    expect(name).not.toBe("layers/matrix_registers");
    expect(variant).not.toContain("subgroups");
    if ("LANES" in constants) expect(constants.LANES).toBeGreaterThan(1);
    if ("THREADS" in constants) expect(constants.THREADS).toBeGreaterThanOrEqual(64);
  }
}

/** What the tests of layers share: random inputs, outputs full of NaN, one submit. Buffers go with `destroy`. */
export class TestTensors {
  readonly #ctx: AttentionContext;
  readonly #random = randomSource(7);
  readonly #buffers: GPUBuffer[] = [];

  constructor(ctx: AttentionContext) {
    this.#ctx = ctx;
  }

  normal(count: number): Float32Array<ArrayBuffer> {
    return normalArray(count, this.#random);
  }

  upload(data: ArrayLike<number>, shape: Shape4): TensorView {
    return this.#keep(this.#ctx.fromArray(data, shape));
  }

  /** A view with gaps before it, and between neighbours along every axis. */
  uploadSparse(data: ArrayLike<number>, shape: Shape4): TensorView {
    const [, t, h, d] = shape;
    const strides: Shape4 = [(t * h * d * 2 + 3) * 2, h * d * 2 + 3, d * 2, 2];
    const spread = new Float32Array(5 + shape[0] * strides[0]).fill(Number.NaN);
    for (let n = 0; n < elementCount(shape); n++) {
      const [b, i, j, c] = [
        Math.floor(n / (t * h * d)),
        Math.floor(n / (h * d)) % t,
        Math.floor(n / d) % h,
        n % d,
      ];
      spread[5 + b * strides[0] + i * strides[1] + j * strides[2] + c * strides[3]] = data[n]!;
    }
    return { ...this.upload(spread, [1, 1, 1, spread.length]), shape, strides, offset: 5 };
  }

  uploadU32(values: ArrayLike<number>): GPUBuffer {
    const buffer = this.#ctx.device.createBuffer({ size: 4 * values.length, usage: 0x80 | 0x08 });
    this.#ctx.device.queue.writeBuffer(buffer, 0, Uint32Array.from(values));
    this.#buffers.push(buffer);
    return buffer;
  }

  /**
   * A weight matrix of random numbers of variance 1 / columns, and what it stores of them.
   *
   * @param partRows rows of each part; default one part
   */
  weights(
    dtype: WeightDType,
    rows: number,
    columns: number,
    partRows = rows,
  ): { matrix: WeightMatrix; values: Float64Array } {
    const data = this.normal(rows * columns).map((value) => value / Math.sqrt(columns));
    const values = new Float64Array(rows * columns);
    const parts = Array.from({ length: Math.ceil(rows / partRows) }, (_, part) => {
      const firstRow = part * partRows;
      const count = Math.min(partRows, rows - firstRow);
      const own = data.subarray(firstRow * columns, (firstRow + count) * columns);
      const encoded = encodeWeights(own, { dtype, rows: count, columns });
      values.set(encoded.values, firstRow * columns);
      return { buffer: this.uploadBytes(encoded.bytes), firstRow, rows: count };
    });
    return { matrix: { dtype, rows, columns, parts }, values };
  }

  uploadBytes(bytes: Uint8Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#ctx.device.createBuffer({ size: bytes.byteLength, usage: 0x80 | 0x08 | 0x04 });
    this.#ctx.device.queue.writeBuffer(buffer, 0, bytes);
    this.#buffers.push(buffer);
    return buffer;
  }

  empty(shape: Shape4): TensorView {
    return this.upload(new Float32Array(elementCount(shape)).fill(Number.NaN), shape);
  }

  /** Runs a plan once, destroys it and reads `tensors.out`. */
  async run<Tensors extends { readonly out: TensorView }>(
    plan: LayerPlan<Tensors>,
    tensors: Tensors,
  ): Promise<Float32Array> {
    const encoder = this.#ctx.device.createCommandEncoder();
    plan.record(encoder, tensors);
    this.#ctx.device.queue.submit([encoder.finish()]);
    plan.destroy();
    return this.#ctx.read(tensors.out);
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }

  #keep(view: TensorView): TensorView {
    this.#buffers.push(view.buffer);
    return view;
  }
}

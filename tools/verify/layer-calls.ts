import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";
import {
  type Activation,
  type LayerPlan,
  planGate,
  planLayerNorm,
  planLinear,
  planLrpe,
  planRmsNorm,
} from "webgpu-attention/layers";
import type { SafetensorsTensor } from "../../test/support/safetensors.js";
import type { CaseBuffers } from "./case-buffers.js";
import { numbersOf, type VerifyCase } from "./verify-case.js";

/** The layers around attention, one call each, with the weights of a case. Outputs are dense and full of NaN before. */
export class LayerCalls {
  readonly #ctx: AttentionContext;
  readonly #case: VerifyCase;
  readonly #buffers: CaseBuffers;

  constructor(ctx: AttentionContext, testCase: VerifyCase, buffers: CaseBuffers) {
    this.#ctx = ctx;
    this.#case = testCase;
    this.#buffers = buffers;
  }

  /** A dense tensor of zero or more leading axes, seen as [B, T, 1, C]. */
  rows(tensor: SafetensorsTensor): TensorView {
    const { shape } = tensor;
    const [batch = 1, tokens = 1] = shape.slice(0, -1);
    return {
      buffer: this.#buffers.upload(numbersOf(tensor)),
      dtype: "f32",
      shape: [batch, tokens, 1, shape.at(-1)!],
    };
  }

  empty(shape: Shape4): TensorView {
    return { buffer: this.#buffers.nan(shape.reduce((a, b) => a * b)), dtype: "f32", shape };
  }

  /** x Wᵀ + b with `NAME.weight` [out, in], or a tensor NAME itself, and `NAME.bias` if there is one. */
  async linear(x: TensorView, name: string, activation: Activation = "none"): Promise<TensorView> {
    const stored = this.#case.tensors.get(`${name}.weight`) ?? this.#case.tensors.get(name);
    if (!stored) throw new Error(`tensor "${name}.weight" is missing`);
    const [outer, inner] = stored.shape as [number, number];
    const weight = {
      ...this.#vector(stored),
      shape: [1, 1, inner, outer] as const,
      strides: [0, 0, 1, inner] as const,
    };
    const bias = this.#case.tensors.get(`${name}.bias`);
    const [batch, tokens] = x.shape;
    const out = this.empty([batch, tokens, 1, outer]);
    const tensors = { x, weight, ...(bias && { bias: this.#vector(bias) }), out };
    return this.#run(await planLinear(this.#ctx, { ...tensors, activation }), tensors);
  }

  async layerNorm(x: TensorView, name: string, epsilon: number): Promise<TensorView> {
    const width = x.shape[3];
    const vector = (part: string, value: number) =>
      this.#vector(this.#case.tensors.get(`${name}.${part}`) ?? filled(width, value));
    const tensors = { x, scale: vector("weight", 1), bias: vector("bias", 0), out: this.empty(x.shape) };
    return this.#run(await planLayerNorm(this.#ctx, { ...tensors, epsilon }), tensors);
  }

  async rmsNorm(x: TensorView, epsilon: number): Promise<TensorView> {
    const tensors = { x, out: this.empty(x.shape) };
    return this.#run(await planRmsNorm(this.#ctx, { ...tensors, epsilon }), tensors);
  }

  async gate(x: TensorView, gate: TensorView, activation: Activation): Promise<TensorView> {
    const tensors = { x, gate, out: this.empty(x.shape) };
    return this.#run(await planGate(this.#ctx, { ...tensors, activation }), tensors);
  }

  async lrpe(x: TensorView): Promise<TensorView> {
    const [batch, tokens, heads, dim] = x.shape;
    const tensors = { x, out: this.empty([batch, tokens, heads, 2 * dim]) };
    return this.#run(await planLrpe(this.#ctx, tensors), tensors);
  }

  async #run<Tensors extends { readonly out: TensorView }>(
    plan: LayerPlan<Tensors>,
    tensors: Tensors,
  ): Promise<TensorView> {
    const encoder = this.#ctx.device.createCommandEncoder();
    plan.record(encoder, tensors);
    this.#ctx.device.queue.submit([encoder.finish()]);
    plan.destroy();
    return tensors.out;
  }

  #vector(tensor: SafetensorsTensor): TensorView {
    const numbers = numbersOf(tensor);
    return { buffer: this.#buffers.upload(numbers), dtype: "f32", shape: [1, 1, 1, numbers.length] };
  }
}

function filled(length: number, value: number): SafetensorsTensor {
  return { dtype: "F32", shape: [length], data: new Float32Array(length).fill(value) };
}

import {
  type AttentionContext,
  AttentionError,
  q8Layout,
  type Shape4,
  type TensorView,
} from "webgpu-attention";
import { flowStateShape } from "webgpu-attention/flow";
import type { AttentionConfig, ModelConfig } from "../config/model-config.js";

/** Storage of cached keys and values. q8 has a scale for each head of a token. */
export type CacheDType = "f32" | "f16" | "q8";

/** Keys (unrotated) and values of all tokens so far, [B, capacity, Hkv, D]. */
export interface KeyValueCache {
  readonly kind: "cache";
  readonly k: TensorView;
  readonly v: TensorView;
}

/** What is left of all tokens so far, in two tensors taken in turn: a pass reads one and writes the other. */
export interface RecurrentState {
  readonly kind: "recurrent";
  readonly turns: readonly [TensorView, TensorView];
}

/** Which of two tensors holds what the last pass left. */
export type Turn = 0 | 1;

/** Which of the two holds what was left so many passes before the last one, as long as none has written to it since. */
export function turnOf(last: Turn, back: 0 | 1): Turn {
  return last === back ? 0 : 1;
}

export type LayerState = KeyValueCache | RecurrentState;

export interface StateOptions {
  readonly batches: number;
  /** Tokens that caches have room for. */
  readonly capacity: number;
  readonly dtype: CacheDType;
}

type Allocate = (shape: Shape4, dtype: CacheDType) => TensorView;

/** Zeros, in buffers that `destroy` of the whole state frees; `made` gets each as soon as it is there. */
export function allocator(ctx: AttentionContext, made: (buffer: GPUBuffer) => void): Allocate {
  return (shape, dtype) => {
    const [batches, tokens, heads, dim] = shape;
    const view =
      dtype === "q8"
        ? { ...ctx.empty([batches, tokens, heads, 1 + dim / 4]), ...q8Layout(shape) }
        : ctx.empty(shape, dtype);
    made(view.buffer);
    return view;
  };
}

/** @throws AttentionError "unsupported" for attention that does not go from token to token */
export function emptyLayer(
  allocate: Allocate,
  attention: AttentionConfig,
  { batches, capacity, dtype }: StateOptions,
): LayerState {
  const { mechanism, heads, kvHeads, headDim } = attention;
  const two = (shape: Shape4, type: CacheDType) => [allocate(shape, type), allocate(shape, type)] as const;
  switch (mechanism) {
    case "softmax":
    case "sale":
    case "moh": {
      const [k, v] = two([batches, capacity, kvHeads, headDim], dtype);
      return { kind: "cache", k, v };
    }
    case "lightning": {
      // LRPE makes two channels of one.
      const dim = attention.lrpe ? 2 * headDim : headDim;
      return { kind: "recurrent", turns: two([batches, heads, dim, headDim], "f32") };
    }
    case "flow":
      return { kind: "recurrent", turns: two(flowStateShape(batches, heads, headDim, headDim), "f32") };
    case "agent":
      throw new AttentionError("unsupported", {
        subject: "agent attention",
        expected: "a mechanism that goes from token to token",
        got: "one whose agents look at all tokens",
        fix: "Use it in image models.",
      });
  }
}

/** Whether a layer keeps keys and values, which need room for each token. */
export function hasCache({ mechanism }: Pick<AttentionConfig, "mechanism">): boolean {
  return mechanism === "softmax" || mechanism === "sale" || mechanism === "moh";
}

/** Bytes of a token of a cache. */
export function rowBytes({ shape: [, , heads, dim], dtype }: TensorView): number {
  return heads * { f32: 4 * dim, f16: 2 * dim, q8: 4 + dim }[dtype];
}

/**
 * @throws AttentionError "dtype" for a storage that there is not, "unsupported" where a layer cannot keep keys in it: f16 needs heads of an even
 *   width, q8 of a multiple of four, and SALE reads f32
 */
export function checkCacheDType(dtype: CacheDType, { layers }: Pick<ModelConfig, "layers">): void {
  if (!["f32", "f16", "q8"].includes(dtype))
    throw new AttentionError("dtype", {
      subject: "cache dtype",
      ...{ expected: '"f32", "f16" or "q8"', got: String(dtype), fix: "Leave it out for f32." },
    });
  if (dtype === "f32") return;
  const unit = dtype === "f16" ? 2 : 4;
  for (const [layer, { attention }] of layers.entries()) {
    if (!hasCache(attention)) continue;
    const { mechanism, headDim } = attention;
    const got = mechanism === "sale" ? "SALE, which reads f32" : headDim % unit ? `heads of ${headDim}` : "";
    if (got === "") continue;
    throw new AttentionError("unsupported", {
      subject: `a cache of ${dtype}, layer ${layer}`,
      expected: `heads of a multiple of ${unit} channels, of a mechanism that reads ${dtype}`,
      ...{ got, fix: "Keep keys and values in f32." },
    });
  }
}

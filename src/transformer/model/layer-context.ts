import type { AttentionContext, TensorView } from "webgpu-attention";
import type { AttentionHook, AttentionSite } from "webgpu-attention/hooks";
import type { NormOptions } from "webgpu-attention/layers";
import type { SoftmaxPlan } from "webgpu-attention/softmax";
import type { ModelConfig } from "../config/model-config.js";
import type { ModelWeights } from "../weights/model-weights.js";
import type { SinkSearch } from "./sink-search.js";
import type { Activations } from "./workspace.js";

/** What all steps of a forward pass are planned from. */
export interface ForwardContext {
  readonly ctx: AttentionContext;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly work: Activations;
  readonly batches: number;
  readonly tokens: number;
  /** Tokens of the longest sequence after this pass: what some rotary scalings depend on. */
  readonly context: number;
  /** Rows of a table of positions that may be read. */
  readonly capacity: number;
  readonly hooks: readonly AttentionHook[];
  /** u32 [B]: tokens of each sequence after this pass, its rows the last of them. Absent: all rows, each at its own place. */
  readonly lengths?: GPUBuffer;
  /** u32 [B]: likewise, what caches have forgotten included: the rows' positions, but rotary ones, which count in the cache. */
  readonly totals?: GPUBuffer;
  /** Whether the rows are the whole text so far, of which a cache has forgotten nothing. Default no. */
  readonly isWhole?: boolean;
  /** Plans of attention that layers with the same attention have in common, by what they were planned for: they differ in tensors alone. */
  readonly attentionPlans?: Map<string, Promise<SoftmaxPlan>>;
  /** By layer, what hooks find sinks by: filled in as layers are planned whose keys are in caches. */
  readonly sinkSearches?: Map<number, SinkSearch>;
  /** u32 [B, ceil(T / 32)] bits: which rows of a batch of full sequences are there. Default all. */
  readonly keyMask?: GPUBuffer;
}

/** A layer's part of it. */
export interface LayerContext extends ForwardContext {
  readonly index: number;
  /** Where attention takes place, for hooks; its positions change from run to run. */
  readonly site: AttentionSite;
}

/** Activations [B, T, 1, width]. */
export function rows({ work, batches, tokens }: ForwardContext, name: string, width: number): TensorView {
  return work.view(name, [batches, tokens, 1, width]);
}

/** A norm of the model, by the name of its weights; plain where there are none. */
export function normOptions({ weights, config: { norm } }: ForwardContext, slot: string): NormOptions {
  const part = (name: string) =>
    weights.has(`${slot}.${name}`) ? weights.view(`${slot}.${name}`) : undefined;
  const [weight, bias] = [part("weight"), part("bias")];
  return {
    kind: norm.kind === "layer" ? "layer" : "rms",
    epsilon: norm.eps,
    ...(weight && { weight }),
    ...(bias && { bias }),
  };
}

/** A matrix and, where the model has it, its bias, as products take them. */
export function linearWeights({ weights }: ForwardContext, slot: string) {
  const bias = `${slot}.bias`;
  return { weight: weights.matrices(slot), ...(weights.has(bias) && { bias: weights.view(bias) }) };
}

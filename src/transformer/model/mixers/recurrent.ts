import type { TensorLayout, TensorView } from "webgpu-attention";
import type { LayerContext } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";

/** The state that a pass reads, and the one that it leaves. */
export interface Turns<Tensor extends TensorLayout = TensorView> {
  readonly state: Tensor;
  readonly stateOut: Tensor;
}

/** Those of a run, in turn. */
export function turnsOf({ index }: LayerContext, state: SequenceState | undefined): Turns {
  const kept = state?.layers[index];
  if (kept?.kind !== "recurrent") throw new TypeError(`layer ${index} has no recurrent state`);
  return { state: kept.turns[state!.turn], stateOut: kept.turns[1 - state!.turn]! };
}

/** Heads [B, T, H, D] of the n-th of several projections that lie side by side in each row. */
export function headsOf(projected: TensorView, heads: number, headDim: number, n: number): TensorView {
  const [batches, tokens, , width] = projected.shape;
  return {
    ...projected,
    shape: [batches, tokens, heads, headDim],
    strides: [tokens * width, width, headDim, 1],
    offset: n * heads * headDim,
  };
}

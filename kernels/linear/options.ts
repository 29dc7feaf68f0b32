import type { TensorLayout } from "../../src/dispatch/tensor-view.js";

/** φ, applied to q and k channel by channel as they are read. `silu` is x / (1 + e^-x); `elu+1` is x + 1, or e^x below 0. */
export type FeatureMap = "identity" | "silu" | "elu+1" | "relu";

export const FEATURE_MAPS: readonly FeatureMap[] = ["identity", "silu", "elu+1", "relu"];

/** Options that forward and backward have in common. */
export interface LinearOptions {
  /** Token t reads tokens 0 to t. Default true. Without it every token reads all, and nothing decays. */
  readonly causal?: boolean;
  /**
   * [H] rates s >= 0: what lies n tokens back weighs e^(-s n). Rates, not factors: an f32 factor cannot tell the last layers
   * from no decay. `alibiSlopes` and `linearSlopes` give the two published conventions. Default none.
   */
  readonly decay?: ArrayLike<number>;
  /** Factor of the output. Default 1, as in lightning attention; flash-linear-attention has 1 / sqrt(D). */
  readonly scale?: number;
  /** Default `"identity"`: as in lightning attention, whose models activate q and k before. */
  readonly featureMap?: FeatureMap;
}

/** A recurrent state: shapes in the order that the equations have. f32, any strides. */
export interface LinearState<Tensor = TensorLayout> {
  /** [B, H, D, Dv], the decayed sum of φ(k) vᵀ. */
  readonly s: Tensor;
  /** [B, H, D, 1], the decayed sum of φ(k): exactly when `normalize` is on. */
  readonly z?: Tensor;
}

export interface LinearForwardOptions extends LinearOptions {
  /** Divides each output by scale φ(q) · z + epsilon. Default false. */
  readonly normalize?: boolean;
  /** Added to the normaliser. Default 1e-10. */
  readonly epsilon?: number;
}

import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBindable, checkHeadDims, expectShape } from "../../src/dispatch/layout.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { checkHeadChoice, type HeadChoice } from "./head-choice.js";

/** What to plan for: tensor layouts (a `TensorView` is one) and which heads are active. */
export interface HeadProjectionProblem extends Partial<HeadChoice> {
  /** [B, T, H, Dv] f32 or f16: what each head attended to. Rows of heads that are not active may hold anything. */
  readonly attended: TensorLayout;
  /** [B, T, H, 1] f32, 0 where a head is not active. */
  readonly gates: TensorLayout;
  /** [1, 1, H · Dv, C] f32, heads side by side. A matrix stored [C, H · Dv] row-major is this with strides [0, 0, 1, H · Dv]. */
  readonly weight: TensorLayout;
  /** [1, 1, 1, C] f32. Default none. */
  readonly bias?: TensorLayout;
  /** [B, T, 1, C] f32 or f16. Default dense, of f32. */
  readonly out?: TensorLayout;
}

/** A checked problem with every default filled in. Plain data: the planner needs nothing else. */
export interface ProjectionShape extends HeadChoice {
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  readonly valueDim: number;
  readonly outer: number;
  readonly attended: TensorLayout;
  readonly gates: TensorLayout;
  readonly weight: TensorLayout;
  readonly bias?: TensorLayout;
  readonly out: TensorLayout;
  /** It was not said how many heads are active: any gate may be 0. */
  readonly anyActive: boolean;
}

const NAMES = ["attended", "gates", "weight", "bias", "out", "sharedHeads", "topK"] as const;

/**
 * Checks a problem without touching the GPU.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know
 */
export function checkProjection(problem: HeadProjectionProblem, capabilities: Capabilities): ProjectionShape {
  checkOptions("headProjection", problem, NAMES);
  const { attended, gates, weight, bias, sharedHeads = 0 } = problem;
  checkLayout("attended", attended, ["f32", "f16"]);
  checkHeadDims({ attended });
  const [batches, tokens, heads, valueDim] = attended.shape;
  const { topK = heads - sharedHeads } = problem;
  checkHeadChoice(heads, { sharedHeads, topK });
  expectShape("gates", gates, [batches, tokens, heads, 1], ["f32"]);
  checkLayout("weight", weight, ["f32"]);
  const outer = weight.shape[3];
  expectShape("weight", weight, [1, 1, heads * valueDim, outer], ["f32"]);
  if (bias) expectShape("bias", bias, [1, 1, 1, outer], ["f32"]);
  const outShape: Shape4 = [batches, tokens, 1, outer];
  const out = problem.out ?? { dtype: "f32", shape: outShape };
  expectShape("out", out, outShape, ["f32", "f16"]);
  checkBindable({ attended, gates, weight, bias, out }, capabilities);
  const anyActive = problem.topK === undefined;
  const sizes = { batches, tokens, heads, valueDim, outer, sharedHeads, topK, anyActive };
  return { ...sizes, attended, gates, weight, ...(bias && { bias }), out };
}

import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { checkNumber, expectEqual, fail } from "../../../src/dispatch/check.js";
import { checkBindable, checkHeadDims, expectShape, isVec4 } from "../../../src/dispatch/layout.js";
import type { PerBatch } from "../../../src/dispatch/per-batch.js";
import type { DType, Shape4, TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../../src/dispatch/validate.js";
import { prefixSoftmaxStateShape } from "./state.js";

export interface PrefixSoftmaxOptions {
  /** What q goes through, channel by channel, as it is read. Default `"silu"`, as in the paper: x / (1 + e^-x). */
  readonly activation?: "silu" | "identity";
  /** Factor of the scores. Default 1 / sqrt(D). */
  readonly scale?: number;
  /**
   * Tokens of each batch entry whose keys count, from its first: later ones are hidden and may hold anything in q, k and v. Rows there repeat the
   * last output. A buffer's values are taken as at most N. Default all.
   */
  readonly keyLengths?: PerBatch;
}

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface PrefixSoftmaxProblem extends PrefixSoftmaxOptions {
  /** [B, N, H, D] f32 or f16, D from 1 to 256, before the activation */
  readonly q: TensorLayout;
  /** [B, N, Hkv, D] of q's type. Hkv divides H; query head h reads head floor(h Hkv / H). */
  readonly k: TensorLayout;
  /** [B, N, Hkv, Dv] of q's type, Dv from 1 to 256 */
  readonly v: TensorLayout;
  /** [B, N, H, Dv] f32 or f16. Default dense, of q's type. */
  readonly out?: TensorLayout;
  /** What the tokens before these left behind, of `prefixSoftmaxStateShape`; `true`: dense. Default nothing. */
  readonly state?: TensorLayout | boolean;
  /** Where to leave the state after the last token; `true`: dense. Default nowhere. */
  readonly stateOut?: TensorLayout | boolean;
}

/** A checked problem with every default filled in. Plain data: the planner needs nothing else. */
export interface PrefixSoftmaxShape {
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  /** Heads that share keys and values. */
  readonly group: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly activation: "silu" | "identity";
  readonly scale: number;
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly out: TensorLayout;
  readonly state?: TensorLayout;
  readonly stateOut?: TensorLayout;
}

export const OPTION_NAMES = ["activation", "scale", "keyLengths"] as const;
const TENSOR_NAMES = ["q", "k", "v", "out", "state", "stateOut"] as const;
const STORAGE: readonly DType[] = ["f32", "f16"];

/**
 * Checks a problem without touching the GPU.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know
 */
export function checkPrefixSoftmax(
  problem: PrefixSoftmaxProblem,
  capabilities: Capabilities,
): PrefixSoftmaxShape {
  checkOptions("prefixSoftmaxAttention", problem, [...TENSOR_NAMES, ...OPTION_NAMES]);
  const { q, k, v, activation = "silu" } = problem;
  checkInputs(q, k, v);
  const [batches, tokens, heads, headDim] = q.shape;
  const valueDim = v.shape[3];
  const { scale = 1 / Math.sqrt(headDim) } = problem;
  checkNumber("scale", scale);
  if (activation !== "silu" && activation !== "identity")
    fail("unsupported", "activation", '"silu" or "identity"', activation, "Leave it out for silu.");
  const outShape: Shape4 = [batches, tokens, heads, valueDim];
  const out = problem.out ?? { dtype: q.dtype, shape: outShape };
  expectShape("out", out, outShape, STORAGE);
  const stateShape = prefixSoftmaxStateShape(batches, heads, valueDim);
  const state = checkedState("state", problem.state, stateShape, capabilities);
  const stateOut = checkedState("stateOut", problem.stateOut, stateShape, capabilities);
  checkBindable({ q, k, v, out, state, stateOut }, capabilities);
  return {
    ...{ batches, tokens, heads, headDim, valueDim },
    group: heads / k.shape[2],
    ...{ activation, scale, q, k, v, out },
    ...(state && { state }),
    ...(stateOut && { stateOut }),
  };
}

function checkInputs(q: TensorLayout, k: TensorLayout, v: TensorLayout): void {
  checkLayout("q", q, STORAGE);
  checkLayout("k", k, STORAGE);
  checkLayout("v", v, STORAGE);
  for (const [name, { dtype, shape }] of Object.entries({ k, v })) {
    if (dtype !== q.dtype)
      fail("dtype", `${name}.dtype`, `"${q.dtype}", the type of q`, `"${dtype}"`, "Convert one of the two.");
    expectEqual(`${name}.shape[0] (batch)`, shape[0], q.shape[0], "the batch size of q");
    expectEqual(
      `${name}.shape[1] (tokens)`,
      shape[1],
      q.shape[1],
      "the tokens of q: each key is scored by its own query",
    );
  }
  expectEqual("k.shape[3] (dim)", k.shape[3], q.shape[3], "the head dimension of q");
  expectEqual("v.shape[2] (heads)", v.shape[2], k.shape[2], "the number of heads of k");
  if (q.shape[2] % k.shape[2] !== 0)
    fail(
      "shape",
      "k.shape[2] (heads)",
      `a divisor of the ${q.shape[2]} heads of q`,
      k.shape[2],
      "Every key head serves as many query heads as any other.",
    );
  checkHeadDims({ q, v });
}

function checkedState(
  name: string,
  given: TensorLayout | boolean | undefined,
  shape: Shape4,
  capabilities: Capabilities,
): TensorLayout | undefined {
  if (given === undefined || given === false) return undefined;
  const layout: TensorLayout = given === true ? { dtype: "f32", shape } : given;
  expectShape(name, layout, shape, ["f32"]);
  if (!isVec4(layout, capabilities))
    fail(
      "shape",
      `${name}.strides`,
      "a last stride of 1, other strides and the offset multiples of four elements",
      `strides [${layout.strides}] and offset ${layout.offset ?? 0}`,
      "Leave strides and offset out for a dense state.",
    );
  return layout;
}

import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, checkNumber, expectEqual, fail } from "../../src/dispatch/check.js";
import { checkBindable, checkHeadDims, expectShape, isVec4 } from "../../src/dispatch/layout.js";
import type { DType, Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { type FlowOptions, OPTION_NAMES } from "./options.js";
import { flowStateShape } from "./state.js";

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface FlowProblem extends FlowOptions {
  /** [B, L, H, D] f32 or f16, D from 1 to 256 */
  readonly q: TensorLayout;
  /** [B, S, H, D] of q's type */
  readonly k: TensorLayout;
  /** [B, S, H, Dv] of q's type, Dv from 1 to 256 */
  readonly v: TensorLayout;
  /** [B, L, H, Dv] f32 or f16. Default dense, of q's type. */
  readonly out?: TensorLayout;
  /** What the tokens before these left behind, of `flowStateShape`; `true`: dense. Default nothing. Causal only. */
  readonly state?: TensorLayout | boolean;
  /** Where to leave the state after the last token; `true`: dense. Default nowhere. Causal only. */
  readonly stateOut?: TensorLayout | boolean;
}

/** A checked problem with every default filled in. Plain data: the planner needs nothing else. */
export interface FlowShape {
  readonly batches: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly causal: boolean;
  /** Infinity for none. */
  readonly clamp: number;
  readonly epsilon: number;
  /** Added to each flow once more. */
  readonly flowEpsilon: number;
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly out: TensorLayout;
  readonly state?: TensorLayout;
  readonly stateOut?: TensorLayout;
}

const TENSOR_NAMES = ["q", "k", "v", "out", "state", "stateOut"] as const;
const STORAGE: readonly DType[] = ["f32", "f16"];
/** A flow may be as small as D epsilon², and has to have an inverse in f32. */
const LEAST_EPSILON = 1e-12;

/**
 * Checks a problem without touching the GPU.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know or cannot combine
 */
export function checkProblem(problem: FlowProblem, capabilities: Capabilities): FlowShape {
  checkOptions("flowAttention", problem, [...TENSOR_NAMES, ...OPTION_NAMES]);
  const { q, k, v, causal = false, clamp = 1, epsilon = 1e-6, variant = "core" } = problem;
  checkInputs(q, k, v);
  const [batches, tokensQ, heads, headDim] = q.shape;
  const tokensK = k.shape[1];
  const valueDim = v.shape[3];

  checkBoolean("causal", causal);
  if (clamp !== null) checkNumber("clamp", clamp, 0);
  checkNumber("epsilon", epsilon);
  if (epsilon < LEAST_EPSILON)
    fail("shape", "epsilon", `a number of at least ${LEAST_EPSILON}`, epsilon, "Leave it out for 1e-6.");
  if (variant !== "core" && variant !== "cv")
    fail("unsupported", "variant", '"core" or "cv"', variant, "Leave it out for the core form.");
  if (causal) checkCausal(tokensQ, tokensK, variant);

  const outShape: Shape4 = [batches, tokensQ, heads, valueDim];
  const out = problem.out ?? { dtype: q.dtype, shape: outShape };
  expectShape("out", out, outShape, STORAGE);
  const stateShape = flowStateShape(batches, heads, headDim, valueDim);
  const state = checkedState("state", problem.state, stateShape, causal, capabilities);
  const stateOut = checkedState("stateOut", problem.stateOut, stateShape, causal, capabilities);
  checkBindable({ q, k, v, out, state, stateOut }, capabilities);
  return {
    batches,
    tokensQ,
    tokensK,
    heads,
    headDim,
    valueDim,
    causal,
    clamp: clamp ?? Number.POSITIVE_INFINITY,
    epsilon,
    flowEpsilon: variant === "cv" ? epsilon : 0,
    q,
    k,
    v,
    out,
    ...(state && { state }),
    ...(stateOut && { stateOut }),
  };
}

function checkInputs(q: TensorLayout, k: TensorLayout, v: TensorLayout): void {
  checkLayout("q", q, STORAGE);
  checkLayout("k", k, STORAGE);
  checkLayout("v", v, STORAGE);
  for (const [name, { dtype }] of Object.entries({ k, v })) {
    if (dtype !== q.dtype)
      fail("dtype", `${name}.dtype`, `"${q.dtype}", the type of q`, `"${dtype}"`, "Convert one of the two.");
  }
  expectEqual("k.shape[0] (batch)", k.shape[0], q.shape[0], "the batch size of q");
  expectEqual("k.shape[2] (heads)", k.shape[2], q.shape[2], "the number of heads of q");
  expectEqual("k.shape[3] (dim)", k.shape[3], q.shape[3], "the head dimension of q");
  expectEqual("v.shape[0] (batch)", v.shape[0], q.shape[0], "the batch size of q");
  expectEqual("v.shape[1] (tokens)", v.shape[1], k.shape[1], "the number of keys");
  expectEqual("v.shape[2] (heads)", v.shape[2], q.shape[2], "the number of heads of q");
  checkHeadDims({ q, v });
}

function checkCausal(tokensQ: number, tokensK: number, variant: "core" | "cv"): void {
  expectEqual("k.shape[1] (tokens)", tokensK, tokensQ, "the number of queries, since causal tokens are both");
  if (variant === "cv")
    fail("unsupported", "variant", '"core" with causal', '"cv"', "The vision models attend to all tokens.");
}

function checkedState(
  name: string,
  given: TensorLayout | boolean | undefined,
  shape: Shape4,
  causal: boolean,
  capabilities: Capabilities,
): TensorLayout | undefined {
  if (given === undefined || given === false) return undefined;
  if (!causal) {
    fail("unsupported", name, "causal: true", "causal: false", "Only the causal form carries a state on.");
  }
  const layout: TensorLayout = given === true ? { dtype: "f32", shape } : given;
  expectShape(name, layout, shape, ["f32"]);
  if (!isVec4(layout, capabilities)) {
    fail(
      "shape",
      `${name}.strides`,
      "a last stride of 1, other strides and the offset multiples of four elements",
      `strides [${layout.strides}] and offset ${layout.offset ?? 0}`,
      "Leave strides and offset out for a dense state.",
    );
  }
  return layout;
}

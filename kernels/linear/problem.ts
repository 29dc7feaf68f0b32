import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, checkLength, checkNumber, expectEqual, fail } from "../../src/dispatch/check.js";
import { checkBindable, checkHeadDims, expectShape } from "../../src/dispatch/layout.js";
import type { DType, Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import {
  FEATURE_MAPS,
  type FeatureMap,
  type LinearForwardOptions,
  type LinearOptions,
  type LinearState,
} from "./options.js";

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface LinearProblem extends LinearForwardOptions {
  /** [B, N, H, D] f32 or f16, D from 1 to 256 */
  readonly q: TensorLayout;
  /** [B, N, H, D] of q's type */
  readonly k: TensorLayout;
  /** [B, N, H, Dv] of q's type, Dv from 1 to 256 */
  readonly v: TensorLayout;
  /** [B, N, H, Dv] f32 or f16. Default dense, of q's type; outputs without normaliser may be too large for f16. */
  readonly out?: TensorLayout;
  /** What the tokens before these left behind. Default nothing. Causal only. */
  readonly state?: LinearState;
  /** Where to leave the state after the last token. `true`: dense. Default nowhere. */
  readonly stateOut?: LinearState | boolean;
}

export interface LinearBackwardProblem extends LinearOptions {
  /** As they were given to the forward pass. */
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  /** [B, N, H, Dv] of q's type: the gradient of what the forward pass wrote. */
  readonly dOut: TensorLayout;
  /** [B, H, D, Dv] f32: the state that entered the forward pass. Default none. Causal only. */
  readonly state?: TensorLayout;
  /** [B, H, D, Dv] f32: the gradient of the state that left the forward pass. Default zero. Causal only. */
  readonly dStateOut?: TensorLayout;
  /** [B, N, H, D], f32 or f16. Default dense, of q's type. */
  readonly dq?: TensorLayout;
  readonly dk?: TensorLayout;
  /** [B, N, H, Dv], likewise. */
  readonly dv?: TensorLayout;
  /** [B, H, D, Dv] f32: where to write the gradient of the entering state. `true`: dense. Default nowhere. Causal only. */
  readonly dState?: TensorLayout | boolean;
}

/** Sizes and numbers of a checked problem. */
export interface LinearSizes {
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly causal: boolean;
  /** [H] */
  readonly decay: readonly number[];
  readonly scale: number;
  readonly featureMap: FeatureMap;
}

export interface LinearShape extends LinearSizes {
  readonly normalize: boolean;
  readonly epsilon: number;
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly out: TensorLayout;
  readonly state?: LinearState;
  readonly stateOut?: LinearState;
}

export interface LinearBackwardShape extends LinearSizes {
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly dOut: TensorLayout;
  readonly dq: TensorLayout;
  readonly dk: TensorLayout;
  readonly dv: TensorLayout;
  readonly state?: TensorLayout;
  readonly dStateOut?: TensorLayout;
  readonly dState?: TensorLayout;
}

const STORAGE: readonly DType[] = ["f32", "f16"];
const OPTION_NAMES = ["causal", "decay", "scale", "featureMap"] as const;
export const FORWARD_NAMES = [...OPTION_NAMES, "normalize", "epsilon", "state", "stateOut"] as const;
export const BACKWARD_NAMES = [...OPTION_NAMES, "state", "dStateOut", "dState"] as const;

/**
 * Checks a problem without touching the GPU.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know and states where nothing is causal
 */
export function checkLinear(problem: LinearProblem, capabilities: Capabilities): LinearShape {
  checkOptions("linearAttention", problem, ["q", "k", "v", "out", ...FORWARD_NAMES]);
  const { q, k, v, normalize = false, epsilon = 1e-10 } = problem;
  const sizes = checkSizes(problem);
  checkBoolean("normalize", normalize);
  checkNumber("epsilon", epsilon);
  const outShape: Shape4 = [sizes.batches, sizes.tokens, sizes.heads, sizes.valueDim];
  const out = problem.out ?? { dtype: q.dtype, shape: outShape };
  expectShape("out", out, outShape, STORAGE);
  const given = problem.stateOut === true ? denseState(sizes, normalize) : problem.stateOut || undefined;
  const state = problem.state && checkState("state", problem.state, sizes, normalize);
  const stateOut = given && checkState("stateOut", given, sizes, normalize);
  checkBindable(
    {
      ...{ q, k, v, out },
      ...{ "state.s": state?.s, "state.z": state?.z, "stateOut.s": stateOut?.s, "stateOut.z": stateOut?.z },
    },
    capabilities,
  );
  return {
    ...sizes,
    normalize,
    epsilon,
    q,
    k,
    v,
    out,
    ...(state && { state }),
    ...(stateOut && { stateOut }),
  };
}

/** As `checkLinear`, for the backward pass. */
export function checkLinearBackward(
  problem: LinearBackwardProblem,
  capabilities: Capabilities,
): LinearBackwardShape {
  checkOptions("linearAttentionBackward", problem, [
    "q",
    "k",
    "v",
    "dOut",
    "dq",
    "dk",
    "dv",
    ...BACKWARD_NAMES,
  ]);
  const { q, k, v, dOut } = problem;
  const sizes = checkSizes(problem);
  const outShape: Shape4 = [sizes.batches, sizes.tokens, sizes.heads, sizes.valueDim];
  expectShape("dOut", dOut, outShape, [q.dtype]);
  const { dq = dense(q), dk = dense(k), dv = dense(v) } = problem;
  expectShape("dq", dq, q.shape, STORAGE);
  expectShape("dk", dk, k.shape, STORAGE);
  expectShape("dv", dv, v.shape, STORAGE);
  const dState = problem.dState === true ? denseState(sizes, false).s : problem.dState || undefined;
  const states = { state: problem.state, dStateOut: problem.dStateOut, dState };
  for (const [name, layout] of Object.entries(states)) {
    if (layout) checkStateTensor(name, layout, sizes, sizes.valueDim);
  }
  checkBindable({ q, k, v, dOut, dq, dk, dv, ...states }, capabilities);
  return {
    ...sizes,
    q,
    k,
    v,
    dOut,
    dq,
    dk,
    dv,
    ...(problem.state && { state: problem.state }),
    ...(problem.dStateOut && { dStateOut: problem.dStateOut }),
    ...(dState && { dState }),
  };
}

function checkSizes(problem: LinearOptions & Pick<LinearProblem, "q" | "k" | "v">): LinearSizes {
  const { q, k, v, causal = true, scale = 1, featureMap = "identity", decay } = problem;
  checkLayout("q", q, STORAGE);
  checkLayout("k", k, [q.dtype]);
  checkLayout("v", v, [q.dtype]);
  const [batches, tokens, heads, headDim] = q.shape;
  q.shape.forEach((size, axis) => {
    expectEqual(`k.shape[${axis}]`, k.shape[axis]!, size, "the shape of q");
    if (axis < 3) expectEqual(`v.shape[${axis}]`, v.shape[axis]!, size, "batch, tokens and heads of q");
  });
  checkHeadDims({ q, v });
  checkBoolean("causal", causal);
  checkNumber("scale", scale);
  if (!FEATURE_MAPS.includes(featureMap)) {
    fail("unsupported", "featureMap", FEATURE_MAPS.join(", "), featureMap, "Apply others to q and k before.");
  }
  const rates = decay === undefined ? Array<number>(heads).fill(0) : checkDecay(decay, heads);
  if (!causal && rates.some((rate) => rate > 0)) {
    fail(
      "unsupported",
      "decay",
      "none without causal: true",
      "rates above 0",
      "Decay needs a direction: leave it out, or ask for causal attention.",
    );
  }
  return { batches, tokens, heads, headDim, valueDim: v.shape[3], causal, decay: rates, scale, featureMap };
}

function checkDecay(decay: ArrayLike<number>, heads: number): number[] {
  checkLength("decay", decay, heads, "one rate for each head");
  return Array.from(decay, (rate, head) => {
    if (typeof rate === "number" && rate >= 0 && Number.isFinite(rate)) return rate;
    return fail(
      "shape",
      `decay[${head}]`,
      "a rate of at least 0",
      rate,
      "Rates are -ln λ: e^(-rate) is the factor per token.",
    );
  });
}

function checkState(name: string, state: LinearState, sizes: LinearSizes, normalize: boolean): LinearState {
  if (typeof state !== "object") fail("shape", name, "{ s, z? }", state, "Leave it out for none.");
  checkOptions(name, state, ["s", "z"]);
  checkStateTensor(`${name}.s`, state.s, sizes, sizes.valueDim);
  if (normalize !== Boolean(state.z)) {
    fail(
      "shape",
      `${name}.z`,
      normalize
        ? "the sum of keys [batch, heads, dim, 1], since normalize is on"
        : "none, since normalize is off",
      state.z ? "a tensor" : "none",
      normalize ? "Give it beside s." : "Leave it out.",
    );
  }
  if (state.z) checkStateTensor(`${name}.z`, state.z, sizes, 1);
  return state;
}

function checkStateTensor(name: string, layout: TensorLayout, sizes: LinearSizes, columns: number): void {
  if (!sizes.causal) {
    fail(
      "unsupported",
      name,
      "no state without causal: true",
      "a state",
      "Tokens that read all of a sequence leave nothing to go on from.",
    );
  }
  expectShape(name, layout, [sizes.batches, sizes.heads, sizes.headDim, columns], ["f32"]);
}

function dense({ dtype, shape }: TensorLayout): TensorLayout {
  return { dtype, shape };
}

function denseState({ batches, heads, headDim, valueDim }: LinearSizes, normalize: boolean): LinearState {
  return {
    s: { dtype: "f32", shape: [batches, heads, headDim, valueDim] },
    ...(normalize && { z: { dtype: "f32", shape: [batches, heads, headDim, 1] } as const }),
  };
}

import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { expectEqual, fail } from "../../src/dispatch/check.js";
import { expectShape } from "../../src/dispatch/layout.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import type { SoftmaxOptions, SoftmaxProblem } from "../softmax/index.js";
import { allActive, type HeadChoice } from "./head-choice.js";
import { projectionForm } from "./projection-form.js";
import { checkProjection, type HeadProjectionProblem } from "./projection-problem.js";
import {
  checkRouter,
  type HeadRouterProblem,
  type RouterKind,
  type RouterWeights,
  WEIGHT_NAMES,
} from "./router-problem.js";

/**
 * Weights around the heads, f32: matrices [1, 1, in, out], of which one stored [out, in] row-major, as PyTorch has it, is a view with
 * strides [0, 0, 1, in], and biases [1, 1, 1, out]. A fused projection is several views with offsets.
 */
export interface MixtureOfHeadWeights<Tensor extends TensorLayout = TensorLayout>
  extends RouterWeights<Tensor> {
  /** [1, 1, C, H · D]: makes q of x. Left out where q is given. */
  readonly query?: Tensor;
  readonly queryBias?: Tensor;
  /** [1, 1, C, Hkv · D]: makes k of x. Left out where k is given. */
  readonly key?: Tensor;
  readonly keyBias?: Tensor;
  /** [1, 1, C, Hkv · Dv]: makes v of x. Left out where v is given. */
  readonly value?: Tensor;
  readonly valueBias?: Tensor;
  /** [1, 1, H · Dv, C'] */
  readonly out: Tensor;
  readonly outBias?: Tensor;
}

/** Options of softmax attention that say otherwise which rows there are, or how tiles find their keys. */
const EXCLUDED = ["queryRows", "blockMask", "queryOffsets", "keyOffsets"] as const;

/**
 * Options of mixture-of-head attention: which heads, and options of the softmax attention inside (`causal`, `rope`, `queryOffset`,
 * `keyLengths`, `bias`, `scoreMod`, ...), whose positions are those of all tokens, active or not.
 */
export interface MixtureOfHeadOptions<Tensor extends TensorLayout = TensorLayout>
  extends HeadChoice,
    Omit<SoftmaxOptions, "bias" | (typeof EXCLUDED)[number]> {
  /** Query heads H; needed where q is made of x. */
  readonly heads?: number;
  /** Key and value heads; default those of k or v, where one is given, else `heads`. */
  readonly kvHeads?: number;
  /** Default `"learned"`, from `weights.routed`, `shared` and `balance`. `"norm"` has no weights and looks at q before any rotation. */
  readonly router?: RouterKind;
  /** [B, T, H, D] f32 or f16, in place of `weights.query`: queries that are more than a linear map of x. */
  readonly q?: Tensor;
  /** [B, Tk, Hkv, D] and [B, Tk, Hkv, Dv] f32 or f16, in place of `weights.key` and `weights.value`: of a cache, or of other tokens. */
  readonly k?: Tensor;
  readonly v?: Tensor;
  /** [1 or B, 1 or H, 1 or T, 1 or Tk] f32, added to the score; -infinity masks. Default none. */
  readonly bias?: Tensor;
}

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface MixtureOfHeadProblem extends MixtureOfHeadOptions {
  /** [B, T, 1, C] f32, or f16 where q, k and v are given: the layer's input, which the learned router looks at. */
  readonly x: TensorLayout;
  readonly weights: MixtureOfHeadWeights;
  /** [B, T, 1, C'] f32 or f16. Default dense, of f32. */
  readonly out?: TensorLayout;
  /** Where to leave the gates, [B, T, H, 1] f32; `true`: dense. Default nowhere. */
  readonly gates?: TensorLayout | boolean;
  /** Where to leave the load-balance loss of the learned router, [1, 1, 1, 1] f32; `true`: dense. Default nowhere. */
  readonly loss?: TensorLayout | boolean;
}

/** q, k or v that is made of x. */
export interface InputProjection {
  readonly name: "q" | "k" | "v";
  readonly weightName: keyof MixtureOfHeadWeights;
  readonly weight: TensorLayout;
  readonly biasName: keyof MixtureOfHeadWeights;
  readonly bias?: TensorLayout;
  /** [B, T, heads, dim] */
  readonly heads: TensorLayout;
}

/** The problems that a checked problem consists of. Plain data. */
export interface MixtureParts {
  readonly x: TensorLayout;
  readonly projections: readonly InputProjection[];
  readonly router: HeadRouterProblem;
  /** Without the list of active tokens. */
  readonly attention: SoftmaxProblem & { readonly out: TensorLayout };
  readonly output: HeadProjectionProblem & { readonly gates: TensorLayout; readonly out: TensorLayout };
  /** Whether attention computes the listed rows only. */
  readonly attendsToLists: boolean;
  /** Whether a part reads the lists of active tokens, or needs them for the loss. */
  readonly lists: boolean;
  /** Of all (token, head) rows, how many are active. */
  readonly share: number;
  readonly loss?: TensorLayout;
}

const SOURCES = [
  { name: "q", weight: "query", bias: "queryBias" },
  { name: "k", weight: "key", bias: "keyBias" },
  { name: "v", weight: "value", bias: "valueBias" },
] as const;

export const MIXTURE_WEIGHTS = [
  ...WEIGHT_NAMES,
  ...SOURCES.flatMap(({ weight, bias }) => [weight, bias]),
  "out",
  "outBias",
] as const satisfies readonly (keyof MixtureOfHeadWeights)[];

/** A new option of softmax attention has to be added here, or to those that are excluded. */
const ATTENTION: Record<Exclude<keyof SoftmaxOptions, (typeof EXCLUDED)[number]>, true> = {
  causal: true,
  queryOffset: true,
  window: true,
  scale: true,
  softcap: true,
  alibiSlopes: true,
  bias: true,
  keyStarts: true,
  keyLengths: true,
  keyMask: true,
  sinkLogits: true,
  rope: true,
  scoreMod: true,
  maskMod: true,
};

const NAMES = [
  ...["x", "weights", "heads", "kvHeads", "sharedHeads", "topK", "router"],
  ...["q", "k", "v", "out", "gates", "loss"],
  ...Object.keys(ATTENTION),
] as const;

/** Up to so many tokens softmax attention cuts keys rather than rows (its table of configurations). */
const DECODE_TOKENS = 8;

/**
 * Takes a problem apart without touching the GPU. What only concerns the softmax attention inside is left for its own check.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it cannot combine
 */
export function checkMixture(problem: MixtureOfHeadProblem, capabilities: Capabilities): MixtureParts {
  const {
    x,
    weights,
    heads: _h,
    kvHeads: _kv,
    sharedHeads,
    topK,
    router,
    q,
    k,
    v,
    out,
    gates,
    loss,
    ...options
  } = problem;
  const excluded = ["lse", ...EXCLUDED];
  checkOptions("mixtureOfHeadAttention", problem, [...NAMES, ...excluded]);
  for (const name of excluded) {
    if ((options as Record<string, unknown>)[name] !== undefined)
      fail("unsupported", name, "none", "it", "Rows are those of each head's active tokens: leave it out.");
  }
  checkLayout("x", x, ["f32", "f16"]);
  expectEqual("x.shape[2]", x.shape[2], 1, "one row of channels a token");
  checkOptions("mixtureOfHeadAttention weights", weights, MIXTURE_WEIGHTS);
  const heads = headCount(problem);
  const projections = SOURCES.flatMap((source) => checkedSource(problem, source, heads));
  const layoutOf = (name: "q" | "k" | "v") =>
    projections.find((projection) => projection.name === name)?.heads ?? problem[name]!;
  const [queries, keys, values] = [layoutOf("q"), layoutOf("k"), layoutOf("v")];
  expectEqual("q.shape[0] (batch)", queries.shape[0], x.shape[0], "the batch size of x");
  expectEqual("q.shape[1] (tokens)", queries.shape[1], x.shape[1], "the tokens of x");

  const learned = router !== "norm";
  const { routed, shared, balance } = weights;
  const gatesLayout = asLayout(gates, [x.shape[0], x.shape[1], heads, 1]);
  const routerProblem: HeadRouterProblem = {
    ...{ heads, sharedHeads, topK, ...(router !== undefined && { router }) },
    ...(learned ? { x } : { q: queries }),
    ...(routed && { routed }),
    ...(shared && { shared }),
    ...(balance && { balance }),
    gates: gatesLayout,
    ...(loss !== undefined && { loss }),
  };
  const found = checkRouter(routerProblem, capabilities);
  const attended = attendedLayout(queries, values);
  const outputProblem: HeadProjectionProblem = {
    ...{ attended, gates: found.gates, weight: weights.out, sharedHeads, topK },
    ...(weights.outBias && { bias: weights.outBias }),
    ...(out && { out }),
  };
  const output = checkProjection(outputProblem, capabilities);
  // A decode step on a GPU takes all heads: the kernels that cut its keys among many workgroups know no lists.
  const attendsToLists =
    !allActive(heads, { sharedHeads, topK }) && (capabilities.software || x.shape[1] > DECODE_TOKENS);
  const listed = projectionForm(output, capabilities) === "listed";
  const lists = attendsToLists || listed || found.loss !== undefined;
  return {
    x,
    projections,
    router: { ...routerProblem, lists },
    attention: { ...options, q: queries, k: keys, v: values, out: attended },
    output: { ...outputProblem, gates: found.gates, out: output.out },
    ...{ attendsToLists, lists, share: (sharedHeads + topK) / heads },
    ...(found.loss && { loss: found.loss }),
  };
}

function asLayout(given: TensorLayout | boolean | undefined, shape: Shape4): TensorLayout {
  return typeof given === "object" ? given : { dtype: "f32", shape };
}

/** Rows of whole vec4, of q's type as softmax attention writes them. */
function attendedLayout(
  { dtype, shape: [batches, tokens, heads] }: TensorLayout,
  values: TensorLayout,
): TensorLayout {
  const valueDim = values.shape[3];
  const width = 4 * Math.ceil(valueDim / 4);
  return {
    dtype,
    shape: [batches, tokens, heads, valueDim],
    strides: [tokens * heads * width, heads * width, width, 1],
  };
}

function headCount({ heads, q, weights }: MixtureOfHeadProblem): number {
  if (q) {
    checkLayout("q", q, ["f32", "f16"]);
    if (heads !== undefined) expectEqual("q.shape[2] (heads)", q.shape[2], heads, "the number of heads");
    return q.shape[2];
  }
  if (heads === undefined && weights.query)
    fail("shape", "heads", "the number of query heads", "none", "q is made of x, which does not tell it.");
  return heads ?? 0;
}

/** Checks that q, k or v either is given or has weights; for the latter, what makes it of x. */
function checkedSource(
  problem: MixtureOfHeadProblem,
  { name, weight, bias }: (typeof SOURCES)[number],
  heads: number,
): InputProjection[] {
  const { x, weights, k, v, kvHeads = k?.shape?.[2] ?? v?.shape?.[2] ?? heads } = problem;
  const given = problem[name];
  const matrix = weights[weight];
  const vector = weights[bias];
  if (given && (matrix || vector))
    fail(
      "unsupported",
      `weights.${matrix ? weight : bias}`,
      `none, since ${name} is given`,
      "a tensor",
      "Give one of the two.",
    );
  if (given) {
    checkLayout(name, given, ["f32", "f16"]);
    if (name !== "q" && problem.kvHeads !== undefined)
      expectEqual(`${name}.shape[2] (heads)`, given.shape[2], problem.kvHeads, "kvHeads");
    return [];
  }
  if (!matrix)
    fail("shape", name, `${name}, or weights.${weight}`, "neither", `Give ${name}, or what makes it of x.`);
  checkLayout("x", x, ["f32"]);
  const count = name === "q" ? heads : kvHeads;
  if (!Number.isInteger(count) || count < 1)
    fail(
      "shape",
      name === "q" ? "heads" : "kvHeads",
      "an integer of at least 1",
      count,
      "It is the number of heads.",
    );
  const [batches, tokens, , inner] = x.shape;
  checkLayout(`weights.${weight}`, matrix, ["f32"]);
  const outer = matrix.shape[3];
  expectShape(`weights.${weight}`, matrix, [1, 1, inner, outer], ["f32"]);
  if (outer % count !== 0) {
    const fix = "Its columns are those of all heads, side by side.";
    fail("shape", `weights.${weight}.shape[3]`, `a multiple of the ${count} heads`, outer, fix);
  }
  if (vector) expectShape(`weights.${bias}`, vector, [1, 1, 1, outer], ["f32"]);
  const layout: TensorLayout = { dtype: "f32", shape: [batches, tokens, count, outer / count] };
  return [
    {
      name,
      weightName: weight,
      weight: matrix,
      biasName: bias,
      ...(vector && { bias: vector }),
      heads: layout,
    },
  ];
}

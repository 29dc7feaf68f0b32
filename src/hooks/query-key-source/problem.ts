import type { TensorLayout } from "webgpu-attention";
import type { SoftmaxProblem } from "webgpu-attention/softmax";
import { checkInteger, fail } from "../check.js";

/** Weights of the projections: layouts when planning, views when recording. Matrices are as `planLinear` takes them, f32. */
export interface SourcedWeights<Tensor = TensorLayout> {
  /** [1, 1, Cs, heads D] of `states`' channels. A matrix stored [out, in] row-major is this with strides [0, 0, 1, in]. */
  readonly wq: Tensor;
  /** [1, 1, Cs, kvHeads D] */
  readonly wk: Tensor;
  /** [1, 1, C, kvHeads Dv] of `hidden`'s channels */
  readonly wv: Tensor;
  /** [1, 1, 1, out] each. Default none. */
  readonly bq?: Tensor;
  readonly bk?: Tensor;
  readonly bv?: Tensor;
}

/** What softmax attention is asked for besides queries, keys and values. */
export type SourcedOptions = Omit<SoftmaxProblem, "q" | "k" | "v">;

/** Attention whose pattern comes from somewhere else than its values. All other options are those of softmax attention. */
export interface SourcedProblem extends SourcedOptions, SourcedWeights {
  /** [B, T, 1, C] f32: the layer's input, which values are projected from. */
  readonly hidden: TensorLayout;
  /**
   * [B, at least T, 1, Cs] f32: what queries and keys are projected from, of a longer sequence the beginning. Or [1, ..]: the same for all batch
   * entries, and projected once.
   */
  readonly states: TensorLayout;
  readonly heads: number;
  /** Heads of keys and values. Default `heads`. */
  readonly kvHeads?: number;
}

export const WEIGHT_NAMES = ["wq", "wk", "wv", "bq", "bk", "bv"] as const;

/** A linear map of one of the inputs, and the tensor of heads that it gives to attention. */
export interface Projection {
  readonly input: "hidden" | "states";
  readonly weight: "wq" | "wk" | "wv";
  readonly bias: "bq" | "bk" | "bv";
  /** [batches of its own, T, 1, in] */
  readonly x: TensorLayout;
  /** [batches of its own, T, 1, heads dim] */
  readonly out: Pick<TensorLayout, "shape" | "dtype">;
  /** [B, T, heads, dim], with a batch stride of 0 where it is projected once. */
  readonly heads: TensorLayout;
}

/** @throws AttentionError "shape" for sizes that do not belong together, "unsupported" for queries, keys or values that are given as well */
export function projectionsOf(problem: SourcedProblem): Record<"q" | "k" | "v", Projection> {
  for (const name of ["q", "k", "v"]) {
    if (!(name in problem)) continue;
    fail(
      "unsupported",
      `sourcedAttention option "${name}"`,
      "hidden, states and weights",
      name,
      "Use softmaxAttention.",
    );
  }
  const { hidden, states, wq, wk, wv, heads, kvHeads = heads } = problem;
  for (const [name, layout] of Object.entries({ hidden, states, wq, wk, wv }))
    if (!Array.isArray(layout?.shape) || layout.shape.length !== 4)
      fail("shape", name, "a tensor layout or view", layout, "Make one with ctx.fromArray(data, shape).");
  checkInteger("heads", heads, 1);
  checkInteger("kvHeads", kvHeads, 1);
  const [batches, tokens] = hidden.shape;
  const sources = states.shape[0];
  if (sources !== 1 && sources !== batches)
    fail(
      "shape",
      "states.shape[0] (batch)",
      `1 or ${batches}, the batch size of hidden`,
      sources,
      "Give one source for all, or one for each.",
    );
  if (states.shape[1] < tokens)
    fail(
      "shape",
      "states.shape[1] (tokens)",
      `at least ${tokens}, the tokens of hidden`,
      states.shape[1],
      "Take a longer source.",
    );
  const beginning = { ...withStrides(states), shape: [sources, tokens, 1, states.shape[3]] } as TensorLayout;
  const project = (
    own: number,
    count: number,
    names: Pick<Projection, "input" | "weight" | "bias">,
    x: TensorLayout,
  ): Projection => {
    const width = problem[names.weight].shape[3];
    if (width % count !== 0)
      fail(
        "shape",
        `${names.weight}.shape[3]`,
        `a multiple of its ${count} heads`,
        width,
        "Heads are equally wide.",
      );
    const stride = own === 1 ? 0 : tokens * width;
    return {
      ...names,
      x,
      out: { dtype: "f32", shape: [own, tokens, 1, width] },
      heads: {
        dtype: "f32",
        shape: [batches, tokens, count, width / count],
        strides: [stride, width, width / count, 1],
      },
    };
  };
  const q = project(sources, heads, { input: "states", weight: "wq", bias: "bq" }, beginning);
  const k = project(sources, kvHeads, { input: "states", weight: "wk", bias: "bk" }, beginning);
  const v = project(batches, kvHeads, { input: "hidden", weight: "wv", bias: "bv" }, hidden);
  return { q, k, v };
}

/** A view's beginning has the strides of the whole. */
export function withStrides<Tensor extends TensorLayout>(layout: Tensor): Tensor {
  const [, tokens, heads, dim] = layout.shape;
  return { ...layout, strides: layout.strides ?? [tokens * heads * dim, heads * dim, dim, 1] };
}

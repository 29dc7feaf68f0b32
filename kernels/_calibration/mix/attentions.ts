// Attentions beside the one that a mix changes: of mean queries, with equal scores, and on log-linear paths. Each computes the heads that
// need it and no others.
import type { AttentionContext } from "../../../src/dispatch/context.js";
import type { Shape4, TensorLayout, TensorView } from "../../../src/dispatch/tensor-view.js";
import { planSoftmaxAttention, type SoftmaxProblem, type SoftmaxTensors } from "../../softmax/index.js";
import { chainScoreMods } from "../chain-score-mods.js";
import type { PlanSequence, Views } from "../plan-sequence.js";
import { pathMod, UNIFORM_MOD } from "./path-mod.js";
import type { MixShape } from "./problem.js";
import type { HeadNeeds } from "./program.js";

/** Rows of whole vec4 of f32, dense. */
export function paddedLayout([batches, tokens, heads, dim]: Shape4): TensorLayout {
  const width = 4 * Math.ceil(dim / 4);
  return {
    dtype: "f32",
    shape: [batches, tokens, heads, dim],
    strides: [tokens * heads * width, heads * width, width, 1],
  };
}

/** [B, Hq, 1 + rows] as `queryRows` wants them: all rows of the heads that need it. */
export function listedHeads(
  needs: readonly HeadNeeds[],
  rows: number,
  isNeeded: (needs: HeadNeeds) => boolean,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(needs.length * (1 + rows));
  needs.forEach((head, n) => {
    if (!isNeeded(head)) return;
    words[n * (1 + rows)] = rows;
    for (let row = 0; row < rows; row++) words[n * (1 + rows) + 1 + row] = row;
  });
  return words;
}

/** What the attentions have in common. */
export interface Beside {
  readonly ctx: AttentionContext;
  readonly parts: PlanSequence;
  /** The problem of the attention that is changed. */
  readonly attention: SoftmaxProblem;
  readonly mix: MixShape;
}

const biasOf = ({ attention }: Beside, views: Views) => (attention.bias ? { bias: views.bias! } : {});

/** The mean queries' outputs, and their log-sum-exp where it is wanted: for each row, or once for all. */
export async function addMeanAttention(
  beside: Beside,
  { q: means, out, lse }: { readonly q: TensorView; readonly out: TensorView; readonly lse?: TensorView },
): Promise<void> {
  const { ctx, parts, attention, mix } = beside;
  const [batches, , heads, dim] = means.shape;
  const q = { ...means, shape: [batches, out.shape[1], heads, dim] as Shape4 };
  const queryRows = parts.give(listedHeads(mix.program.needs, out.shape[1], (needs) => needs.meanQuery));
  const { lse: _lse, queryOffset, ...unplaced } = attention;
  const problem = {
    ...{ ...unplaced, q, out, queryRows },
    ...(!mix.meanWhole && queryOffset !== undefined && { queryOffset }),
    ...(lse && { lse }),
  };
  await parts.add<SoftmaxTensors>(planSoftmaxAttention(ctx, problem), (views) => ({
    ...{ q, k: views.k!, v: views.v!, ...biasOf(beside, views), out },
    ...(lse && { lse }),
  }));
}

/** The mean of the visible values of each row, whatever hides the others. */
export async function addUniformAttention(
  beside: Beside,
  q: TensorView | undefined,
  out: TensorView,
): Promise<void> {
  const { ctx, parts, attention, mix } = beside;
  const queryRows = parts.give(listedHeads(mix.program.needs, out.shape[1], (needs) => needs.uniform));
  const { sinkLogits: _, lse: _lse, scoreMod, ...rest } = attention;
  const { rope: _rope, softcap: _softcap, alibiSlopes: _slopes, ...bare } = rest;
  // Scores matter only where the application's mod may hide a key by them.
  const problem = { ...(scoreMod ? rest : bare), scoreMod: chainScoreMods(scoreMod, UNIFORM_MOD) };
  await parts.add<SoftmaxTensors>(
    planSoftmaxAttention(ctx, { ...problem, q: q ?? attention.q, out, queryRows }),
    (views) => ({ q: q ?? views.q!, k: views.k!, v: views.v!, ...biasOf(beside, views), out }),
  );
}

/** Outputs of log-linear paths in place of those that are there, and their log-sum-exp where it is wanted. */
export async function addPathAttention(
  beside: Beside,
  pathTerms: GPUBuffer,
  lse: TensorView | undefined,
): Promise<void> {
  const { ctx, parts, attention, mix } = beside;
  const { heads, tokensQ } = mix.softmax;
  const queryRows = parts.give(listedHeads(mix.program.needs, tokensQ, (needs) => needs.path > 0));
  const { sinkLogits: _, lse: _lse, scoreMod, ...rest } = attention;
  const mod = chainScoreMods(scoreMod, pathMod(pathTerms, heads, tokensQ));
  await parts.add<SoftmaxTensors>(
    planSoftmaxAttention(ctx, { ...rest, scoreMod: mod, queryRows, ...(lse && { lse }) }),
    (views) => ({
      ...{ q: views.q!, k: views.k!, v: views.v!, ...biasOf(beside, views), out: views.out! },
      ...(lse && { lse }),
    }),
  );
}

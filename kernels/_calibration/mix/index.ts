import { type CompiledPlan, compilePlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import { dispatchFlops } from "../../../src/dispatch/dispatch-budget.js";
import { byHeadLayout } from "../../../src/dispatch/layout.js";
import type { Pass } from "../../../src/dispatch/pass.js";
import { runOnce } from "../../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../../src/dispatch/tensor-view.js";
import type { SoftmaxProblem } from "../../softmax/index.js";
import { loadMods } from "../../softmax/load-mods.js";
import { checkProblem } from "../../softmax/problem.js";
import { softmaxTables } from "../../softmax/tables.js";
import type { Device } from "../around-passes.js";
import { PlanSequence, type Views } from "../plan-sequence.js";
import {
  addMeanAttention,
  addPathAttention,
  addUniformAttention,
  type Beside,
  paddedLayout,
} from "./attentions.js";
import { chunkTokens, copyPass, factsPass, mixPasses, runningPasses } from "./passes.js";
import { type AttentionMixProblem, checkMix, type MixShape } from "./problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface AttentionMixTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  /** What softmax attention made of the others; changed in place. */
  readonly out: TensorView;
  /** Likewise; read, and left as it is. */
  readonly lse: TensorView;
  /** Written, when the plan was made with them. */
  readonly rowTerms?: TensorView;
}

export type AttentionMixPlan = CompiledPlan<AttentionMixTensors>;

/**
 * Plans what moves the patterns of heads towards others (SoftPAG and its targets and paths, arXiv 2506.10978; uniform heads of
 * AttentionInfluence, arXiv 2505.07293; gains), after softmax attention and from what it left: O'_i = base_i O_i + own_i v_i + ..., so that no
 * pattern is ever formed. Rows of heads without steps, or with steps that change nothing, stay as they are bit by bit.
 *
 * Towards the identity, arg-max and uniform weights this takes time linear in the tokens, but for finding arg-max keys, counting keys that
 * masks leave, and uniform weights in other than plain and causal patterns. Mean queries and log-linear paths take another softmax attention of
 * the heads concerned; a mean query without causality and positions one of a single row. A query that does not see its own position stays.
 *
 * Compiles what it needs; nothing is submitted. The plan holds what its parts hand to each other (`ctx.memory()` counts it).
 *
 * @param problem the problem that softmax attention was planned for, and the steps
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planAttentionMix(
  ctx: AttentionContext,
  problem: AttentionMixProblem,
): Promise<AttentionMixPlan> {
  const mix = checkMix(problem, ctx.capabilities, await loadMods(problem));
  await ctx.assertAlive();
  const parts = new PlanSequence(ctx);
  try {
    await addSteps(ctx, parts, problem, mix);
  } catch (error) {
    parts.destroy();
    throw error;
  }
  return parts.joined<AttentionMixTensors>(specsOf(problem, mix, true));
}

function specsOf(
  { bias }: AttentionMixProblem,
  { softmax, rowTerms }: MixShape,
  writes: boolean,
): Record<string, TensorSpec> {
  const { q, k, v, out, lse } = softmax;
  return {
    ...{ q: { layout: q }, k: { layout: k }, v: { layout: v }, lse: { layout: lse } },
    ...(bias && { bias: { layout: bias } }),
    ...(writes && { out: { layout: out, output: true } }),
    ...(writes && rowTerms && { rowTerms: { layout: rowTerms, output: true } }),
  };
}

async function addSteps(
  ctx: AttentionContext,
  parts: PlanSequence,
  problem: AttentionMixProblem,
  mix: MixShape,
): Promise<void> {
  const { heads: _heads, rowTerms: _terms, ...given } = problem;
  const { softmax: shape, program } = mix;
  const attention: SoftmaxProblem = { ...given, out: shape.out, lse: shape.lse };
  const maxDispatchFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  const device: Device = { capabilities: ctx.capabilities, maxDispatchFlops };
  const tables = { ...softmaxTables(shape, problem), programs: { values: program.words } };
  const add = (passes: readonly Pass[], writes: boolean) => {
    const specs = specsOf(problem, mix, writes);
    const plan = compilePlan<object>(ctx, { passes, specs, tables, segmentFlops: maxDispatchFlops });
    return parts.add(plan, (views) => pick(views, Object.keys(specs)));
  };

  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim } = shape;
  const rows = batches * heads * tokensQ;
  const facts = words(parts, 4 * rows);
  const pathTerms = mix.path ? words(parts, 2 * rows) : undefined;
  const before: Pass[] = factsPass(mix, shape, { facts, ...(pathTerms && { pathTerms }) }, device);

  const running = (of: "queries" | "values") => {
    const [tokens, count, dim] = of === "queries" ? [tokensQ, heads, headDim] : [tokensK, kvHeads, valueDim];
    const chunks = words(parts, batches * Math.ceil(tokens / chunkTokens(tokens)) * count * padded(dim));
    const kept = of === "queries" && !mix.causal ? 1 : tokens;
    const sums = parts.hold(paddedLayout([batches, kept, count, dim]));
    before.push(...runningPasses(mix, of, { chunks, sums: sums.buffer }, device));
    return sums;
  };

  const beside: Beside = { ctx, parts, attention, mix };
  let valueSums: TensorView | undefined;
  let uniformQueries: TensorView | undefined;
  if (mix.uniform && mix.running) {
    valueSums = running("values");
  } else if (mix.uniform) {
    valueSums = parts.hold(paddedLayout(shape.out.shape));
    uniformQueries = queriesForUniform(parts, problem, mix, (buffer) =>
      before.push(...copyPass(mix, buffer, device)),
    );
  }
  const means = mix.meanQuery ? meansOf(parts, mix, running("queries")) : undefined;
  // The default layout, whatever the caller's is.
  const pathLse = mix.path && mix.curved ? parts.hold(byHeadLayout(batches, tokensQ, heads)) : undefined;

  if (means && mix.curved) {
    const { lse: _, ...bare } = attention;
    const meanShape = checkProblem(
      { ...bare, q: means.q, out: paddedLayout(shape.out.shape) },
      ctx.capabilities,
      shape.mods,
    );
    before.push(...factsPass(mix, meanShape, { facts, q: means.q.buffer }, device));
  }
  await add(before, false);
  if (means) await addMeanAttention(beside, means);
  if (mix.uniform && !mix.running) await addUniformAttention(beside, uniformQueries, valueSums!);
  if (pathTerms) await addPathAttention(beside, pathTerms, pathLse);
  const buffers = {
    ...{ facts, factors: words(parts, 8 * rows) },
    ...(valueSums && { valueSums: valueSums.buffer }),
    ...(means && { meanOut: means.out.buffer }),
    ...(means?.lse && { meanLse: means.lse.buffer }),
    ...(pathLse && { pathLse: pathLse.buffer }),
  };
  await add(mixPasses(mix, buffers, device), true);
}

function pick(views: Views, names: readonly string[]): Views {
  return Object.fromEntries(names.map((name) => [name, views[name]!]));
}

function words(parts: PlanSequence, count: number): GPUBuffer {
  return parts.hold({ dtype: "f32", shape: [1, 1, 1, count] }).buffer;
}

function padded(dim: number): number {
  return 4 * Math.ceil(dim / 4);
}

/** Mean queries as q of an attention, and room for what it gives. */
function meansOf(parts: PlanSequence, mix: MixShape, sums: TensorView) {
  const { batches, tokensQ, heads, headDim, valueDim } = mix.softmax;
  const rows = mix.meanWhole ? 1 : tokensQ;
  const [batch, token, head, dim] = sums.strides!;
  return {
    q: {
      ...sums,
      shape: [batches, tokensQ, heads, headDim],
      strides: [batch, sums.shape[1] === 1 ? 0 : token, head, dim],
    } as TensorView,
    out: parts.hold(paddedLayout([batches, rows, heads, valueDim])),
    ...(mix.curved && { lse: parts.hold(byHeadLayout(batches, rows, heads)) }),
  };
}

/**
 * Queries for an attention whose scores do not matter: zeros, or those that there are where a mod looks at their scores. Its output
 * is f32, and queries have the type of outputs.
 */
function queriesForUniform(
  parts: PlanSequence,
  problem: AttentionMixProblem,
  { softmax }: MixShape,
  copy: (to: GPUBuffer) => void,
): TensorView | undefined {
  const { shape } = softmax.q;
  if (!problem.scoreMod) {
    const buffer = parts.give(new Uint32Array(shape[3]));
    return { dtype: "f32", shape, strides: [0, 0, 0, 1], buffer };
  }
  if (softmax.q.dtype === "f32") return undefined;
  const queries = parts.hold(paddedLayout(shape));
  copy(queries.buffer);
  return queries;
}

/** Options and layouts as `planAttentionMix` takes them, but for the tensors that are given. */
export type AttentionMixOptions = Omit<
  AttentionMixProblem,
  "q" | "k" | "v" | "out" | "lse" | "bias" | "rowTerms"
>;

/**
 * Changes the output of softmax attention in place, once: plans, records, submits.
 *
 * @param tensors q, k, v (and bias) that softmax attention was given, `out` and `lse` that it wrote
 * @param options the options that it was given, and the steps of its heads
 * @throws AttentionError as `planAttentionMix` and `record`, before anything is submitted
 */
export async function mixAttention(
  ctx: AttentionContext,
  tensors: AttentionMixTensors,
  options: AttentionMixOptions,
): Promise<void> {
  const plan = await planAttentionMix(ctx, { ...options, ...tensors });
  await runOnce(ctx, plan, () => ({ tensors, result: undefined }));
}

import type { AttentionContext, TensorLayout, TensorView } from "webgpu-attention";
import {
  type CompiledPlan,
  chainScoreMods,
  checkPlainRows,
  type HeadSteps,
  type PlanSegment,
  planAttentionMix,
  type SinkLists,
} from "webgpu-attention/calibration";
import {
  planSoftmaxAttention,
  type SoftmaxCallOptions,
  type SoftmaxProblem,
  type SoftmaxTensors,
} from "webgpu-attention/softmax";
import { attendOnce } from "../attend-once.js";
import { fail } from "../check.js";
import { type HeadOperations, operationsOfEntries } from "./head-operations.js";
import { headScoreMod } from "./score-mod.js";
import { addShift, addShiftedAttention, keyShifts, looksAtReceived, type ShiftStage } from "./shift-stage.js";
import { StagedPlan } from "./staged-plan.js";
import { type Stages, stagesOf } from "./stages.js";

/** A problem of softmax attention, and what to do to its heads. */
export interface IntervenedProblem extends SoftmaxProblem {
  /** The same for all batch entries, or one map for each: the plain and the perturbed pass of a guidance are two batch entries. */
  readonly heads?: HeadOperations | readonly HeadOperations[];
  /** [B, Tk, 1, C] the input of the layer's block, where a shift looks for sinks in hidden states. */
  readonly hidden?: TensorLayout;
  /** Sinks of the prefill, while decoding: taken for all shifts but those with `update: "running"`. Default found anew. */
  readonly sinks?: SinkLists;
  /** Whether to write `receivedSum` and `receivedCount`, for steps of decoding that come. Default false. */
  readonly receivedSums?: boolean;
  /** Whether to take those of earlier queries, as `carriedSum` and `carriedCount`. Default false. */
  readonly carried?: boolean;
}

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface IntervenedTensors extends SoftmaxTensors {
  /** These when the plan was made with them. */
  readonly hidden?: TensorView;
  /** [B, Tk, Hq, 1] f32 with each head's keys side by side, strides [Hq Tk, 1, Tk, 1], as the next three. Read. */
  readonly carriedSum?: TensorView;
  readonly carriedCount?: TensorView;
  /** Written. In other buffers than the two before: a loop over tokens takes two in turn. */
  readonly receivedSum?: TensorView;
  readonly receivedCount?: TensorView;
}

export interface IntervenedPlan extends CompiledPlan<IntervenedTensors> {
  /** The sinks of the last run, where there are shifts. The plan's: they go with `destroy()`. */
  readonly sinks?: SinkLists;
}

export type IntervenedSegment = PlanSegment<IntervenedTensors>;

/**
 * Plans softmax attention with operations on its heads: scales and biases within it, then mixes, gains and shifts on what it left, all without
 * a pattern in memory. Heads without operations, and operations that change nothing, leave bit by bit what softmax attention gives with the
 * layer's scales and biases as its score mod.
 *
 * `lse` is that of the scores as scales and biases leave them. The plan owns what its parts hand to each other, in size linear in the tokens.
 *
 * @throws AttentionError as `planSoftmaxAttention`; "unsupported" for operations beside packed sequences, listed rows or block masks, and for
 * orders of them that have no exact form in outputs: scale or bias after others, two shifts on a head, a shift after a mean query, a
 * log-linear path or both identity and arg-max, a path that is not straight after a shift, a curved path after a gain below 0, a log-linear
 * path after other mixes and gains; "limit" too for kernels that would bind more buffers than the device has (docs/hooks.md). Operations are
 * checked by themselves and for their order before anything is compiled, the keys of shifts before attention is
 */
export async function planIntervenedAttention(
  ctx: AttentionContext,
  problem: IntervenedProblem,
): Promise<IntervenedPlan> {
  const { heads = new Map(), hidden, sinks, receivedSums = false, carried = false, ...given } = problem;
  const [batches, tokensQ, headCount] = shapeOf("q", given.q);
  const [, tokensK] = shapeOf("k", given.k);
  const listed = operationsOfEntries(heads, batches, headCount);
  if (listed.some((entry) => [...entry.values()].some((operations) => operations.length > 0)))
    checkPlainRows("attention with operations on heads", given);
  const entries = listed.map(stagesOf);
  const mod = headScoreMod(
    entries.map(({ scores }) => scores),
    { heads: headCount, tokensQ, tokensK },
  );
  const attention: SoftmaxProblem = {
    ...given,
    ...(mod && { scoreMod: chainScoreMods(given.scoreMod, mod) }),
    lse: given.lse || true,
  };
  const staged = new StagedPlan(ctx, attention, {
    ...{ lse: Boolean(given.lse), carried, receivedSums },
    ...(hidden && { hidden }),
  });
  const shifts = keyShifts(entries.map((entry) => entry.shifts));
  try {
    await addStages(staged, attention, entries, {
      ...{ heads: shifts, carried, receivedSums },
      ...(hidden && { hidden }),
      ...(sinks && { sinks }),
    });
  } catch (error) {
    staged.destroy();
    throw error;
  }
  return staged.joined();
}

function shapeOf(name: string, layout: TensorLayout): TensorLayout["shape"] {
  if (Array.isArray(layout?.shape)) return layout.shape;
  return fail("shape", name, "a tensor layout or view", layout, "Make one with ctx.fromArray(data, shape).");
}

async function addStages(
  staged: StagedPlan,
  attention: SoftmaxProblem,
  entries: readonly Stages[],
  shift: ShiftStage,
): Promise<void> {
  const before = entries.map((entry) => entry.before);
  const after = entries.map((entry) => entry.after);
  const hasSteps = (maps: readonly HeadSteps[]) => maps.some((map) => map.size > 0);
  const isShifted = shift.heads.some((map) => map.size > 0);
  const knowsSinks =
    isShifted && !hasSteps(before) && !shift.receivedSums && !shift.carried && !looksAtReceived(shift);
  const isLast = !hasSteps(after) && (knowsSinks || (!isShifted && !shift.receivedSums));
  // What is last writes no log-sum-exp that nobody asked for.
  const { lse: _, ...withoutLse } = attention;
  const first = isLast && !staged.hasLse ? withoutLse : attention;
  if (knowsSinks) {
    await addShiftedAttention(staged, first, shift);
  } else {
    const rowTerms = hasSteps(before) ? staged.holdRowTerms() : undefined;
    if (rowTerms) await addMix(staged, attention, before, rowTerms);
    if (isShifted || shift.receivedSums)
      await addShift(staged, attention, { ...shift, ...(rowTerms && { rowTerms }) });
  }
  if (hasSteps(after)) await addMix(staged, attention, after);
  // Recorded first, planned last: what others refuse is found before a tuning context measures.
  if (!knowsSinks)
    await staged.add(
      planSoftmaxAttention(staged.ctx, first),
      (views) => staged.attentionTensors(views, first),
      0,
    );
}

function addMix(
  staged: StagedPlan,
  attention: SoftmaxProblem,
  heads: readonly HeadSteps[],
  rowTerms?: TensorView,
): Promise<void> {
  const plan = planAttentionMix(staged.ctx, { ...attention, heads, ...(rowTerms && { rowTerms }) });
  return staged.add(plan, (views) => ({
    ...staged.attentionTensors(views, attention),
    lse: views.lse!,
    ...(rowTerms && { rowTerms }),
  }));
}

export interface IntervenedCallOptions extends SoftmaxCallOptions {
  readonly heads?: IntervenedProblem["heads"];
  /** [B, Tk, 1, C] */
  readonly hidden?: TensorView;
}

/**
 * Softmax attention with operations on its heads, once: plans, records, submits. In a loop over one shape, `planIntervenedAttention` saves the
 * planning.
 *
 * @param q [B, Tq, Hq, D]
 * @param k [B, Tk, Hkv, D]
 * @param v [B, Tk, Hkv, Dv]
 * @returns new tensors' buffers are the caller's to destroy
 * @throws AttentionError as `planIntervenedAttention` and `record`, before anything is submitted
 */
export async function intervenedAttention(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  options: IntervenedCallOptions = {},
): Promise<{ out: TensorView; lse?: TensorView }> {
  const { bias, hidden, out: givenOut, lse: givenLse, ...rest } = options;
  const problem: IntervenedProblem = {
    ...{ ...rest, q, k, v, ...(bias && { bias }), ...(hidden && { hidden }) },
    ...(givenOut && { out: givenOut }),
    ...(givenLse && { lse: givenLse }),
  };
  const plan = await planIntervenedAttention(ctx, problem);
  const [batches, tokens, heads] = q.shape;
  const out = { shape: [batches, tokens, heads, v.shape[3]], dtype: q.dtype } as const;
  return attendOnce(ctx, plan, out, { out: givenOut, lse: givenLse }, (outputs) => ({
    ...{ q, k, v, ...(bias && { bias }), ...(hidden && { hidden }) },
    ...outputs,
  }));
}

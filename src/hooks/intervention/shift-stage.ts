import type { TensorLayout, TensorView } from "webgpu-attention";
import {
  type AttentionShiftProblem,
  planAttentionShift,
  planAttentionStatistics,
  planShiftedAttention,
  type SinkLists,
  type Views,
} from "webgpu-attention/calibration";
import type { SoftmaxProblem } from "webgpu-attention/softmax";
import type { ShiftOperation } from "../operations.js";
import type { StagedPlan } from "./staged-plan.js";

type KeyShifts = Exclude<AttentionShiftProblem["heads"], ReadonlyMap<number, unknown>>;

/** Shifts of a layer, and what they look at. */
export interface ShiftStage {
  readonly heads: KeyShifts;
  readonly rowTerms?: TensorView;
  readonly hidden?: TensorLayout;
  readonly sinks?: SinkLists;
  /** Whether sums of received weight come from earlier queries, and whether they go to later ones. */
  readonly carried: boolean;
  readonly receivedSums: boolean;
}

/** Shifts as passes around attention take them: without the kind that tells operations apart. */
export function keyShifts(entries: readonly ReadonlyMap<number, ShiftOperation>[]): KeyShifts {
  return entries.map(
    (entry) => new Map([...entry].map(([head, { kind: _, ...shift }]) => [head, shift] as const)),
  );
}

/** Whether sinks have to be found in the pattern. */
export function looksAtReceived({ heads, sinks }: Pick<ShiftStage, "heads" | "sinks">): boolean {
  return heads.some((entry) =>
    [...entry.values()].some(
      ({ sinks: rule }) => "received" in rule && (!sinks || rule.update === "running"),
    ),
  );
}

const hiddenOf = ({ hidden }: ShiftStage, views: Views) => (hidden ? { hidden: views.hidden! } : {});

/** Attention with shifts in it, where sinks are known before. */
export async function addShiftedAttention(
  staged: StagedPlan,
  attention: SoftmaxProblem,
  stage: ShiftStage,
): Promise<void> {
  const { heads, hidden, sinks } = stage;
  const problem = { ...attention, heads, ...(hidden && { hidden }), ...(sinks && { sinks }) };
  const plan = await planShiftedAttention(staged.ctx, problem);
  staged.sinks = plan.sinks;
  await staged.add(plan, (views) => ({
    ...staged.attentionTensors(views, attention),
    ...hiddenOf(stage, views),
  }));
}

/** What keys receive, as far as it is looked at or carried on; then the shifts. */
export async function addShift(
  staged: StagedPlan,
  attention: SoftmaxProblem,
  stage: ShiftStage,
): Promise<void> {
  const { heads, rowTerms, hidden, sinks, carried, receivedSums } = stage;
  const looks = looksAtReceived(stage);
  const received = looks ? staged.holdReceived() : undefined;
  if (received || receivedSums) await addReceived(staged, attention, stage, received);
  if (heads.every((entry) => entry.size === 0)) return;
  const plan = await planAttentionShift(staged.ctx, {
    ...{ ...attention, heads },
    ...(hidden && { hidden }),
    ...(received && { received }),
    ...(sinks && { sinks }),
    // Sums of earlier queries make it a step of decoding.
    ...(carried && { spareNewest: true }),
    ...(rowTerms && { rowTerms }),
  });
  staged.sinks = plan.sinks;
  await staged.add(plan, (views) => ({
    ...staged.attentionTensors(views, attention),
    lse: views.lse!,
    ...hiddenOf(stage, views),
    ...(received && { received }),
    ...(rowTerms && { rowTerms }),
  }));
}

async function addReceived(
  staged: StagedPlan,
  attention: SoftmaxProblem,
  { rowTerms, carried, receivedSums }: ShiftStage,
  received: TensorView | undefined,
): Promise<void> {
  const { v: _v, out: _out, lse, ...scored } = attention;
  const statistics = {
    ...(received && { receivedMean: true }),
    ...(receivedSums && { receivedSum: true, receivedCount: true }),
  };
  const plan = planAttentionStatistics(staged.ctx, {
    ...{ ...scored, lse: lse as TensorLayout | true, statistics },
    ...(rowTerms && { rowTerms }),
    ...(carried && { carried: true as const }),
  });
  await staged.add(plan, (views) => ({
    ...{ q: views.q!, k: views.k!, lse: views.lse! },
    ...(attention.bias && { bias: views.bias! }),
    ...(rowTerms && { rowTerms }),
    ...(received && { receivedMean: received }),
    ...(carried && { carriedSum: views.carriedSum!, carriedCount: views.carriedCount! }),
    ...(receivedSums && { receivedSum: views.receivedSum!, receivedCount: views.receivedCount! }),
  }));
}

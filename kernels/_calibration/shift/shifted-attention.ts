import { fail } from "../../../src/dispatch/check.js";
import type { CompiledPlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import { byHeadLayout } from "../../../src/dispatch/layout.js";
import { runOnce } from "../../../src/dispatch/run-once.js";
import type { TensorSpec } from "../../../src/dispatch/tensor-set.js";
import type { TensorLayout, TensorView } from "../../../src/dispatch/tensor-view.js";
import { planSoftmaxAttention, type SoftmaxProblem } from "../../softmax/index.js";
import { loadMods } from "../../softmax/load-mods.js";
import { DECODE_TOKENS } from "../../softmax/sizes.js";
import { PlanSequence, type Views } from "../plan-sequence.js";
import { listsBytes, setUpShift } from "./compile.js";
import { type KeyRange, type KeyRanges, keyRanges } from "./key-ranges.js";
import type { CutRows, ShiftPart, ShiftParts } from "./pass-parts.js";
import { planShift, planSinks, planSplitRows } from "./plan.js";
import { type AttentionShiftProblem, attentionOf, checkShiftProblem, type ShiftShape } from "./problem.js";
import type { SinkLists } from "./types.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface ShiftedAttentionTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  /** Where a rule looks at it. Read. */
  readonly hidden?: TensorView;
  /** Written. */
  readonly out: TensorView;
  /** Written, when the plan was made with `lse`. */
  readonly lse?: TensorView;
}

export interface ShiftedAttentionPlan extends CompiledPlan<ShiftedAttentionTensors> {
  /** As `AttentionShiftPlan` has them. */
  readonly sinks: SinkLists;
}

/** What to plan for: a problem of softmax attention, and shifts whose sinks are known before: by hidden states, by keys, or as lists. */
export type ShiftedAttentionProblem = Omit<AttentionShiftProblem, "received" | "rowTerms" | "spareNewest">;

/**
 * Plans softmax attention with shifts of weight from sinks to other keys, where sinks are known without looking at the pattern: by hidden
 * states (VAR, arXiv 2503.03321), by their indices, or from a plan before. For what moves where, see `planAttentionShift`.
 *
 * Where all recipients and keys of gates are one range of keys, the same for all heads of a batch entry, rows that may be shifted attend to
 * the keys before, in and after it by themselves; each pair is scored once, and the sums are merged. Heads without a shift or without sinks,
 * and rows that are not to be shifted, have what softmax attention gives them bit by bit; rows that pass no gate, and `lse` of all rows that
 * may be shifted, within rounding.
 *
 * Compiles what it needs; nothing is submitted. The plan holds what its parts hand to each other (`ctx.memory()` counts it).
 *
 * @throws AttentionError "shape", "dtype", "unsupported" (also for sinks by received weight), "limit", "compile", "disposed", "device-lost"
 */
export async function planShiftedAttention(
  ctx: AttentionContext,
  problem: ShiftedAttentionProblem,
): Promise<ShiftedAttentionPlan> {
  checkForeign(problem);
  const mods = await loadMods(problem);
  const shape = checkShiftProblem(problem, ctx.capabilities, mods, "planShiftedAttention");
  checkKnownSinks(shape);
  await ctx.assertAlive();
  const parts = new PlanSequence(ctx);
  try {
    const lists = parts.hold(words(listsBytes(shape.attention) / 4)).buffer;
    await addSteps({ ctx, parts, problem, shape, lists });
    const plan = parts.joined<ShiftedAttentionTensors>(specsOf(problem, shape));
    return { ...plan, sinks: { buffer: lists, keys: shape.attention.tokensK } };
  } catch (error) {
    parts.destroy();
    throw error;
  }
}

/** Of shifts after attention, which take patterns as others have left them. */
function checkForeign(problem: AttentionShiftProblem): void {
  for (const name of ["received", "rowTerms", "spareNewest"] as const) {
    if (problem[name] === undefined) continue;
    fail("unsupported", `planShiftedAttention ${name}`, "none", "it", "Use planAttentionShift.");
  }
}

function checkKnownSinks({ shifts, sinks }: ShiftShape): void {
  for (const { head, shift } of shifts) {
    if (!("received" in shift.sinks) || (sinks && shift.sinks.update !== "running")) continue;
    const fix = "Use planAttentionShift after softmax attention and attentionStatistics.";
    fail(
      "unsupported",
      `heads[${head}].sinks`,
      "sinks that are known before attention",
      "a rule on received weight",
      fix,
    );
  }
}

interface Making {
  readonly ctx: AttentionContext;
  readonly parts: PlanSequence;
  readonly problem: ShiftedAttentionProblem;
  readonly shape: ShiftShape;
  readonly lists: GPUBuffer;
}

async function addSteps(making: Making): Promise<void> {
  const { ctx, parts, problem, shape } = making;
  const { shifts, attention: softmax } = shape;
  const attention: SoftmaxProblem = { ...attentionOf(problem), out: softmax.out };
  if (shifts.length === 0) return addAttention(making, attention, {});
  const ranges = keyRanges(problem, shape);
  if (ranges && softmax.tokensQ > DECODE_TOKENS) return addCutAttention(making, attention, ranges);

  const lse = problem.lse ? undefined : parts.hold(softmax.lse);
  await addAttention(making, { ...attention, lse: softmax.lse }, { ...(lse && { lse }) });
  const recipients = ranges && (await addPart(making, attention, ranges.recipients));
  const { inputs, sinkSpecs, inputSpecs, compile } = setUpShift(
    ctx,
    problem,
    shape,
    making.lists,
    recipients && { recipients },
  );
  const specs = {
    ...inputSpecs,
    ...sinkSpecs,
    lse: { layout: softmax.lse },
    out: { layout: softmax.out, output: true },
  };
  await parts.add(compile<object>([...planSinks(inputs), ...planShift(inputs)], specs), (views) =>
    pick({ ...views, ...(lse && { lse }) }, specs),
  );
}

/** Rows that may be shifted attend to parts of their keys, all others to their keys at once. */
async function addCutAttention(
  making: Making,
  attention: SoftmaxProblem,
  { before, recipients, after }: KeyRanges,
): Promise<void> {
  const { ctx, parts, problem, shape, lists } = making;
  const { batches, heads, tokensQ, out } = shape.attention;
  const rowLists = () => parts.hold(words(batches * heads * (1 + tokensQ))).buffer;
  const [wholeRows, cutRows] = [rowLists(), rowLists()];
  const room = (range: KeyRange | undefined) => range && partRoom(parts, shape);
  const [partBefore, part, partAfter] = [room(before), partRoom(parts, shape), room(after)];
  const cut: CutRows = {
    wholeRows,
    cutRows,
    ...(partBefore && { before: buffersOf(partBefore) }),
    ...(partAfter && { after: buffersOf(partAfter) }),
  };
  const all: ShiftParts = { recipients: buffersOf(part), cut };
  const { inputs, sinkSpecs, inputSpecs, compile } = setUpShift(
    ctx,
    problem,
    withoutLse(shape, problem),
    lists,
    all,
  );
  const find = compile<object>([...planSinks(inputs), ...planSplitRows(inputs, cut)], sinkSpecs);
  await parts.add(find, (views) => pick(views, sinkSpecs));
  await addAttention(making, { ...attention, queryRows: wholeRows }, {});
  const bare = withoutSinkLogits(attention);
  for (const [range, to] of [
    [before, partBefore],
    [recipients, part],
    [after, partAfter],
  ] as const) {
    if (range && to)
      await addAttention(making, { ...bare, ...range, queryRows: cutRows, out: to.out, lse: to.lse }, to);
  }
  const specs = {
    ...inputSpecs,
    out: { layout: out, output: true },
    ...(problem.lse && { lse: { layout: shape.attention.lse, output: true } }),
  };
  await parts.add(compile<object>(planShift(inputs), specs), (views) => pick(views, specs));
}

/** Attention of all rows to a range of the keys. */
async function addPart(making: Making, attention: SoftmaxProblem, range: KeyRange): Promise<ShiftPart> {
  const to = partRoom(making.parts, making.shape);
  await addAttention(making, { ...withoutSinkLogits(attention), ...range, out: to.out, lse: to.lse }, to);
  return buffersOf(to);
}

/** @param own tensors of the plan's, in place of those given */
async function addAttention({ ctx, parts }: Making, attention: SoftmaxProblem, own: Views): Promise<void> {
  const names = [
    "q",
    "k",
    "v",
    "out",
    ...(attention.bias ? ["bias"] : []),
    ...(attention.lse ? ["lse"] : []),
  ];
  const named = Object.fromEntries(names.map((name) => [name, { layout: attention.q }]));
  await parts.add(planSoftmaxAttention(ctx, attention) as Promise<CompiledPlan<object>>, (views) =>
    pick({ ...views, ...own }, named),
  );
}

interface PartRoom {
  readonly [name: string]: TensorView;
  readonly out: TensorView;
  readonly lse: TensorView;
}

function partRoom(parts: PlanSequence, { attention }: ShiftShape): PartRoom {
  const { batches, heads, tokensQ, out } = attention;
  return {
    out: parts.hold({ dtype: out.dtype, shape: out.shape }),
    lse: parts.hold(byHeadLayout(batches, tokensQ, heads)),
  };
}

function buffersOf({ out, lse }: PartRoom): ShiftPart {
  return { out: out.buffer, lse: lse.buffer };
}

/** Sinks of the denominator count once, where parts are merged. */
function withoutSinkLogits({ sinkLogits: _, ...attention }: SoftmaxProblem): SoftmaxProblem {
  return attention;
}

/** The log-sum-exp is written only where it is asked for. */
function withoutLse(shape: ShiftShape, { lse }: ShiftedAttentionProblem): ShiftShape {
  if (lse) return shape;
  const { lse: _, ...attention } = shape.attention;
  return { ...shape, attention: attention as ShiftShape["attention"] };
}

function pick(views: Views, specs: Readonly<Record<string, TensorSpec>>): Views {
  return Object.fromEntries(Object.keys(specs).map((name) => [name, views[name]!]));
}

function words(count: number): TensorLayout {
  return { dtype: "f32", shape: [1, 1, 1, count] };
}

function specsOf(problem: ShiftedAttentionProblem, { attention, hidden }: ShiftShape) {
  const { q, k, v, out, lse } = attention;
  const specs: Record<string, TensorSpec> = {
    q: { layout: q },
    k: { layout: k },
    v: { layout: v },
    ...(problem.bias && { bias: { layout: problem.bias } }),
    ...(hidden && { hidden: { layout: hidden } }),
    out: { layout: out, output: true },
    ...(problem.lse && { lse: { layout: lse, output: true } }),
  };
  return specs;
}

/** Options and layouts as `planShiftedAttention` takes them, but for the tensors that are given. */
export interface ShiftedAttentionOptions
  extends Omit<ShiftedAttentionProblem, "q" | "k" | "v" | "out" | "lse" | "bias" | "hidden"> {
  /** [1 or B, 1 or Hq, 1 or Tq, 1 or Tk] f32, added to the score; -infinity masks. */
  readonly bias?: TensorView;
  /** [B, Tk, 1, C] the input of the layer's block, where a rule looks at it. */
  readonly hidden?: TensorView;
  /** Where to write [B, Tq, Hq, Dv]; default a new dense tensor, whose buffer is the caller's to destroy. */
  readonly out?: TensorView;
}

/**
 * Softmax attention with shifts once: plans, records, submits.
 *
 * @param q [B, Tq, Hq, D]
 * @param k [B, Tk, Hkv, D]
 * @param v [B, Tk, Hkv, Dv]
 * @throws AttentionError as `planShiftedAttention` and `record`, before anything is submitted
 */
export async function shiftedAttention(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  v: TensorView,
  options: ShiftedAttentionOptions,
): Promise<{ out: TensorView }> {
  const { bias, hidden } = options;
  const plan = await planShiftedAttention(ctx, { ...options, q, k, v });
  return runOnce(ctx, plan, (allocate) => {
    const out =
      options.out ?? allocate({ shape: [q.shape[0], q.shape[1], q.shape[2], v.shape[3]], dtype: q.dtype });
    const tensors = { q, k, v, ...(bias && { bias }), ...(hidden && { hidden }), out };
    return { tensors, result: { out } };
  });
}

/**
 * Weight moved from sinks to other keys: `planAttentionShift` acts on what softmax attention has written, `planShiftedAttention` does
 * both where sinks are known before. `plan.ts` makes passes of a problem.
 */

import type { CompiledPlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import { runOnce } from "../../../src/dispatch/run-once.js";
import type { TensorView } from "../../../src/dispatch/tensor-view.js";
import { loadMods } from "../../softmax/load-mods.js";
import { listsBytes, setUpShift } from "./compile.js";
import { planShift, planSinks } from "./plan.js";
import { type AttentionShiftProblem, checkShiftProblem } from "./problem.js";
import type { SinkLists } from "./types.js";

export { protectedKeys } from "./operation-table.js";
export { type AttentionShiftProblem, sinkListWords } from "./problem.js";
export type { HeadShifts, KeySet, KeyShift, ShiftGate, ShiftRows, SinkLists, SinkRule } from "./types.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface AttentionShiftTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  /** When the plan was made with one. */
  readonly bias?: TensorView;
  /** What softmax attention made of the others; changed in place. */
  readonly out: TensorView;
  /** Likewise; read, and left as it is. */
  readonly lse: TensorView;
  /** Where a rule looks at it: the mean weight that each key receives. Read. */
  readonly received?: TensorView;
  /** Where a rule looks at it. Read. */
  readonly hidden?: TensorView;
  /** When the plan was made with them. Read. */
  readonly rowTerms?: TensorView;
}

export interface AttentionShiftPlan extends CompiledPlan<AttentionShiftTensors> {
  /**
   * The sinks of the last run. The plan's: they go with `destroy()`. A plan of a later step may take them as its `sinks`. Heads
   * whose sinks keep everything have none: to find sinks now and act on them later, keep a little less than 1.
   */
  readonly sinks: SinkLists;
}

/**
 * Plans shifts of weight from sinks to other keys (ACT, arXiv 2406.15765; VAR, arXiv 2503.03321), after softmax attention and from what it left:
 * with s_i the weight of row i on its sinks and Z_i that on the recipients, sinks keep `keep` of theirs and recipients grow by
 * 1 + (1 - keep) s_i / Z_i, so that rows keep their sums. Sinks are found on the GPU. Heads without a shift or without sinks, and rows that
 * pass no gate or whose recipients weigh nothing, stay as they are bit by bit.
 *
 * Where all keys but sinks receive and there is no gate, only sinks are scored. Otherwise each row walks over all of its keys: where sinks are
 * known before, `planShiftedAttention` does better.
 *
 * Compiles what it needs; nothing is submitted. The plan holds the lists of sinks (`ctx.memory()` counts them) until `destroy()`.
 *
 * @param problem the problem that softmax attention was planned for, and the shifts
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planAttentionShift(
  ctx: AttentionContext,
  problem: AttentionShiftProblem,
): Promise<AttentionShiftPlan> {
  const shape = checkShiftProblem(problem, ctx.capabilities, await loadMods(problem));
  await ctx.assertAlive();
  const { lse, out, tokensK } = shape.attention;
  const lists = ctx.scratch.hold(listsBytes(shape.attention));
  try {
    const { inputs, sinkSpecs, inputSpecs, compile } = setUpShift(ctx, problem, shape, lists);
    const passes = [...planSinks(inputs), ...planShift(inputs)];
    const plan = await compile<AttentionShiftTensors>(passes, {
      ...inputSpecs,
      ...sinkSpecs,
      lse: { layout: lse },
      out: { layout: out, output: true },
    });
    return {
      ...plan,
      sinks: { buffer: lists, keys: tokensK },
      destroy() {
        plan.destroy();
        ctx.scratch.release(lists);
      },
    };
  } catch (error) {
    ctx.scratch.release(lists);
    throw error;
  }
}

/** Options and layouts as `planAttentionShift` takes them, but for the tensors that are given. */
export type AttentionShiftOptions = Omit<
  AttentionShiftProblem,
  "q" | "k" | "v" | "out" | "lse" | "bias" | "received" | "hidden" | "rowTerms"
>;

/**
 * Changes the output of softmax attention in place, once: plans, records, submits.
 *
 * @param tensors q, k, v (and bias) that softmax attention was given, `out` and `lse` that it wrote, and what the rules look at
 * @param options the options that it was given, and the shifts of its heads
 * @throws AttentionError as `planAttentionShift` and `record`, before anything is submitted
 */
export async function shiftAttention(
  ctx: AttentionContext,
  tensors: AttentionShiftTensors,
  options: AttentionShiftOptions,
): Promise<void> {
  const plan = await planAttentionShift(ctx, { ...options, ...tensors });
  await runOnce(ctx, plan, () => ({ tensors, result: undefined }));
}

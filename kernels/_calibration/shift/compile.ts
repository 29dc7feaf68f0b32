import { type CompiledPlan, compilePlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import { byHeadLayout } from "../../../src/dispatch/layout.js";
import type { Pass } from "../../../src/dispatch/pass.js";
import type { TensorSpec } from "../../../src/dispatch/tensor-set.js";
import { dispatchBudget } from "../../softmax/effort.js";
import { softmaxTables } from "../../softmax/tables.js";
import { rowTermsLayout } from "../row-terms.js";
import { packOperations } from "./operation-table.js";
import type { ShiftParts, ShiftPlanInputs } from "./pass-parts.js";
import { type AttentionShiftProblem, attentionOf, type ShiftShape, sinkListWords } from "./problem.js";

type Specs = Readonly<Record<string, TensorSpec>>;

/** A checked problem with the data of its passes. */
export interface ShiftSetup {
  readonly inputs: ShiftPlanInputs;
  /** What finding sinks reads. */
  readonly sinkSpecs: Specs;
  /** What scores read. */
  readonly inputSpecs: Specs;
  readonly compile: <Tensors extends object>(
    passes: readonly Pass[],
    specs: Specs,
  ) => Promise<CompiledPlan<Tensors>>;
}

/** Words for the lists of sinks of all heads. */
export function listsBytes({ batches, heads, tokensK }: ShiftShape["attention"]): number {
  return 4 * batches * heads * sinkListWords(tokensK);
}

/**
 * @param lists where the passes leave the sinks, `listsBytes` long
 * @param parts outputs over parts of the keys, where there are such
 */
export function setUpShift(
  ctx: AttentionContext,
  problem: AttentionShiftProblem,
  shape: ShiftShape,
  lists: GPUBuffer,
  parts?: ShiftParts,
): ShiftSetup {
  const { attention, shifts, hidden, rowTerms } = shape;
  const { q, k, v, batches, heads, tokensQ, tokensK } = attention;
  const tables = softmaxTables(attention, attentionOf(problem));
  const table = packOperations(tables.terms!.values, shifts, attention, {
    given: shape.sinks !== undefined,
    spareNewest: shape.spareNewest,
  });
  const { needs } = table;
  const maxDispatchFlops = dispatchBudget(attention, ctx.capabilities, ctx.maxDispatchMs);
  const { capabilities } = ctx;
  return {
    inputs: { shape, table, lists, capabilities, maxDispatchFlops, ...(parts && { parts }) },
    sinkSpecs: {
      ...((needs.received || problem.received) && {
        received: { layout: byHeadLayout(batches, tokensK, heads) },
      }),
      ...(hidden && { hidden: { layout: hidden } }),
    },
    inputSpecs: {
      q: { layout: q },
      k: { layout: k },
      v: { layout: v },
      ...(problem.bias && { bias: { layout: problem.bias } }),
      ...(rowTerms && { rowTerms: { layout: rowTermsLayout(batches, heads, tokensQ) } }),
    },
    compile: (passes, specs) =>
      compilePlan(ctx, {
        passes,
        specs,
        tables: { ...tables, terms: { ...tables.terms!, values: table.values } },
        segmentFlops: maxDispatchFlops,
      }),
  };
}

import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { type CompiledPlan, compilePlan } from "../../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import type { TensorSpec } from "../../../src/dispatch/tensor-set.js";
import { dispatchBudget } from "../../softmax/effort.js";
import type { SoftmaxOptions } from "../../softmax/index.js";
import { planStatistics, type StatisticsPlanOptions } from "./plan.js";
import type { StatisticsShape } from "./problem.js";
import { statisticsTables } from "./words.js";

interface CompileOptions extends Pick<StatisticsPlanOptions, "unroll"> {
  /** What to plan for: tests take other kinds of devices than the one that runs. */
  readonly capabilities?: Capabilities;
}

/**
 * A checked problem as a plan.
 *
 * @param options those of the problem: tables are made of them
 */
export async function compileStatistics<Tensors extends object>(
  ctx: AttentionContext,
  shape: StatisticsShape,
  options: SoftmaxOptions,
  { capabilities = ctx.capabilities, ...plan }: CompileOptions = {},
): Promise<CompiledPlan<Tensors>> {
  const { softmax, outputs, rowTerms, carried } = shape;
  const { headDim, valueDim } = softmax;
  // The budget of attention is in operations of both its products.
  const pairs = dispatchBudget(softmax, capabilities, ctx.maxDispatchMs) / (2 * (headDim + valueDim));
  const maxDispatchFlops = pairs * 2 * headDim;
  const tables = statisticsTables(shape, options);
  const passes = planStatistics(shape, capabilities, { ...plan, maxDispatchFlops });
  await ctx.assertAlive();
  const specs: Record<string, TensorSpec> = {
    q: { layout: softmax.q },
    k: { layout: softmax.k },
    lse: { layout: softmax.lse },
    ...(options.bias && { bias: { layout: options.bias } }),
    ...(rowTerms && { rowTerms: { layout: rowTerms } }),
    ...(carried && { carriedSum: { layout: carried.sum }, carriedCount: { layout: carried.count } }),
  };
  for (const [name, layout] of Object.entries(outputs)) specs[name] = { layout, output: true };
  return compilePlan<Tensors>(ctx, { passes, specs, tables, segmentFlops: maxDispatchFlops });
}

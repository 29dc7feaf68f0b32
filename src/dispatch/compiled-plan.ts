import type { Bindable } from "./bound-plan.js";
import { CompiledPasses, type Table } from "./compiled-passes.js";
import type { AttentionContext } from "./context.js";
import { cutSegments, sumCosts } from "./dispatch-budget.js";
import type { Pass, PassCost } from "./pass.js";
import type { Profiler } from "./profiler.js";
import { bindTensors, type TensorSpec } from "./tensor-set.js";
import type { TensorView } from "./tensor-view.js";

/** One problem, compiled, with immutable uniforms. Belongs to the caller: `destroy()` it. */
export interface CompiledPlan<Tensors> {
  /** The dispatches, as data: kernel, variant, constants, workgroups, cost. */
  readonly passes: readonly Pass[];
  /** Sum over the passes. */
  readonly cost: PassCost;
  /**
   * Records the passes. Synchronous, submits nothing, and allocates nothing except bind groups for buffers that it has
   * not seen among the last sixteen sets. Recording twice gives bitwise the same result.
   *
   * @throws AttentionError "shape", "dtype", "unsupported" or "limit" for tensors unlike the plan, "disposed", "device-lost"
   */
  record(encoder: GPUCommandEncoder, tensors: Tensors, options?: { readonly profiler?: Profiler }): void;
  /**
   * The same passes in runs of at most the context's `maxDispatchMs`, for applications that submit in between so that the
   * page stays responsive. Record all of them, in order, with the same tensors, and no other plan of the context between.
   */
  readonly segments: readonly PlanSegment<Tensors>[];
  destroy(): void;
}

/** A plan of dispatches alone, whose tensors may be bound once and for all. */
export interface BindablePlan<Tensors> extends CompiledPlan<Tensors>, Bindable<Tensors> {}

/** A part of a plan that is submitted by itself. */
export type PlanSegment<Tensors> = Pick<CompiledPlan<Tensors>, "passes" | "cost" | "record">;

export interface PlannedPasses {
  readonly passes: readonly Pass[];
  /** Every tensor that the passes bind, by the name that `record` takes. */
  readonly specs: Readonly<Record<string, TensorSpec>>;
  readonly tables?: Readonly<Record<string, Table>>;
  /** Operations of one segment at most. */
  readonly segmentFlops: number;
}

/** @throws AttentionError "compile", "disposed", "device-lost" */
export async function compilePlan<Tensors extends object>(
  ctx: AttentionContext,
  { passes, specs, tables, segmentFlops }: PlannedPasses,
): Promise<BindablePlan<Tensors>> {
  const compiled = await CompiledPasses.compile(ctx, passes, tables);
  const fixed = fixedBuffers(passes);
  const ranges = (tensors: Tensors) => {
    ctx.assertUsable();
    const views = { ...tensors } as Record<string, TensorView | undefined>;
    return bindTensors(specs, views, ctx.capabilities, fixed);
  };
  const recordRange = (range: { from: number; to: number }): CompiledPlan<Tensors>["record"] => {
    return (encoder, tensors, options) => compiled.encode(encoder, ranges(tensors), { ...options, range });
  };
  const costs = passes.map((pass) => pass.cost);
  return {
    passes,
    cost: sumCosts(costs),
    segments: cutSegments(passes, segmentFlops).map((range) => ({
      passes: passes.slice(range.from, range.to),
      cost: sumCosts(costs.slice(range.from, range.to)),
      record: recordRange(range),
    })),
    record: recordRange({ from: 0, to: passes.length }),
    bind: (tensors) => compiled.bind(ranges(tensors)),
    destroy() {
      compiled.destroy();
    },
  };
}

/** Buffers that passes bind whatever tensors are given, by name; several of one name where a plan has a pass for each part of its weights. */
export function fixedBuffers(passes: readonly Pass[]): Readonly<Record<string, readonly GPUBuffer[]>> {
  const fixed: Record<string, GPUBuffer[]> = {};
  for (const { bindings } of passes) {
    for (const [name, source] of Object.entries(bindings)) {
      if ("buffer" in source) fixed[name] = [...(fixed[name] ?? []), source.buffer];
    }
  }
  return fixed;
}

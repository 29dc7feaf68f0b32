import type { Bindable } from "../../src/dispatch/bound-plan.js";
import { CompiledPasses, type Table } from "../../src/dispatch/compiled-passes.js";
import { fixedBuffers } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import type { Pass, PassCost } from "../../src/dispatch/pass.js";
import type { Profiler } from "../../src/dispatch/profiler.js";
import { bindTensors, type TensorSpec } from "../../src/dispatch/tensor-set.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";

/** A layer for one problem: compiled, with immutable uniforms. Belongs to the caller: `destroy()` it. */
export interface LayerPlan<Tensors> extends Bindable<Tensors> {
  /** The dispatches, as data: kernel, variant, constants, workgroups, cost. */
  readonly passes: readonly Pass[];
  /** Sum over the passes. */
  readonly cost: PassCost;
  /**
   * Records the passes. Synchronous, submits nothing, and allocates nothing except bind groups for buffers that it has
   * not seen among the last sixteen sets. Layouts are as planned; buffers may differ from call to call.
   *
   * @throws AttentionError "shape", "dtype", "unsupported" or "limit" for tensors unlike the plan, "disposed", "device-lost"
   */
  record(encoder: GPUCommandEncoder, tensors: Tensors, options?: { readonly profiler?: Profiler }): void;
  destroy(): void;
}

/** A plan that takes its tensors in another form. */
export function layerPlanWith<Given, Tensors>(
  plan: LayerPlan<Tensors>,
  tensorsOf: (given: Given) => Tensors,
): LayerPlan<Given> {
  return {
    ...plan,
    record: (encoder, given, options) => plan.record(encoder, tensorsOf(given), options),
    bind: (given) => plan.bind(tensorsOf(given)),
  };
}

/** Compiles the one pass of a layer. `specs` names every tensor that the pass binds. */
export function compileLayer<Names extends string>(
  ctx: AttentionContext,
  pass: Pass,
  specs: Readonly<Record<string, TensorSpec>>,
  tables: Readonly<Record<string, Table>> = {},
): Promise<LayerPlan<Partial<Record<Names, TensorView>>>> {
  return compileLayerPasses(ctx, [pass], specs, tables);
}

/** Likewise the passes of a layer that has one for each part of its weights. */
export async function compileLayerPasses<Names extends string>(
  ctx: AttentionContext,
  passes: readonly Pass[],
  specs: Readonly<Record<string, TensorSpec>>,
  tables: Readonly<Record<string, Table>> = {},
): Promise<LayerPlan<Partial<Record<Names, TensorView>>>> {
  await ctx.assertAlive();
  const compiled = await CompiledPasses.compile(ctx, passes, tables);
  const fixed = fixedBuffers(passes);
  const ranges = (tensors: Partial<Record<Names, TensorView>>) => {
    ctx.assertUsable();
    return bindTensors(specs, tensors, ctx.capabilities, fixed);
  };
  return {
    passes: compiled.passes,
    cost: sumCosts(passes.map(({ cost }) => cost)),
    record: (encoder, tensors, options) => compiled.encode(encoder, ranges(tensors), options),
    bind: (tensors) => compiled.bind(ranges(tensors)),
    destroy() {
      compiled.destroy();
    },
  };
}

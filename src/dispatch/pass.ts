import type { PipelineRequest } from "./pipeline-cache.js";
import type { UniformValues } from "./uniforms.js";

/** Where a kernel's binding gets its memory from. */
export type BindingSource =
  /** A tensor of the `record` call, by name. */
  | { readonly tensor: string }
  /** Slot and size in bytes of the context's scratch. */
  | { readonly scratch: number; readonly bytes: number }
  /** Small data that belongs to the plan, by name. */
  | { readonly table: string }
  /** A buffer that is known when planning and stays the same: the application's, or of another plan. */
  | { readonly buffer: GPUBuffer }
  /** A binding that this problem does not use: it is left out of the program. */
  | { readonly unused: true };

/** One dispatch as pure data: mechanisms plan in these, tests compare them as tables. */
export interface Pass extends Omit<PipelineRequest, "unused"> {
  readonly name: string;
  readonly workgroups: readonly [x: number, y: number, z: number];
  /** By WGSL name. Uniform bindings stand in `uniforms` instead. */
  readonly bindings: Readonly<Record<string, BindingSource>>;
  readonly uniforms: Readonly<Record<string, UniformValues>>;
  readonly cost: PassCost;
  /** Operations that it may take at most, where masks leave fewer: what bounds dispatches and segments. Default `cost.flops`. */
  readonly work?: number;
}

/** What passes of a kernel have to bind, by the names in a mechanism's `bindings.ts`; uniforms stand apart. */
export type KernelBindings<
  Contract extends Record<string, readonly string[]>,
  Kernel extends keyof Contract,
> = Record<Exclude<Contract[Kernel][number], "params">, BindingSource>;

export interface PassCost {
  /** Multiplications and additions of the products, counted separately; masked pairs are not counted. */
  readonly flops: number;
  /** Compulsory traffic: each tensor element that the pass reads or writes, counted once. */
  readonly bytes: number;
}

/**
 * Spreads `count` workgroups over a dispatch, since one dimension takes 65,535 at most. Kernels turn the workgroup id
 * back into an index (`_shared/workgroup_index.wgsl`) and leave when it is `count` or more.
 */
export function spreadWorkgroups(count: number, maxPerDimension: number): [number, number, number] {
  const y = Math.ceil(count / maxPerDimension);
  return [Math.ceil(count / y), y, 1];
}

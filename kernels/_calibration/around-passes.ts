import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups, type WorkgroupRun } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import type { BindingSource, Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import { problemConstants, problemUniforms } from "../softmax/pass-parts.js";
import type { SoftmaxShape } from "../softmax/problem.js";

/** What dispatches are cut for. */
export interface Device {
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
}

/** A pass around softmax attention before its workgroups are cut into dispatches. */
export interface Draft {
  readonly name: string;
  readonly kernel: KernelModule;
  readonly bindings: Readonly<Record<string, BindingSource>>;
  readonly conditions?: readonly string[];
  /** Beside those of the problem; a kernel takes those that it has. */
  readonly constants?: ConstantValues;
  readonly unroll?: Readonly<Record<string, number>>;
  readonly slots?: Pick<Pass, "slots" | "slotBindings">;
  /** Beside `params`, which softmax attention's parts read. */
  readonly uniforms?: Readonly<Record<string, UniformValues>>;
  readonly groups: number;
  /** Operations of one workgroup: as they count against the dispatch's bound, and those of products alone. */
  readonly work: number;
  readonly flops: number;
  readonly bytes: number;
}

/** The dispatches of one pass. */
export function aroundPasses(
  shape: SoftmaxShape,
  draft: Draft,
  { capabilities, maxDispatchFlops }: Device,
): Pass[] {
  const { name, kernel, bindings, conditions = [], constants = {}, unroll = {}, slots = {} } = draft;
  const { groups, work, flops, bytes } = draft;
  if (groups === 0) return [];
  const pass = {
    name,
    kernel,
    variant: variantKey(kernel, conditions),
    constants: { ...problemConstants(shape, kernel), ...knownConstants(kernel, constants) },
    unroll,
    ...slots,
    bindings,
  };
  const uniforms = (run: WorkgroupRun) => ({
    params: problemUniforms(shape, capabilities, run),
    ...draft.uniforms,
  });
  const runs = cutWorkgroups([{ work, flops }], groups, maxDispatchFlops);
  return runPasses(pass, uniforms, capabilities, runs, bytes);
}

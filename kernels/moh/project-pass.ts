import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import { bytesOf, layoutUniforms } from "../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import { stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import { bindingRange } from "../../src/dispatch/validate.js";
import type { BINDINGS } from "./bindings.js";
import { isInnerFirst, isWhole } from "./projection-form.js";
import type { ProjectionShape } from "./projection-problem.js";

export type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

export interface Device {
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
  /** Where sums of f32 go: the output, or scratch that becomes it. */
  readonly target: BindingSource;
}

/** A pass that multiplies heads, before its workgroups are cut into dispatches. */
export interface ProjectDraft {
  readonly name: string;
  readonly kernel: KernelModule;
  readonly conditions: readonly string[];
  readonly constants: ConstantValues;
  /** What `project.wgsl` binds beside the rest. */
  readonly sources?: Omit<Bindings<"project">, keyof Bindings<"project_rows">>;
  /** Its heads. */
  readonly firstHead: number;
  readonly headCount: number;
  /** It adds to what earlier passes left, rather than to the bias. */
  readonly adds: boolean;
  readonly groups: number;
  /** Operations of a workgroup, at most. */
  readonly work: number;
  /** Operations of all workgroups on active heads. */
  readonly flops: number;
  /** Of all heads and their weights, how much is active. */
  readonly share: number;
}

export function projectPasses(draft: ProjectDraft, shape: ProjectionShape, device: Device): Pass[] {
  const { attended, gates, weight, bias, out, batches, tokens, heads, valueDim, outer } = shape;
  const { name, kernel, sources, firstHead, headCount, adds, groups, work, flops, share } = draft;
  const { capabilities, maxDispatchFlops, target } = device;
  const [, , strideInner, strideOuter] = stridesOf(weight);
  const vec4 = isWhole(shape, capabilities);
  const base = (layout?: TensorLayout) => (layout ? bindingRange(layout, capabilities).base : 0);
  const hasBias = bias !== undefined && !adds;
  const uniforms = {
    ...layoutUniforms({ heads: attended, gates, out }, capabilities),
    base_weight: base(weight),
    base_bias: base(bias),
    stride_weight_inner: strideInner,
    stride_weight_outer: strideOuter,
    stride_bias: bias ? stridesOf(bias)[3] : 0,
    ...{ batches, tokens, heads, outer, first_head: firstHead, head_count: headCount },
  };
  const conditions = [...(vec4 ? ["vec4"] : []), ...(attended.dtype === "f16" ? ["half"] : [])];
  const constants = { ...draft.constants, VALUE_DIM: valueDim, HAS_BIAS: hasBias };
  const bindings = {
    gates: { tensor: "gates" },
    heads: { tensor: "attended" },
    weight: { tensor: "weight" },
    bias: hasBias ? { tensor: "bias" } : { unused: true },
    out: target,
  } satisfies Bindings<"project_rows">;
  return runPasses(
    {
      name,
      kernel,
      variant: variantKey(kernel, [...draft.conditions, ...conditions]),
      constants: {
        ...knownConstants(kernel, constants),
        ...(vec4 && { INNER_FIRST: isInnerFirst(weight) }),
      },
      bindings: { ...bindings, ...sources },
    },
    ({ first, count }) => ({ params: { ...uniforms, first_group: first, groups: count } }),
    capabilities,
    cutWorkgroups([{ work, flops: flops / groups }], groups, maxDispatchFlops),
    share * bytesOf(attended, gates, weight) + (adds ? 2 * share : 1) * bytesOf(out),
  );
}

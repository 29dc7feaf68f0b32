// The sum that forward and backward passes have in common: out_t = sum over j <= t of λ^(t - j) (q_t · k_j) v_j, with a state that
// enters and one that leaves, over named tensors that may be walked through from either end.
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import { isVec4 } from "../../src/dispatch/layout.js";
import type { BindingSource } from "../../src/dispatch/pass.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import { type Shape4, stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import { bindingRange } from "../../src/dispatch/validate.js";
import { FEATURE_MAPS, type FeatureMap, type LinearState } from "./options.js";

/** A tensor of the plan's, by the name that `record` knows. */
export interface Named {
  readonly name: string;
  readonly layout: TensorLayout;
  /** What it goes through as it is read. Default identity. */
  readonly map?: FeatureMap;
}

export interface LinearCore {
  readonly label: string;
  readonly q: Named;
  readonly k: Named;
  readonly v: Named;
  readonly out: Named;
  /** `out` is the gradient of `raw` after `map`, and is written as that of `raw` before. */
  readonly raw?: Named & { readonly map: FeatureMap };
  readonly causal: boolean;
  /** From the last token to the first. States that enter and leave then have one factor λ more, as the kernels keep them. */
  readonly backwards: boolean;
  readonly decay: readonly number[];
  readonly scales: { readonly pairs: number; readonly read: number; readonly state: number };
  /** Divide by the normaliser plus this. */
  readonly epsilon?: number;
  readonly initial?: NamedState;
  readonly final?: NamedState;
}

export interface NamedState {
  readonly names: { readonly s: string; readonly z?: string };
  readonly layout: LinearState;
}

/** Tokens of a block. */
export const BLOCK = 64;

export interface CoreSizes {
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly blocks: number;
  /** vec4 columns of a stored state, and bytes of one. */
  readonly stateColumns: number;
  readonly stateBytes: number;
}

export function sizesOf({ k, v, epsilon }: LinearCore): CoreSizes {
  const [batches, tokens, heads, headDim] = k.layout.shape;
  const valueDim = v.layout.shape[3];
  const stateColumns = Math.ceil(valueDim / 4) + (epsilon === undefined ? 0 : 1);
  const stateBytes = 4 * Math.ceil(headDim / 4) * stateColumns * 16;
  return {
    batches,
    tokens,
    heads,
    headDim,
    valueDim,
    blocks: Math.ceil(tokens / BLOCK),
    stateColumns,
    stateBytes,
  };
}

/** The constants of the shared WGSL files, as far as a kernel has them. */
export function coreConstants(core: LinearCore, kernel: KernelModule, own: ConstantValues): ConstantValues {
  const { headDim, valueDim } = sizesOf(core);
  const number = (map: FeatureMap = "identity") => FEATURE_MAPS.indexOf(map);
  const values: ConstantValues = {
    HEAD_DIM: headDim,
    VALUE_DIM: valueDim,
    NORMALIZE: core.epsilon !== undefined,
    BLOCK,
    MAP_Q: number(core.q.map),
    MAP_K: number(core.k.map),
    MAP_V: number(core.v.map),
    MAP_RAW: number(core.raw?.map),
    HAS_INITIAL: core.initial !== undefined,
    HAS_FINAL: core.final !== undefined,
    SHIFTED: core.backwards,
    TOTAL: !core.causal,
    ...own,
  };
  return knownConstants(kernel, values);
}

/** `vec4` where every row starts at a multiple of four elements and its channels are neighbours; `half` and `half_out` by storage. */
export function coreVariant(core: LinearCore, kernel: KernelModule, capabilities: Capabilities): string {
  const tensors = [core.q, core.k, core.v, core.out, ...(core.raw ? [core.raw] : [])];
  return variantKey(kernel, [
    ...(tensors.every(({ layout }) => isVec4(layout, capabilities)) ? ["vec4"] : []),
    ...(core.k.layout.dtype === "f16" ? ["half"] : []),
    ...(core.out.layout.dtype === "f16" ? ["half_out"] : []),
    ...(capabilities.software && capabilities.subgroups ? ["subgroups"] : []),
  ]);
}

/** Where each binding of any pass comes from, scratch apart. */
export function coreBindings({
  q,
  k,
  v,
  out,
  raw,
  initial,
  final,
}: LinearCore): Record<string, BindingSource> {
  const state = (name: string | undefined): BindingSource =>
    name === undefined ? { unused: true } : { tensor: name };
  return {
    q: { tensor: q.name },
    k: { tensor: k.name },
    v: { tensor: v.name },
    out: { tensor: out.name },
    raw: state(raw?.name),
    powers: { table: "powers" },
    initial_s: state(initial?.names.s),
    initial_z: state(initial?.names.z),
    final_s: state(final?.names.s),
    final_z: state(final?.names.z),
  };
}

export function coreUniforms(core: LinearCore, capabilities: Capabilities): UniformValues {
  const { batches, tokens, heads, blocks } = sizesOf(core);
  const one: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };
  const walked = { q: core.q, k: core.k, v: core.v, out: core.out, raw: core.raw ?? core.q };
  const states = {
    initial_s: core.initial?.layout.s ?? one,
    initial_z: core.initial?.layout.z ?? one,
    final_s: core.final?.layout.s ?? one,
    final_z: core.final?.layout.z ?? one,
  };
  const places = [
    ...Object.entries(walked).map(
      ([name, { layout }]) => [name, ...walk(layout, core.backwards, capabilities)] as const,
    ),
    ...Object.entries(states).map(([name, layout]) => [name, ...walk(layout, false, capabilities)] as const),
  ];
  return {
    ...Object.fromEntries(places.map(([name, strides]) => [`strides_${name}`, strides])),
    ...Object.fromEntries(places.map(([name, , base]) => [`base_${name}`, base])),
    batches,
    tokens,
    heads,
    blocks,
    scale_pairs: core.scales.pairs,
    scale_read: core.scales.read,
    scale_state: core.scales.state,
    epsilon: core.epsilon ?? 0,
  };
}

/** Strides and first element; from the last token back, the stride is negative modulo 2^32, in which the kernels add. */
function walk(
  layout: TensorLayout,
  backwards: boolean,
  capabilities: Capabilities,
): readonly [strides: Shape4, base: number] {
  const [batch, token, head, dim] = stridesOf(layout);
  const { base } = bindingRange(layout, capabilities);
  if (!backwards) return [[batch, token, head, dim], base];
  return [[batch, (2 ** 32 - token) % 2 ** 32, head, dim], base + (layout.shape[1] - 1) * token];
}

/** [2, heads, BLOCK + 1] as f32 bits: powers λ^n of the decay factors, then λ^n - 1. */
export function powersTable(decay: readonly number[]): Uint32Array<ArrayBuffer> {
  const tabulate = (of: (exponent: number) => number) =>
    decay.flatMap((rate) => Array.from({ length: BLOCK + 1 }, (_, n) => of(-rate * n)));
  return new Uint32Array(Float32Array.from([...tabulate(Math.exp), ...tabulate(Math.expm1)]).buffer);
}

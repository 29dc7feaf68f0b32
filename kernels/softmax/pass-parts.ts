// What the passes of softmax attention have in common: constants, uniforms, bindings, slots and costs of a checked problem.
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { ConstantValues, KernelModule, SlotBodies } from "../../src/dispatch/kernel-module.js";
import { isVec4, layoutUniforms } from "../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../src/dispatch/pass.js";
import { knownConstants } from "../../src/dispatch/specialise.js";
import { stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import type { BINDINGS } from "./bindings.js";
import { blockGrid } from "./block-mask.js";
import type { SoftmaxShape } from "./problem.js";
import { entriesOf, sequencesAt } from "./tables.js";
import alibi from "./terms/alibi.wgsl?mod";
import softCap from "./terms/soft-cap.wgsl?mod";
import { blockWork } from "./work.js";

/** What a pass has to bind; its uniforms stand apart. */
export type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

/** The constants of the shared WGSL files, as far as a kernel uses them: the linker drops the others. */
export function problemConstants(shape: SoftmaxShape, kernel: KernelModule): ConstantValues {
  const values = {
    HEAD_DIM: shape.headDim,
    VALUE_DIM: shape.valueDim,
    BOUND_LEFT: shape.windowLeft !== undefined,
    BOUND_RIGHT: shape.windowRight !== undefined,
    ALIGN_TO_LENGTH: shape.alignToLength,
    HAS_KEY_MASK: shape.keyMask,
    HAS_BIAS: shape.bias !== undefined,
    HAS_SINK: shape.sinks,
    HAS_MASK_MOD: shape.mods?.slots.mask_mod !== undefined,
    HAS_BLOCKS: shape.blockMask !== undefined,
    ...(shape.blockMask && {
      BLOCK_Q: shape.blockMask.blockQ,
      BLOCK_K: shape.blockMask.blockK,
    }),
    LISTED: shape.queryRows !== undefined,
    PACKED: shape.packed !== undefined,
    WRITE_LSE: shape.lse !== undefined,
    ...(shape.rotary && {
      ROTARY: true,
      ROTARY_DIM: shape.rotary.dim,
      ROTARY_INTERLEAVED: shape.rotary.interleaved,
    }),
  };
  // Only variants of such a storage have this constant.
  const readsKeys = Object.values(kernel.variants).some(({ constants }) => "KV_Q8" in constants);
  return { ...knownConstants(kernel, values), ...(shape.k.dtype === "q8" && readsKeys && { KV_Q8: true }) };
}

/** The order of the score's terms: soft cap, then ALiBi, and last what the application makes of it. */
export function scoreSlots(shape: SoftmaxShape): Pick<Pass, "slots" | "slotBindings"> {
  const mods = [...(shape.softcap === undefined ? [] : [softCap]), ...(shape.alibi ? [alibi] : [])];
  const slots: SlotBodies = {
    ...(mods.length > 0 && { term_mod: mods.map((mod) => mod.body) }),
    ...shape.mods?.slots,
  };
  return { slots, ...(shape.mods && { slotBindings: shape.mods.slotBindings }) };
}

/** Uniforms of a dispatch that takes `groups.count` workgroups of the problem, from `groups.first` on. */
export function problemUniforms(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  groups: { readonly first: number; readonly count: number },
): UniformValues {
  const one: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };
  const { q, k, v, out, lse = one, bias = one } = shape;
  const layouts = { q, k, v, out, lse, bias };
  // Batch entries of packed sequences are the sequences, which all lie in the first of the tensors'.
  const placed = shape.packed ? mapLayouts(layouts, inOneBatch) : layouts;
  return {
    ...layoutUniforms(placed, capabilities),
    strides_blocks: blockStrides(shape),
    sequences_at: sequencesAt(shape),
    batches: entriesOf(shape),
    tokens_q: shape.tokensQ,
    tokens_k: shape.tokensK,
    heads: shape.heads,
    heads_per_kv: shape.heads / shape.kvHeads,
    query_offset: shape.queryOffset,
    window_left: shape.windowLeft ?? 0,
    window_right: shape.windowRight ?? 0,
    scale: shape.scale,
    softcap: shape.softcap ?? 0,
    first_group: groups.first,
    groups: groups.count,
  };
}

function mapLayouts<Names extends string>(
  layouts: Readonly<Record<Names, TensorLayout>>,
  change: (layout: TensorLayout) => TensorLayout,
): Record<string, TensorLayout> {
  const entries = Object.entries<TensorLayout>(layouts);
  return Object.fromEntries(entries.map(([name, layout]) => [name, change(layout)]));
}

function inOneBatch(layout: TensorLayout): TensorLayout {
  const [, tokens, heads, dim] = stridesOf(layout);
  return { ...layout, strides: [0, tokens, heads, dim] };
}

/** Rows of blocks between batch entries, heads, and blocks of query rows; 0 where all share them. */
function blockStrides({ blockMask }: SoftmaxShape): number[] {
  if (!blockMask) return [0, 0, 0, 0];
  const [batches, heads, rows] = blockGrid(blockMask);
  return [batches > 1 ? heads * rows : 0, heads > 1 ? rows : 0, 1, 0];
}

/** Of the kernels in which a workgroup owns query rows. */
export function rowBindings({
  blockMask,
  queryRows,
}: SoftmaxShape): Record<"block_list" | "query_rows", BindingSource> {
  return {
    block_list: blockMask ? { buffer: blockMask.buffer } : { unused: true },
    query_rows: queryRows ? { buffer: queryRows } : { unused: true },
  };
}

export function maskBindings(shape: SoftmaxShape): Record<"terms" | "key_mask" | "bias", BindingSource> {
  return {
    ...shape.mods?.bindings,
    terms: { table: "terms" },
    key_mask: shape.keyMask ? { table: "key_mask" } : { unused: true },
    bias: shape.bias ? { tensor: "bias" } : { unused: true },
  };
}

export function lseBinding(shape: SoftmaxShape): BindingSource {
  return shape.lse ? { tensor: "lse" } : { unused: true };
}

/**
 * `vec4` where every row of every tensor starts at a multiple of four elements and its channels are neighbours; `half_q` and
 * `half_kv` by the storage types, q8 among the latter; `f16` where that is wished and aligned rows of halves are there to be read so.
 */
export function storageConditions(shape: SoftmaxShape, capabilities: Capabilities, f16: boolean): string[] {
  const { q, k, v, out } = shape;
  const aligned = k.dtype !== "q8" && [q, k, v, out].every((layout) => isVec4(layout, capabilities));
  return [
    ...(aligned ? ["vec4"] : []),
    ...(f16 && takesF16(shape, capabilities) && aligned ? ["f16"] : []),
    ...(q.dtype === "f16" ? ["half_q"] : []),
    ...(k.dtype === "f32" ? [] : ["half_kv"]),
  ];
}

/**
 * Whether `f16` in a configuration can mean anything. Not with a rotary embedding: rotated keys are no halves any more.
 */
export function takesF16({ q, k, rotary }: SoftmaxShape, capabilities: Capabilities): boolean {
  return capabilities.f16 && !rotary && (q.dtype === "f16" || k.dtype === "f16");
}

/** 2 D for a dot product, 2 Dv for its share of the output, over the (query, key) pairs that the windows leave. */
export function attentionFlops(shape: SoftmaxShape): number {
  const { batches, heads, tokensQ, headDim, valueDim } = shape;
  return batches * heads * blockWork(shape, 0, tokensQ).pairs * 2 * (headDim + valueDim);
}

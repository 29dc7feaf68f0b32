import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { ConstantValues, KernelModule, SlotBodies } from "../../src/dispatch/kernel-module.js";
import { type BindingSource, type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import {
  bytesPerElement,
  elementCount,
  stridesOf,
  type TensorLayout,
} from "../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import { bindingRange } from "../../src/dispatch/validate.js";
import type { BINDINGS } from "./bindings.js";
import { type SoftmaxConfiguration, tableConfiguration } from "./configuration.js";
import merge from "./merge.wgsl";
import alibi from "./mods/alibi.wgsl?mod";
import softCap from "./mods/soft-cap.wgsl?mod";
import type { SoftmaxShape } from "./problem.js";
import rows from "./rows.wgsl";
import split from "./split.wgsl";
import tiled from "./tiled.wgsl";

type Bindings<Kernel extends keyof typeof BINDINGS> = Record<
  Exclude<(typeof BINDINGS)[Kernel][number], "params">,
  Pass["bindings"][string]
>;

/** Query rows up to which the keys, not the rows, have to keep the GPU busy. */
const DECODE_TOKENS = 8;
/** Fewest keys worth a workgroup of their own in split decode: below, merging costs more than it gains. */
const KEYS_PER_SPLIT = 256;
/** Workgroups that a decode step aims at: a few for each core of a large GPU. */
const DECODE_WORKGROUPS = 64;
const SPLIT_THREADS = 64;

/**
 * Chooses passes, variants and constants for a checked problem. Pure: the same problem gives the same passes.
 *
 * @param configuration of the prefill; default what the table has for this kind of device
 */
export function planSoftmax(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  configuration: SoftmaxConfiguration = tableConfiguration(shape, capabilities),
): Pass[] {
  if (shape.tokensQ <= DECODE_TOKENS) return planDecode(shape, capabilities);
  const { batches, heads, tokensQ, valueDim } = shape;
  const { kernel, tileRows, columnParts, constants, unroll, conditions } = prefillKernel(
    configuration,
    valueDim,
  );
  const groups = Math.ceil(tokensQ / tileRows) * columnParts * heads * batches;
  return [
    {
      name: `softmax/${configuration.kernel}`,
      kernel,
      variant: variantKey(kernel, [...layoutConditions(shape, capabilities), ...conditions]),
      constants: { ...problemConstants(shape, kernel), ...constants },
      slots: scoreSlots(shape),
      unroll,
      workgroups: spreadWorkgroups(groups, capabilities.limits.maxComputeWorkgroupsPerDimension),
      bindings: {
        q: { tensor: "q" },
        k: { tensor: "k" },
        v: { tensor: "v" },
        out: { tensor: "out" },
        lse: lseBinding(shape),
        ...maskBindings(shape),
      } satisfies Bindings<"tiled"> & Bindings<"rows">,
      uniforms: { params: problemUniforms(shape, capabilities, 0, groups) },
      cost: {
        flops: attentionFlops(shape),
        bytes: bytesOf(shape.q, shape.k, shape.v, shape.out, shape.lse, shape.bias),
      },
    },
  ];
}

interface PrefillKernel extends Required<Pick<Pass, "kernel" | "constants" | "unroll">> {
  readonly tileRows: number;
  /** Workgroups that share out the value columns of one tile. */
  readonly columnParts: number;
  readonly conditions: readonly string[];
}

/** What a configuration means to its kernel. */
function prefillKernel(configuration: SoftmaxConfiguration, valueDim: number): PrefillKernel {
  if (configuration.kernel === "tiled") {
    const { groups: GROUPS, lanes: LANES, rows: ROWS, keys: KEYS } = configuration;
    const constants = { GROUPS, LANES, ROWS, KEYS };
    return { kernel: tiled, tileRows: GROUPS * ROWS, columnParts: 1, constants, unroll: {}, conditions: [] };
  }
  const { threads: THREADS, rows: ROWS, keys: KEYS, columns: COLUMNS, subgroups, unroll } = configuration;
  return {
    kernel: rows,
    tileRows: THREADS * ROWS,
    columnParts: Math.ceil(Math.ceil(valueDim / 4) / COLUMNS),
    constants: { THREADS, ROWS, KEYS, COLUMNS },
    unroll: unroll ? { ROWS, KEYS, COLUMNS, KEY_QUADS: KEYS / 4 } : {},
    conditions: subgroups ? ["subgroups"] : [],
  };
}

function planDecode(shape: SoftmaxShape, capabilities: Capabilities): Pass[] {
  const { batches, heads, kvHeads, tokensQ, tokensK, valueDim } = shape;
  const rows = (heads / kvHeads) * tokensQ;
  const blockRows = Math.min(8, 2 ** Math.ceil(Math.log2(rows)));
  const blocks = Math.ceil(rows / blockRows) * kvHeads * batches;
  const splits = Math.max(
    1,
    Math.min(Math.ceil(tokensK / KEYS_PER_SPLIT), Math.ceil(DECODE_WORKGROUPS / blocks)),
  );

  const columns = Math.ceil(valueDim / 4);
  const allRows = batches * heads * tokensQ;
  const partialOut = { scratch: 0, bytes: 16 * allRows * splits * columns } as const;
  const partialState = { scratch: 1, bytes: 8 * allRows * splits } as const;
  const conditions = layoutConditions(shape, capabilities);
  const { maxComputeWorkgroupsPerDimension } = capabilities.limits;
  return [
    {
      name: "softmax/split",
      kernel: split,
      variant: variantKey(split, conditions),
      constants: {
        ...problemConstants(shape, split),
        ROWS: blockRows,
        COLUMN_THREADS: Math.min(SPLIT_THREADS, 2 ** Math.ceil(Math.log2(columns))),
        SPLITS: splits,
      },
      slots: scoreSlots(shape),
      workgroups: spreadWorkgroups(splits * blocks, maxComputeWorkgroupsPerDimension),
      bindings: {
        q: { tensor: "q" },
        k: { tensor: "k" },
        v: { tensor: "v" },
        ...maskBindings(shape),
        partial_out: partialOut,
        partial_state: partialState,
      } satisfies Bindings<"split">,
      uniforms: { params: problemUniforms(shape, capabilities, 0, splits * blocks) },
      cost: {
        flops: attentionFlops(shape),
        bytes: bytesOf(shape.q, shape.k, shape.v, shape.bias) + partialOut.bytes + partialState.bytes,
      },
    },
    {
      name: "softmax/merge",
      kernel: merge,
      variant: variantKey(merge, conditions),
      constants: { ...problemConstants(shape, merge), SPLITS: splits },
      workgroups: spreadWorkgroups(allRows, maxComputeWorkgroupsPerDimension),
      bindings: {
        out: { tensor: "out" },
        lse: lseBinding(shape),
        partial_out: partialOut,
        partial_state: partialState,
      } satisfies Bindings<"merge">,
      uniforms: { params: problemUniforms(shape, capabilities, 0, allRows) },
      cost: {
        flops: 2 * allRows * splits * (valueDim + 1),
        bytes: bytesOf(shape.out, shape.lse) + partialOut.bytes + partialState.bytes,
      },
    },
  ];
}

/** The constants of the shared WGSL files, as far as a kernel uses them: the linker drops the others. */
function problemConstants(shape: SoftmaxShape, kernel: KernelModule): ConstantValues {
  const values = {
    HEAD_DIM: shape.headDim,
    VALUE_DIM: shape.valueDim,
    BOUND_LEFT: shape.windowLeft !== undefined,
    BOUND_RIGHT: shape.windowRight !== undefined,
    ALIGN_TO_LENGTH: shape.alignToLength,
    HAS_KEY_MASK: shape.keyMask,
    HAS_BIAS: shape.bias !== undefined,
    HAS_SINK: shape.sinks,
    WRITE_LSE: shape.lse !== undefined,
    ...(shape.rotary && {
      ROTARY: true,
      ROTARY_DIM: shape.rotary.dim,
      ROTARY_INTERLEAVED: shape.rotary.interleaved,
    }),
  };
  const { constants } = kernel.variants.base!;
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in constants));
}

/** The order of the score's terms: soft cap, then ALiBi. */
function scoreSlots(shape: SoftmaxShape): SlotBodies {
  const mods = [...(shape.softcap === undefined ? [] : [softCap]), ...(shape.alibi ? [alibi] : [])];
  return mods.length > 0 ? { score_mod: mods.map((mod) => mod.body) } : {};
}

/** Uniforms of a dispatch that takes `groups` workgroups of the problem, from `firstGroup` on. */
function problemUniforms(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  firstGroup: number,
  groups: number,
): UniformValues {
  const one: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };
  const { q, k, v, out, lse = one, bias = one } = shape;
  const layouts = Object.entries({ q, k, v, out, lse, bias }).flatMap(([name, layout]) => [
    [`strides_${name}`, stridesOf(layout)],
    [`base_${name}`, bindingRange(layout, capabilities).base],
  ]);
  return {
    ...(Object.fromEntries(layouts) as Record<string, number | readonly number[]>),
    batches: shape.batches,
    tokens_q: shape.tokensQ,
    tokens_k: shape.tokensK,
    heads: shape.heads,
    heads_per_kv: shape.heads / shape.kvHeads,
    query_offset: shape.queryOffset,
    window_left: shape.windowLeft ?? 0,
    window_right: shape.windowRight ?? 0,
    scale: shape.scale,
    softcap: shape.softcap ?? 0,
    first_group: firstGroup,
    groups,
  };
}

function maskBindings(shape: SoftmaxShape): Record<"terms" | "key_mask" | "bias", BindingSource> {
  return {
    terms: { table: "terms" },
    key_mask: { table: "key_mask" },
    bias: shape.bias ? { tensor: "bias" } : { unused: "read" },
  };
}

function lseBinding(shape: SoftmaxShape) {
  return shape.lse ? ({ tensor: "lse" } as const) : ({ unused: "write" } as const);
}

/**
 * `vec4` where every row of every tensor starts at a multiple of four elements and its channels are neighbours; `half_q` and
 * `half_kv` by the storage types.
 */
function layoutConditions({ q, k, v, out }: SoftmaxShape, capabilities: Capabilities): string[] {
  const aligned = [q, k, v, out].every((layout) => {
    const [sb, st, sh, sd] = stridesOf(layout);
    const dim = layout.shape[3];
    return (
      sd === 1 && [dim, sb, st, sh, bindingRange(layout, capabilities).base].every((value) => value % 4 === 0)
    );
  });
  return [
    ...(aligned ? ["vec4"] : []),
    ...(q.dtype === "f16" ? ["half_q"] : []),
    ...(k.dtype === "f16" ? ["half_kv"] : []),
  ];
}

/** 2 D for a dot product, 2 Dv for its share of the output, over the (query, key) pairs that the windows leave. */
function attentionFlops(shape: SoftmaxShape): number {
  const { batches, heads, tokensQ, tokensK, headDim, valueDim, queryOffset, windowLeft, windowRight } = shape;
  let pairs = tokensQ * tokensK;
  if (windowLeft !== undefined || windowRight !== undefined) {
    pairs = 0;
    for (let i = 0; i < tokensQ; i++) {
      const begin = Math.max(i + queryOffset - (windowLeft ?? Number.POSITIVE_INFINITY), 0);
      const end = Math.min(i + queryOffset + (windowRight ?? Number.POSITIVE_INFINITY) + 1, tokensK);
      pairs += Math.max(end - begin, 0);
    }
  }
  return batches * heads * pairs * 2 * (headDim + valueDim);
}

function bytesOf(...layouts: (TensorLayout | undefined)[]): number {
  return layouts.reduce(
    (sum, layout) => sum + (layout ? bytesPerElement(layout.dtype) * elementCount(layout.shape) : 0),
    0,
  );
}

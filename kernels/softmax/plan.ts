import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutGroups } from "../../src/dispatch/dispatch-budget.js";
import { type Pass, type PassCost, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import type { BINDINGS } from "./bindings.js";
import { fail } from "./check.js";
import { type SoftmaxConfiguration, tableConfiguration } from "./configuration.js";
import merge from "./merge.wgsl";
import {
  attentionFlops,
  bytesOf,
  layoutConditions,
  lseBinding,
  maskBindings,
  problemConstants,
  problemUniforms,
  scoreSlots,
} from "./pass-parts.js";
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

/** What a plan may choose by, besides the problem and the device. */
export interface PlanOptions {
  /** Kernel and tile of the prefill; default what the table has for this kind of device. */
  readonly configuration?: SoftmaxConfiguration;
  /** Operations that one dispatch may hold; default no bound. */
  readonly maxDispatchFlops?: number;
}

/** Chooses passes, variants and constants for a checked problem. Pure: the same problem gives the same passes. */
export function planSoftmax(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  options: PlanOptions = {},
): Pass[] {
  const { maxDispatchFlops = Number.POSITIVE_INFINITY } = options;
  const { batches, heads, tokensQ, tokensK, headDim, valueDim } = shape;
  if (tokensQ <= DECODE_TOKENS) return planSplit(shape, capabilities, maxDispatchFlops);

  const rowFlops = tokensK * 2 * (headDim + valueDim);
  const configuration =
    options.configuration ?? shrunk(tableConfiguration(shape, capabilities), maxDispatchFlops / rowFlops);
  const prefill = prefillKernel(configuration, valueDim);
  const groupFlops = prefill.tileRows * rowFlops;
  // A tile of rows that is too long for one dispatch is cut along the keys, as decoding always is. Where the partial sums of
  // that would not fit in a binding, a workgroup a dispatch is the finest cut there is.
  if (groupFlops > maxDispatchFlops && splitFits(shape, capabilities, maxDispatchFlops)) {
    return planSplit(shape, capabilities, maxDispatchFlops);
  }

  const { kernel, tileRows, columnParts, constants, unroll, conditions } = prefill;
  const pass = {
    name: `softmax/${configuration.kernel}`,
    kernel,
    variant: variantKey(kernel, [...layoutConditions(shape, capabilities), ...conditions]),
    constants: { ...problemConstants(shape, kernel), ...constants },
    slots: scoreSlots(shape),
    unroll,
    bindings: {
      q: { tensor: "q" },
      k: { tensor: "k" },
      v: { tensor: "v" },
      out: { tensor: "out" },
      lse: lseBinding(shape),
      ...maskBindings(shape),
    } satisfies Bindings<"tiled"> & Bindings<"rows">,
  };
  const cost = {
    flops: attentionFlops(shape),
    bytes: bytesOf(shape.q, shape.k, shape.v, shape.out, shape.lse, shape.bias),
  };
  const groups = Math.ceil(tokensQ / tileRows) * columnParts * heads * batches;
  return dispatches(pass, shape, capabilities, { groups, cost, groupFlops, maxDispatchFlops });
}

/** One pass, or as many as keep each dispatch within the bound. */
function dispatches(
  pass: Omit<Pass, "workgroups" | "uniforms" | "cost">,
  shape: SoftmaxShape,
  capabilities: Capabilities,
  work: { groups: number; cost: PassCost; groupFlops: number; maxDispatchFlops: number },
): Pass[] {
  const { groups, cost, groupFlops, maxDispatchFlops } = work;
  return cutGroups(groups, groupFlops, maxDispatchFlops).map((part) => ({
    ...pass,
    workgroups: spreadWorkgroups(part.count, capabilities.limits.maxComputeWorkgroupsPerDimension),
    uniforms: { params: problemUniforms(shape, capabilities, part) },
    cost: { flops: (cost.flops * part.count) / groups, bytes: (cost.bytes * part.count) / groups },
  }));
}

/** Fewer threads where their rows together are more than a dispatch may hold; quads stay whole. */
function shrunk(configuration: SoftmaxConfiguration, maxRows: number): SoftmaxConfiguration {
  if (configuration.kernel !== "rows") return configuration;
  let { threads } = configuration;
  while (threads > 4 && threads * configuration.rows > maxRows) threads /= 2;
  return { ...configuration, threads };
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

/** Sizes of split decode: blocks of rows, the ranges that their keys are cut into, and what these leave to be merged. */
function splitSizes(shape: SoftmaxShape, maxDispatchFlops: number) {
  const { batches, heads, kvHeads, tokensQ, tokensK, headDim, valueDim } = shape;
  const rowsPerKvHead = (heads / kvHeads) * tokensQ;
  const blockRows = Math.min(8, 2 ** Math.ceil(Math.log2(rowsPerKvHead)));
  const blocks = Math.ceil(rowsPerKvHead / blockRows) * kvHeads * batches;
  const keyFlops = blockRows * 2 * (headDim + valueDim);
  const wanted = Math.min(Math.ceil(tokensK / KEYS_PER_SPLIT), Math.ceil(DECODE_WORKGROUPS / blocks));
  const splits = Math.max(1, wanted, Math.ceil((tokensK * keyFlops) / maxDispatchFlops));
  const columns = Math.ceil(valueDim / 4);
  const allRows = batches * heads * tokensQ;
  const partialOut = { scratch: 0, bytes: 16 * allRows * splits * columns } as const;
  const partialState = { scratch: 1, bytes: 8 * allRows * splits } as const;
  return { blockRows, blocks, keyFlops, splits, columns, allRows, partialOut, partialState };
}

function splitFits(shape: SoftmaxShape, { limits }: Capabilities, maxDispatchFlops: number): boolean {
  return splitSizes(shape, maxDispatchFlops).partialOut.bytes <= limits.maxStorageBufferBindingSize;
}

/**
 * Split decode: keys cut into ranges, then merged.
 *
 * @throws AttentionError "limit" when the partial sums do not fit in a binding
 */
function planSplit(shape: SoftmaxShape, capabilities: Capabilities, maxDispatchFlops: number): Pass[] {
  const sizes = splitSizes(shape, maxDispatchFlops);
  const { blockRows, blocks, keyFlops, splits, columns, allRows, partialOut, partialState } = sizes;
  const { tokensK, valueDim } = shape;
  const limit = capabilities.limits.maxStorageBufferBindingSize;
  if (partialOut.bytes > limit) {
    fail(
      "limit",
      "partial sums of split decode",
      `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${partialOut.bytes} bytes`,
      "Split batch or heads over several calls, or raise maxDispatchMs.",
    );
  }
  const conditions = layoutConditions(shape, capabilities);
  const splitPass = {
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
    bindings: {
      q: { tensor: "q" },
      k: { tensor: "k" },
      v: { tensor: "v" },
      ...maskBindings(shape),
      partial_out: partialOut,
      partial_state: partialState,
    } satisfies Bindings<"split">,
  };
  const mergePass = {
    name: "softmax/merge",
    kernel: merge,
    variant: variantKey(merge, conditions),
    constants: { ...problemConstants(shape, merge), SPLITS: splits },
    bindings: {
      out: { tensor: "out" },
      lse: lseBinding(shape),
      partial_out: partialOut,
      partial_state: partialState,
    } satisfies Bindings<"merge">,
  };
  const partials = partialOut.bytes + partialState.bytes;
  const mergeFlops = 2 * splits * (valueDim + 1);
  return [
    ...dispatches(splitPass, shape, capabilities, {
      groups: splits * blocks,
      cost: {
        flops: attentionFlops(shape),
        bytes: bytesOf(shape.q, shape.k, shape.v, shape.bias) + partials,
      },
      groupFlops: Math.ceil(tokensK / splits) * keyFlops,
      maxDispatchFlops,
    }),
    ...dispatches(mergePass, shape, capabilities, {
      groups: allRows,
      cost: { flops: mergeFlops * allRows, bytes: bytesOf(shape.out, shape.lse) + partials },
      groupFlops: mergeFlops,
      maxDispatchFlops,
    }),
  ];
}

import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import type { SplitConfiguration, StripsConfiguration } from "./configuration.js";
import { dispatches } from "./dispatches.js";
import merge from "./merge.wgsl";
import {
  type Bindings,
  lseBinding,
  maskBindings,
  problemConstants,
  scoreSlots,
  storageConditions,
} from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import { mostRangeKeys } from "./rounds.js";
import { blockRows, decodeBlocks, workgroupThreads } from "./sizes.js";
import split from "./split.wgsl";
import strips from "./strips.wgsl";
import { blockWork } from "./work.js";

type DecodeConfiguration = SplitConfiguration | StripsConfiguration;

/** How the keys are cut, and what the cuts leave to be merged. */
function cuts(
  shape: SoftmaxShape,
  configuration: DecodeConfiguration,
  capabilities: Capabilities,
  maxDispatchFlops: number,
) {
  const { limits } = capabilities;
  const { batches, heads, tokensQ, tokensK, headDim, valueDim } = shape;
  const rows = blockRows(shape);
  const { columnParts, keyTile } = decodeKernel(shape, configuration);
  const keyFlops = rows * 2 * (headDim + valueDim / columnParts);
  // Strips are taken by the threads of a workgroup, a workgroup's worth at a time.
  const together = configuration.kernel === "strips" ? configuration.threads : 1;
  const allRows = batches * heads * tokensQ;
  const splitBytes = 16 * allRows * Math.ceil(valueDim / 4) * together;
  const keysPerSplit = Math.min(
    configuration.keysPerSplit,
    mostRangeKeys(configuration, shape, capabilities),
  );
  const wanted = Math.ceil(tokensK / keysPerSplit / together);
  // More cuts than a binding holds are no better; but those that the bound of a dispatch demands are needed.
  const held = Math.max(Math.floor(limits.maxStorageBufferBindingSize / splitBytes), 1);
  const keys = longestRange(shape, rows);
  const demanded = Math.ceil((keys * keyFlops) / maxDispatchFlops);
  const splits = Math.max(1, Math.min(wanted, held), demanded) * together;
  const partialOut = { scratch: 0, bytes: (splitBytes * splits) / together } as const;
  const partialState = { scratch: 1, bytes: 8 * allRows * splits } as const;
  const groupKeys = Math.ceil(keys / splits / keyTile) * keyTile * together;
  return { rows, together, splits, allRows, partialOut, partialState, groupWork: groupKeys * keyFlops };
}

/** Keys that a block of rows may see at most: a block that goes on into the next head has every token in it. */
function longestRange({ tokensQ, tokensK, windowLeft, windowRight }: SoftmaxShape, rows: number): number {
  if (windowLeft === undefined || windowRight === undefined) return tokensK;
  const tokens = tokensQ % rows === 0 ? rows : tokensQ;
  return Math.min(tokensK, windowLeft + windowRight + tokens);
}

/** Whether the partial sums of a cut fit in a binding. */
export function decodeFits(
  shape: SoftmaxShape,
  configuration: DecodeConfiguration,
  capabilities: Capabilities,
  maxDispatchFlops: number,
): boolean {
  const { partialOut } = cuts(shape, configuration, capabilities, maxDispatchFlops);
  return partialOut.bytes <= capabilities.limits.maxStorageBufferBindingSize;
}

/**
 * Passes that cut the keys into ranges, then merge them.
 *
 * @throws AttentionError "limit" when the partial sums do not fit in a binding
 */
export function planDecode(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  configuration: DecodeConfiguration,
  maxDispatchFlops: number,
): Pass[] {
  const { rows, together, splits, allRows, partialOut, partialState, groupWork } = cuts(
    shape,
    configuration,
    capabilities,
    maxDispatchFlops,
  );
  const { headDim, valueDim } = shape;
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
  const { kernel, columnParts, constants, unroll } = decodeKernel(shape, configuration);
  const conditions = storageConditions(shape, capabilities, configuration.f16);
  const cutPass = {
    name: `softmax/${configuration.kernel}`,
    kernel,
    variant: variantKey(kernel, conditions),
    constants: { ...problemConstants(shape, kernel), ...constants, ROWS: rows, SPLITS: splits },
    ...scoreSlots(shape),
    unroll,
    bindings: {
      q: { tensor: "q" },
      k: { tensor: "k" },
      v: { tensor: "v" },
      ...maskBindings(shape),
      partial_out: partialOut,
      partial_state: partialState,
    } satisfies Bindings<"split"> & Bindings<"strips">,
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
  const { pairs } = blockWork(shape, 0, shape.tokensQ);
  const groups = (splits / together) * columnParts * decodeBlocks(shape);
  const flops = shape.batches * shape.heads * pairs * 2 * (columnParts * headDim + valueDim);
  const mergeFlops = 2 * splits * (valueDim + 1);
  const cut = cutWorkgroups([{ work: groupWork, flops: flops / groups }], groups, maxDispatchFlops);
  const merged = cutWorkgroups([{ work: mergeFlops, flops: mergeFlops }], allRows, maxDispatchFlops);
  const read = bytesOf(shape.q, shape.k, shape.v, shape.bias);
  return [
    ...dispatches(cutPass, shape, capabilities, cut, read + partials),
    ...dispatches(mergePass, shape, capabilities, merged, bytesOf(shape.out, shape.lse) + partials),
  ];
}

interface DecodeKernel extends Required<Pick<Pass, "kernel" | "constants" | "unroll">> {
  /** Workgroups that share out the value columns of one range. */
  readonly columnParts: number;
  /** Keys of a tile; ranges are whole tiles. */
  readonly keyTile: number;
}

function decodeKernel(shape: SoftmaxShape, configuration: DecodeConfiguration): DecodeKernel {
  const columns = Math.ceil(shape.valueDim / 4);
  if (configuration.kernel === "split") {
    const THREADS = workgroupThreads(configuration, shape);
    const COLUMN_THREADS = Math.min(THREADS, powerOfTwo(columns));
    const constants = { THREADS, COLUMN_THREADS };
    return { kernel: split, columnParts: 1, keyTile: THREADS, constants, unroll: {} };
  }
  const { threads: THREADS, keys: KEYS } = configuration;
  const COLUMNS = Math.min(configuration.columns, columns);
  return {
    kernel: strips,
    columnParts: Math.ceil(columns / COLUMNS),
    keyTile: KEYS,
    constants: { THREADS, KEYS, COLUMNS },
    unroll: configuration.unroll ? { ROWS: blockRows(shape), KEYS, COLUMNS } : {},
  };
}

import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import { fail } from "./check.js";
import type { SplitConfiguration, StripsConfiguration } from "./configuration.js";
import { dispatches } from "./dispatches.js";
import merge from "./merge.wgsl";
import {
  attentionFlops,
  type Bindings,
  bytesOf,
  lseBinding,
  maskBindings,
  problemConstants,
  scoreSlots,
  storageConditions,
} from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import { blockRows, decodeBlocks, powerOfTwo, workgroupThreads } from "./sizes.js";
import split from "./split.wgsl";
import strips from "./strips.wgsl";

type DecodeConfiguration = SplitConfiguration | StripsConfiguration;

/** How the keys are cut, and what the cuts leave to be merged. */
function cuts(shape: SoftmaxShape, configuration: DecodeConfiguration, maxDispatchFlops: number) {
  const { batches, heads, tokensQ, tokensK, headDim, valueDim } = shape;
  const rows = blockRows(shape);
  const keyFlops = rows * 2 * (headDim + valueDim);
  // Strips are taken by the threads of a workgroup, a workgroup's worth at a time.
  const together = configuration.kernel === "strips" ? configuration.threads : 1;
  const wanted = Math.ceil(tokensK / configuration.keysPerSplit / together);
  const allowed = Math.ceil((tokensK * keyFlops) / maxDispatchFlops);
  const splits = Math.max(1, wanted, allowed) * together;
  const allRows = batches * heads * tokensQ;
  const partialOut = { scratch: 0, bytes: 16 * allRows * splits * Math.ceil(valueDim / 4) } as const;
  const partialState = { scratch: 1, bytes: 8 * allRows * splits } as const;
  return { rows, keyFlops, together, splits, allRows, partialOut, partialState };
}

/** Whether the partial sums of a cut fit in a binding. */
export function decodeFits(
  shape: SoftmaxShape,
  configuration: DecodeConfiguration,
  { limits }: Capabilities,
  maxDispatchFlops: number,
): boolean {
  const { partialOut } = cuts(shape, configuration, maxDispatchFlops);
  return partialOut.bytes <= limits.maxStorageBufferBindingSize;
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
  const { rows, keyFlops, together, splits, allRows, partialOut, partialState } = cuts(
    shape,
    configuration,
    maxDispatchFlops,
  );
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
  const { kernel, columnParts, constants, unroll } = decodeKernel(shape, configuration);
  const conditions = storageConditions(shape, capabilities, configuration.f16);
  const cutPass = {
    name: `softmax/${configuration.kernel}`,
    kernel,
    variant: variantKey(kernel, conditions),
    constants: { ...problemConstants(shape, kernel), ...constants, ROWS: rows, SPLITS: splits },
    slots: scoreSlots(shape),
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
  const mergeFlops = 2 * splits * (valueDim + 1);
  return [
    ...dispatches(cutPass, shape, capabilities, {
      groups: (splits / together) * columnParts * decodeBlocks(shape),
      cost: {
        flops: attentionFlops(shape),
        bytes: bytesOf(shape.q, shape.k, shape.v, shape.bias) + partials,
      },
      groupFlops: Math.ceil(tokensK / splits) * together * keyFlops,
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

interface DecodeKernel extends Required<Pick<Pass, "kernel" | "constants" | "unroll">> {
  /** Workgroups that share out the value columns of one range. */
  readonly columnParts: number;
}

function decodeKernel(shape: SoftmaxShape, configuration: DecodeConfiguration): DecodeKernel {
  const columns = Math.ceil(shape.valueDim / 4);
  if (configuration.kernel === "split") {
    const THREADS = workgroupThreads(configuration, shape);
    const COLUMN_THREADS = Math.min(THREADS, powerOfTwo(columns));
    return { kernel: split, columnParts: 1, constants: { THREADS, COLUMN_THREADS }, unroll: {} };
  }
  const { threads: THREADS, keys: KEYS } = configuration;
  const COLUMNS = Math.min(configuration.columns, columns);
  return {
    kernel: strips,
    columnParts: Math.ceil(columns / COLUMNS),
    constants: { THREADS, KEYS, COLUMNS },
    unroll: configuration.unroll ? { ROWS: blockRows(shape), KEYS, COLUMNS } : {},
  };
}

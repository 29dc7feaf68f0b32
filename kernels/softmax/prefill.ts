import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import type { RowsConfiguration, TiledConfiguration } from "./configuration.js";
import { dispatches } from "./dispatches.js";
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
import rows from "./rows.wgsl";
import tiled from "./tiled.wgsl";

type PrefillConfiguration = TiledConfiguration | RowsConfiguration;

/** Passes in which a workgroup owns a tile of rows and walks over all of its keys. */
export function planPrefill(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  configuration: PrefillConfiguration,
  maxDispatchFlops: number,
): Pass[] {
  const { batches, heads, tokensQ, valueDim } = shape;
  const { kernel, columnParts, constants, unroll, conditions } = prefillKernel(configuration, valueDim);
  const pass = {
    name: `softmax/${configuration.kernel}`,
    kernel,
    variant: variantKey(kernel, [
      ...storageConditions(shape, capabilities, configuration.f16),
      ...conditions,
    ]),
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
  const groups = Math.ceil(tokensQ / tileRows(configuration)) * columnParts * heads * batches;
  const groupFlops = tileFlops(shape, configuration);
  return dispatches(pass, shape, capabilities, { groups, cost, groupFlops, maxDispatchFlops });
}

/** Query rows of a workgroup. */
function tileRows(configuration: PrefillConfiguration): number {
  return (
    configuration.rows * (configuration.kernel === "tiled" ? configuration.groups : configuration.threads)
  );
}

/** Operations of a workgroup that sees every key. */
export function tileFlops(
  { tokensK, headDim, valueDim }: SoftmaxShape,
  configuration: PrefillConfiguration,
): number {
  return tileRows(configuration) * tokensK * 2 * (headDim + valueDim);
}

interface PrefillKernel extends Required<Pick<Pass, "kernel" | "constants" | "unroll">> {
  /** Workgroups that share out the value columns of one tile. */
  readonly columnParts: number;
  readonly conditions: readonly string[];
}

/** What a configuration means to its kernel. */
function prefillKernel(configuration: PrefillConfiguration, valueDim: number): PrefillKernel {
  if (configuration.kernel === "tiled") {
    const { groups: GROUPS, lanes: LANES, rows: ROWS, keys: KEYS, staged: STAGED } = configuration;
    const constants = { GROUPS, LANES, ROWS, KEYS, STAGED };
    return { kernel: tiled, columnParts: 1, constants, unroll: {}, conditions: [] };
  }
  const { threads: THREADS, rows: ROWS, keys: KEYS, subgroups } = configuration;
  const columns = Math.ceil(valueDim / 4);
  const COLUMNS = Math.min(configuration.columns, columns);
  const OWN_KEYS = subgroups ? KEYS / 4 : KEYS;
  return {
    kernel: rows,
    columnParts: Math.ceil(columns / COLUMNS),
    constants: { THREADS, ROWS, KEYS, COLUMNS },
    unroll: configuration.unroll ? { ROWS, KEYS, COLUMNS, KEY_QUADS: KEYS / 4, OWN_KEYS } : {},
    conditions: subgroups ? ["subgroups"] : [],
  };
}

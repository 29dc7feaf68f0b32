import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import { dispatches } from "./dispatches.js";
import {
  type Bindings,
  lseBinding,
  maskBindings,
  problemConstants,
  rowBindings,
  scoreSlots,
  storageConditions,
} from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import { unrollsChannels } from "./rounds.js";
import { type PrefillConfiguration, tileSizes } from "./row-configuration.js";
import { rowTiles } from "./row-tiles.js";
import rows from "./rows.wgsl";
import tiled from "./tiled.wgsl";

/** Passes in which a workgroup owns a tile of rows and walks over all of its keys. */
export function planPrefill(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  configuration: PrefillConfiguration,
  maxDispatchFlops: number,
): Pass[] {
  const { batches, heads, valueDim } = shape;
  const { kernel, columnParts, constants, unroll, conditions } = prefillKernel(configuration, valueDim);
  const pass = {
    name: `softmax/${configuration.kernel}`,
    kernel,
    variant: variantKey(kernel, [
      ...storageConditions(shape, capabilities, configuration.f16),
      ...conditions,
    ]),
    constants: { ...problemConstants(shape, kernel), ...constants },
    ...scoreSlots(shape),
    unroll: {
      ...unroll,
      ...(unrollsChannels(configuration, shape, capabilities) && { HEAD_DIM4: Math.ceil(shape.headDim / 4) }),
    },
    bindings: {
      q: { tensor: "q" },
      k: { tensor: "k" },
      v: { tensor: "v" },
      out: { tensor: "out" },
      lse: lseBinding(shape),
      ...maskBindings(shape),
      ...rowBindings(shape),
    } satisfies Bindings<"tiled"> & Bindings<"rows">,
  };
  const tiles = tileWork(shape, configuration, columnParts);
  const runs = cutWorkgroups(tiles, columnParts * heads * batches, maxDispatchFlops);
  const bytes = bytesOf(shape.q, shape.k, shape.v, shape.out, shape.lse, shape.bias);
  return dispatches(pass, shape, capabilities, runs, bytes);
}

/** Work of the workgroups of one head, in the order of their index. */
function tileWork(shape: SoftmaxShape, configuration: PrefillConfiguration, columnParts: number) {
  const { headDim, valueDim } = shape;
  const [rows, keyTile] = tileSizes(configuration);
  const pairFlops = 2 * (headDim + valueDim / columnParts);
  return rowTiles(shape, rows).map(({ pairs, keys }) => ({
    flops: pairs * pairFlops,
    work: rows * Math.ceil(keys / keyTile) * keyTile * pairFlops,
  }));
}

/** Operations of the longest workgroup. */
export function longestTile(shape: SoftmaxShape, configuration: PrefillConfiguration): number {
  const { columnParts } = prefillKernel(configuration, shape.valueDim);
  return tileWork(shape, configuration, columnParts).reduce((most, { work }) => Math.max(most, work), 0);
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

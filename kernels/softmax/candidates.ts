import type { Capabilities } from "../../src/dispatch/capabilities.js";
import {
  configurationName,
  type SoftmaxConfiguration,
  type SplitConfiguration,
  type StripsConfiguration,
} from "./configuration.js";
import { storageConditions, takesF16 } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import { DECODE_TOKENS, fits, fitted, rowGroupLanes } from "./sizes.js";
import { tableConfiguration } from "./table.js";

/**
 * The configurations worth measuring for a problem on this device: the table's choice first, then what differs from it in one
 * respect that hardware may like better. All of them fit the device's limits and use only features that it has.
 */
export function softmaxCandidates(
  shape: SoftmaxShape,
  capabilities: Capabilities,
): readonly SoftmaxConfiguration[] {
  const table = tableConfiguration(shape, capabilities);
  const others = shape.tokensQ <= DECODE_TOKENS ? decodes(shape, table) : prefills(shape, capabilities);
  const plain = [table, ...others.map((candidate) => fitted(candidate, shape, capabilities))];
  const aligned = storageConditions(shape, capabilities, false).includes("vec4");
  const all =
    aligned && takesF16(shape, capabilities)
      ? plain.flatMap((candidate) => [candidate, { ...candidate, f16: true }])
      : plain;
  const named = new Map(
    all
      .filter((candidate) => fits(candidate, shape, capabilities))
      .map((candidate) => [configurationName(candidate), candidate]),
  );
  return [...named.values()];
}

function prefills(shape: SoftmaxShape, capabilities: Capabilities): SoftmaxConfiguration[] {
  return capabilities.software
    ? [...registerTiles(shape, capabilities), ...sharedTiles(shape, [[4, 4, 64]])]
    : [
        ...sharedTiles(shape, [
          [2, 4, 64],
          [4, 2, 64],
          [4, 4, 64],
          [4, 4, 128],
          [8, 2, 64],
          [8, 4, 64],
          [8, 4, 128],
        ]),
        ...gpuRegisterTiles(shape, capabilities),
      ];
}

/** `tiled`, with and without staging (with, where keys are rotated). */
function sharedTiles(
  { valueDim, rotary }: SoftmaxShape,
  tiles: readonly (readonly [rows: number, keys: number, threads: number])[],
): SoftmaxConfiguration[] {
  const lanes = rowGroupLanes(valueDim);
  return tiles.flatMap(([rows, keys, threads]) =>
    (rotary ? [true] : [false, true]).map((staged): SoftmaxConfiguration => {
      return { kernel: "tiled", groups: threads / lanes, lanes, rows, keys, staged, f16: false };
    }),
  );
}

/** Products in the unrolled text of a tile: 3 to 4 s to compile. */
const MOST_PRODUCTS = 2048;

/** `rows` as CPU drivers like it: unrolled, with as many scores as compile in bearable time. */
function registerTiles(
  { valueDim, tokensQ }: SoftmaxShape,
  { subgroups }: Capabilities,
): SoftmaxConfiguration[] {
  const columns = Math.min(Math.ceil(valueDim / 4), 32);
  const most = tokensQ <= 16 ? 2 : 8;
  const tiles = [
    [8, 16],
    [8, 8],
    [4, 16],
    [4, 8],
    [2, 8],
    [1, 8],
  ] as const;
  return tiles
    .filter(([rows, keys]) => rows <= most && 2 * rows >= most && rows * keys * columns <= MOST_PRODUCTS)
    .flatMap(([rows, keys]) =>
      (subgroups ? [true, false] : [false])
        // Without shared loads the larger tile gains nothing that its compile time is worth.
        .filter((shared) => shared || keys <= 8)
        .map((shared): SoftmaxConfiguration => {
          const threads = shared ? 4 : 8;
          return {
            kernel: "rows",
            threads,
            rows,
            keys,
            columns,
            subgroups: shared,
            unroll: true,
            f16: false,
          };
        }),
    );
}

/** `rows` as a GPU may like it: fewer registers, more threads; compilers there unroll by themselves. */
function gpuRegisterTiles({ valueDim }: SoftmaxShape, { subgroups }: Capabilities): SoftmaxConfiguration[] {
  const columns = Math.min(Math.ceil(valueDim / 4), 16);
  const tiles = [
    [1, 8],
    [2, 4],
    [4, 4],
  ] as const;
  return tiles.flatMap(([rows, keys]) =>
    (subgroups ? [true, false] : [false]).map((shared): SoftmaxConfiguration => {
      return {
        kernel: "rows",
        threads: 32,
        rows,
        keys,
        columns,
        subgroups: shared,
        unroll: false,
        f16: false,
      };
    }),
  );
}

/** Fewer or more cuts of the keys, smaller or larger workgroups, barriers or none. */
function decodes(shape: SoftmaxShape, table: SoftmaxConfiguration): SoftmaxConfiguration[] {
  const base = "keysPerSplit" in table ? table.keysPerSplit : 256;
  const cut = (factor: number) => Math.min(Math.max(16, Math.ceil(base * factor)), shape.tokensK);
  const split = (threads: number, keysPerSplit: number): SplitConfiguration => {
    return { kernel: "split", threads, keysPerSplit, f16: false };
  };
  const strips = (keys: number, keysPerSplit: number): StripsConfiguration => {
    const columns = Math.min(Math.ceil(shape.valueDim / 4), 16);
    const unroll = table.kernel === "strips";
    return { kernel: "strips", threads: unroll ? 4 : 32, keys, columns, keysPerSplit, unroll, f16: false };
  };
  return table.kernel === "strips"
    ? [
        strips(8, cut(0.5)),
        strips(8, cut(1)),
        strips(4, cut(1)),
        strips(8, cut(2)),
        split(16, cut(8)),
        split(64, cut(4)),
      ]
    : [
        ...[0.25, 0.5, 1, 2, 4].map((factor) => split(64, cut(factor))),
        ...[32, 128, 256].map((threads) => split(threads, cut(1))),
        strips(4, cut(0.125)),
        strips(4, cut(0.25)),
      ];
}

import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { fail } from "../../../src/dispatch/check.js";
import { mostLoopRounds } from "../../../src/dispatch/loop-rounds.js";
import { powerOfTwo } from "../../../src/dispatch/power-of-two.js";
import type { SoftmaxShape } from "../../softmax/problem.js";
import { blockWork } from "../../softmax/work.js";
import type { StatisticsShape } from "./problem.js";

/** How a sweep is cut into workgroups and dispatches; the names of `sweep_params.wgsl`. */
export interface SweepGeometry {
  readonly threads: number;
  /** Query rows of a thread. */
  readonly rows: number;
  /** Keys of a tile. */
  readonly keys: number;
  /** Whether a workgroup is one quad that passes keys round. */
  readonly quads: boolean;
  readonly cells: number;
  readonly perCell: number;
  readonly cellStep: number;
  readonly cellRounds: number;
  readonly splits: number;
  readonly splitKeys: number;
  /** Tiles of the longest part, and how many of them one dispatch takes. */
  readonly rounds: number;
  readonly dispatchRounds: number;
  /** Pairs of one tile at most. */
  readonly tilePairs: number;
}

type Parts = Pick<SweepGeometry, "cells" | "perCell" | "cellStep">;

/** Sums that a sweep keeps. */
export interface SweepSums {
  readonly row: number;
  readonly column: number;
  /** Columns of the map. */
  readonly columns: number;
  readonly top: number;
}

const KEYS = 8;
/** Lines of sums of keys that a head has at most: what bounds their memory. */
const MOST_PARTS = 64;

/**
 * @param dispatchPairs pairs that one dispatch may hold
 * @throws AttentionError "limit" when the sums do not fit in a binding
 */
export function sweepGeometry(
  shape: StatisticsShape,
  sums: SweepSums,
  capabilities: Capabilities,
  dispatchPairs: number,
): SweepGeometry {
  const { softmax, request, heads } = shape;
  const { tokensQ, tokensK, batches, headDim } = softmax;
  const cells = request.map?.rows ?? 1;
  const cellRows = Math.ceil(tokensQ / cells);
  const tile = tileOf(cellRows, capabilities);
  const tileRows = tile.threads * tile.rows;
  const cellTiles = Math.ceil(cellRows / tileRows);

  // Workgroups that keep the device busy, from parts of the rows first, which need no more than a line of sums each.
  const wished = capabilities.software ? 32 : 512;
  const pairs = batches * heads.length;
  const fitting = (parts: number): Parts => {
    const perCell = Math.min(cellTiles, Math.ceil(parts / cells));
    const cut = { cells, perCell, cellStep: Math.min(cells, Math.ceil(parts / perCell)) };
    const fits = sweepFloats(shape, sums, { ...cut, splits: 1 }) * 4 <= bindingLimit(capabilities);
    return fits || parts === 1 ? cut : fitting(Math.ceil(parts / 2));
  };
  const cut = fitting(Math.min(Math.ceil(wished / pairs), MOST_PARTS));
  const parts = cut.perCell * cut.cellStep;
  const wishedSplits = Math.ceil(wished / (pairs * parts));
  const loopRounds = Math.ceil(headDim / 4) + 8;
  const mostKeys = Math.min(
    dispatchPairs / tileRows,
    (mostLoopRounds(capabilities) / loopRounds) * KEYS,
    Math.max(64, tokensK / wishedSplits),
  );
  const splitKeys = Math.max(KEYS, Math.floor(Math.min(mostKeys, tokensK + KEYS - 1) / KEYS) * KEYS);
  const splits = Math.ceil(tokensK / splitKeys);
  const visited = Math.min(splitKeys, longestTile(softmax, cells, tileRows) + KEYS);
  const cellRounds = Math.ceil(cellTiles / cut.perCell);
  const rounds = Math.ceil(cells / cut.cellStep) * cellRounds;
  // Rather a few tiles of many workgroups in a dispatch than all of one workgroup's.
  const together = Math.min(pairs * parts * splits, capabilities.software ? 8 : 256);
  const dispatchRounds = Math.min(
    rounds,
    Math.floor(dispatchPairs / (tileRows * visited * together)),
    Math.floor(mostLoopRounds(capabilities) / (Math.ceil(visited / KEYS) * loopRounds)),
  );
  const geometry = {
    ...tile,
    ...cut,
    cellRounds,
    splits,
    splitKeys,
    rounds,
    dispatchRounds: Math.max(dispatchRounds, 1),
    tilePairs: tileRows * visited,
  };
  const bytes = 4 * sweepFloats(shape, sums, geometry);
  if (bytes > bindingLimit(capabilities))
    fail(
      "limit",
      "partial sums of statistics",
      `at most ${bindingLimit(capabilities)} bytes (the device's maxStorageBufferBindingSize)`,
      `${bytes} bytes`,
      "Ask for fewer statistics at once, or split batch or heads over several calls.",
    );
  return geometry;
}

/** Rows of registers where the processor computes, workgroups of more threads on GPUs; smaller where there are few rows. */
function tileOf(
  rows: number,
  { software, subgroups }: Capabilities,
): Pick<SweepGeometry, "threads" | "rows" | "keys" | "quads"> {
  const quads = software && subgroups;
  if (software) {
    const threads = quads ? 4 : KEYS;
    return { threads, rows: Math.min(8, powerOfTwo(Math.ceil(rows / threads))), keys: KEYS, quads };
  }
  const own = rows > 32 ? 4 : 1;
  return {
    threads: Math.max(KEYS, Math.min(64, powerOfTwo(Math.ceil(rows / own)))),
    rows: own,
    keys: KEYS,
    quads,
  };
}

/** Floats of the partial sums: their regions in the order of `sweep_params.wgsl`. */
export function sweepRegions(
  { softmax, heads }: StatisticsShape,
  { row, column, columns, top }: SweepSums,
  { cells, perCell, cellStep, splits }: Parts & Pick<SweepGeometry, "splits">,
): readonly [rows: number, columns: number, map: number, top: number] {
  const pairs = softmax.batches * heads.length;
  return [
    splits * pairs * softmax.tokensQ * row,
    column * pairs * cellStep * perCell * softmax.tokensK,
    splits * pairs * cells * perCell * columns,
    splits * pairs * softmax.tokensQ * 2 * top,
  ];
}

function sweepFloats(...given: Parameters<typeof sweepRegions>): number {
  return sweepRegions(...given).reduce((sum, floats) => sum + floats, 0);
}

function bindingLimit({ limits }: Capabilities): number {
  return limits.maxStorageBufferBindingSize;
}

/** Keys that a tile of rows visits at most. */
function longestTile(softmax: SoftmaxShape, cells: number, rows: number): number {
  const { tokensQ, tokensK, windowLeft } = softmax;
  if (windowLeft === undefined || cells > 1) return tokensK;
  let most = 0;
  for (let first = 0; first < tokensQ; first += rows)
    most = Math.max(most, blockWork(softmax, first, rows).keys);
  return most;
}

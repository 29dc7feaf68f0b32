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
  /** Places of a list of keys that one round of a loop moves. */
  readonly shifts: number;
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

/** Keys of a tile. */
export const KEYS = 8;
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
  const mostRounds = mostLoopRounds(capabilities);
  const tile = tileOf(cellRows, sums.top > 1 && Number.isFinite(mostRounds), capabilities);
  const tileRows = tile.threads * tile.rows;
  const cellTiles = Math.ceil(cellRows / tileRows);

  // Workgroups that keep the device busy, from parts of the rows first, which need no more than a line of sums each.
  const wished = capabilities.software ? 32 : 512;
  const pairs = batches * heads.length;
  const fitting = (parts: number): Parts => {
    const perCell = Math.min(cellTiles, Math.max(1, Math.floor(parts / cells)));
    const cut = { cells, perCell, cellStep: Math.min(cells, Math.ceil(parts / perCell)) };
    const fits = sweepFloats(shape, sums, { ...cut, splits: 1 }) * 4 <= bindingLimit(capabilities);
    return fits || parts === 1 ? cut : fitting(Math.ceil(parts / 2));
  };
  const cut = fitting(Math.min(Math.ceil(wished / pairs), MOST_PARTS));
  const parts = cut.perCell * cut.cellStep;
  // Rows, cells and lists have sums for each range of keys: no more ranges than fit, unless the device cannot do with so few.
  const wishedSplits = Math.max(
    1,
    Math.min(Math.ceil(wished / (pairs * parts)), fittingSplits(shape, sums, cut, capabilities)),
  );
  const { ofRows, ofKeys } = loopRounds(headDim, sums.top, tile);
  const mostKeys = Math.min(
    dispatchPairs / tileRows,
    ((mostRounds - ofRows) / ofKeys) * KEYS,
    Math.max(64, Math.ceil(tokensK / wishedSplits / KEYS) * KEYS),
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
    Math.floor(mostRounds / (ofRows + Math.ceil(visited / KEYS) * ofKeys)),
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
      "Ask for fewer statistics at once, or split batch, heads or query rows over several calls.",
    );
  return geometry;
}

type Tile = Pick<SweepGeometry, "threads" | "rows" | "keys" | "shifts" | "quads">;

/**
 * Rows of registers where the processor computes, workgroups of more threads on GPUs; smaller where there are few rows.
 *
 * @param lists whether rows keep lists on a device that bounds rounds: each row of a thread adds the rounds of its list to a tile of
 *   keys, and the shorter the ranges of keys are then, the more lists there are
 */
function tileOf(rows: number, lists: boolean, { software, subgroups }: Capabilities): Tile {
  const quads = software && subgroups;
  const shifts = lists ? 8 : 1;
  if (software) {
    const threads = quads ? 4 : KEYS;
    const own = lists ? 1 : Math.min(8, powerOfTwo(Math.ceil(rows / threads)));
    return { threads, rows: own, keys: KEYS, shifts, quads };
  }
  const own = rows > 32 ? 4 : 1;
  return {
    threads: Math.max(KEYS, Math.min(64, powerOfTwo(Math.ceil(rows / own)))),
    rows: own,
    keys: KEYS,
    shifts,
    quads,
  };
}

/** Rounds of a thread's loops: for a tile of rows, and for each tile of keys that it meets. Loops over registers are unrolled. */
function loopRounds(headDim: number, top: number, { rows, keys, shifts }: Tile) {
  const lists = top > 1 ? rows : 0;
  const channels = Math.ceil(headDim / 4);
  return {
    // What rotates rows, and what empties their lists.
    ofRows: channels + lists * 2 * top + 8,
    // At worst each key comes first in the list, and moves all others.
    ofKeys: channels + lists * keys * (2 + Math.floor((top - 1) / shifts)) + 8,
  };
}

/** Ranges of keys whose sums fit in a binding. */
function fittingSplits(
  shape: StatisticsShape,
  sums: SweepSums,
  cut: Parts,
  capabilities: Capabilities,
): number {
  const [rows, columns, map, top] = sweepRegions(shape, sums, { ...cut, splits: 1 });
  return Math.floor((bindingLimit(capabilities) / 4 - columns) / Math.max(1, rows + map + top));
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

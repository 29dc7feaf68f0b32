import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AgentShape } from "./problem.js";

/** Register tile of a thread, and threads of a workgroup. */
export interface Tile {
  readonly threads: number;
  /** Rows of scores: agents in the first product, queries in the second. */
  readonly rows: number;
  /** Columns of scores that are taken at a time. */
  readonly keys: number;
  /** vec4 columns of values; further ones go to further workgroups. */
  readonly columns: number;
  /** Whether the threads of a quad load for each other. */
  readonly subgroups: boolean;
}

/** Workgroups that the aggregation should have: enough for a large GPU, or for a few cores that share them out. */
const GPU_WORKGROUPS = 128;
const CPU_WORKGROUPS = 32;
/** Keys that are worth a workgroup, and agents that a driver on a CPU takes in a thread. */
const KEYS_PER_SPLIT = 32;
const CPU_ROWS = 8;
const QUAD = 4;

/** Parts of at most `most`, as few and as equal as possible. */
function evenly(total: number, most: number): number {
  return Math.ceil(total / Math.ceil(total / most));
}

/** Few columns where there are many, so that the sums of a thread stay registers. */
function columnsOf({ valueDim }: AgentShape): number {
  return evenly(Math.ceil(valueDim / 4), 16);
}

/**
 * Agents aggregate the keys. On a GPU a thread has one agent or two, so that all agents of a head are a workgroup and a key is read
 * once for them; on a CPU driver eight at most, since there a load costs as much as a dozen multiplications.
 */
export function aggregateTile(shape: AgentShape, { software, subgroups }: Capabilities): Tile {
  const { agents } = shape;
  const columns = columnsOf(shape);
  if (!software) {
    const threads = agents > 32 ? 64 : 32;
    return { threads, rows: agents > 64 ? 2 : 1, keys: 8, columns, subgroups: false };
  }
  const quads = Math.ceil(agents / (QUAD * CPU_ROWS));
  return { threads: QUAD, rows: Math.ceil(agents / (QUAD * quads)), keys: 8, columns, subgroups };
}

/** Queries in runs that divide a line of the image evenly; agents in equal tiles. */
export function broadcastTile(shape: AgentShape, { software, subgroups }: Capabilities): Tile {
  const { agents, entries, heads, tokensQ } = shape;
  const columns = columnsOf(shape);
  const keys = evenly(agents, 8);
  const [, line] = queryLines(shape);
  if (software) return { threads: QUAD, rows: evenly(line, 8), keys, columns, subgroups };
  // Two rows share the loads of agents and most of a halo, where there are threads enough without.
  const rows = entries * heads * tokensQ >= 2 ** 16 ? evenly(line, 2) : 1;
  return { threads: 64, rows, keys, columns, subgroups: false };
}

/** Rows and columns in which the queries after the class token are taken. */
export function queryLines({ depthwise, tokensQ }: AgentShape): readonly [rows: number, columns: number] {
  return depthwise?.grid ?? [1, tokensQ];
}

/** Workgroups of one range of the keys. */
export function aggregateGroups(shape: AgentShape, tile: Tile): number {
  const { entries, heads, agents } = shape;
  return entries * heads * Math.ceil(agents / (tile.threads * tile.rows)) * columnParts(shape, tile);
}

export function columnParts({ valueDim }: AgentShape, { columns }: Tile): number {
  return Math.ceil(Math.ceil(valueDim / 4) / columns);
}

/**
 * Ranges that the keys are cut into.
 *
 * @param demanded ranges that the bound of a dispatch asks for
 * @param held     as many as a binding holds partial sums for
 */
export function keySplits(
  shape: AgentShape,
  { software }: Capabilities,
  tile: Tile,
  bounds: { readonly demanded: number; readonly held: number },
): number {
  const { tokensK } = shape;
  const wanted = Math.ceil((software ? CPU_WORKGROUPS : GPU_WORKGROUPS) / aggregateGroups(shape, tile));
  const worthwhile = Math.min(wanted, Math.ceil(tokensK / KEYS_PER_SPLIT), Math.max(bounds.held, 1));
  return Math.min(tokensK, Math.max(worthwhile, bounds.demanded));
}

/** Query rows that share a list of key blocks. */
export const BLOCK_Q = 64;

/** How a sequence is cut. Everything is counted in blocks of `blockK` keys, but for `tokens`. */
export interface SaleGeometry {
  readonly tokens: number;
  readonly blockK: number;
  readonly segmentBlocks: number;
  readonly localBlocks: number;
  /** Query blocks and key blocks, the last of which may be cut short. */
  readonly queryBlocks: number;
  readonly keyBlocks: number;
}

export function geometryOf(sizes: {
  readonly tokens: number;
  readonly blockK: number;
  readonly segment: number;
  readonly localWindow: number;
}): SaleGeometry {
  const { tokens, blockK, segment, localWindow } = sizes;
  return {
    tokens,
    blockK,
    segmentBlocks: segment / blockK,
    localBlocks: localWindow / blockK,
    queryBlocks: Math.ceil(tokens / BLOCK_Q),
    keyBlocks: Math.ceil(tokens / blockK),
  };
}

/** Key blocks that causal rows of a query block see. */
export function causalBlocks({ keyBlocks, blockK }: SaleGeometry, queryBlock: number): number {
  return Math.min(keyBlocks, ((queryBlock + 1) * BLOCK_Q) / blockK);
}

/** Blocks 1 to so many are candidates: whole segments before the local window. */
export function candidateBlocks(geometry: SaleGeometry, queryBlock: number): number {
  const { segmentBlocks, localBlocks } = geometry;
  const before = causalBlocks(geometry, queryBlock) - 1 - localBlocks;
  return segmentBlocks * Math.max(0, Math.floor(before / segmentBlocks));
}

/** Entries that one head's lists have room for: all causal blocks of every query block. */
export function listEntries(geometry: SaleGeometry): number {
  const { queryBlocks } = geometry;
  return Array.from({ length: queryBlocks }, (_, a) => causalBlocks(geometry, a)).reduce((x, y) => x + y, 0);
}

/** (query, key) pairs of the blocks that a query block always keeps: block 0 and the local ones, causal. */
export function localPairs(geometry: SaleGeometry, queryBlock: number): number {
  const { tokens, blockK } = geometry;
  const candidates = candidateBlocks(geometry, queryBlock);
  const first = queryBlock * BLOCK_Q;
  const rows = Math.min(BLOCK_Q, tokens - first);
  // Row i sees i + 1 keys, less those of candidate blocks, all of which lie before it.
  return rows * (first + 1) + (rows * (rows - 1)) / 2 - rows * candidates * blockK;
}

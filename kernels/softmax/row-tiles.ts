import { blockGrid } from "./block-mask.js";
import type { PackedSequences } from "./packed.js";
import type { SoftmaxShape } from "./problem.js";
import { type BlockWork, blockWork } from "./work.js";

/** What each tile of query rows of one head has to do, in the order in which workgroups take them: the last rows first. */
export function rowTiles(shape: SoftmaxShape, rows: number): BlockWork[] {
  const tiles = shape.packed ? packedTiles(shape, shape.packed, rows) : plainTiles(shape, rows);
  return tiles.reverse();
}

function plainTiles(shape: SoftmaxShape, rows: number): BlockWork[] {
  const { tokensQ, tokensK, blockMask, queryRows } = shape;
  const visited = blockMask && visitedKeys(blockMask, tokensK);
  return Array.from({ length: Math.ceil(tokensQ / rows) }, (_, tile) => {
    const first = tile * rows;
    const work = blockWork(shape, first, rows);
    // The list may skip any number of rows, but none of its places has an earlier row than the place says.
    if (queryRows) return { ...work, keys: blockWork(shape, first, tokensQ - first).keys };
    const listed = visited?.[Math.floor(first / blockMask!.blockQ)];
    if (!listed) return work;
    const count = Math.min(rows, tokensQ - first);
    return { pairs: Math.min(work.pairs, listed.mean * count), keys: Math.min(work.keys, listed.most) };
  });
}

/** Keys that each block of query rows visits: on average over batch entries and heads, and at most. */
function visitedKeys(mask: NonNullable<SoftmaxShape["blockMask"]>, tokensK: number) {
  const { counts, blockK } = mask;
  if (!counts) return undefined;
  const [batches, heads, rows] = blockGrid(mask);
  return Array.from({ length: rows }, (_, row) => {
    const keys = Array.from({ length: batches * heads }, (_, n) =>
      Math.min(counts[n * rows + row]! * blockK, tokensK),
    );
    return { mean: keys.reduce((sum, n) => sum + n, 0) / keys.length, most: Math.max(...keys) };
  });
}

/** As `query_rows.wgsl` cuts them: sequence s has its first tile at ⌊its offset / rows⌋ + s. */
function packedTiles(shape: SoftmaxShape, { count, known }: PackedSequences, rows: number): BlockWork[] {
  const { tokensQ, tokensK } = shape;
  const tiles = Math.floor(tokensQ / rows) + count;
  // Offsets that are on the GPU may make any tile see every key.
  if (!known)
    return Array.from({ length: tiles }, () => ({ pairs: (tokensQ * tokensK) / tiles, keys: tokensK }));
  const work: BlockWork[] = Array.from({ length: tiles }, () => ({ pairs: 0, keys: 0 }));
  for (let sequence = 0; sequence < count; sequence++) {
    const [begin, end] = [known.queries[sequence]!, known.queries[sequence + 1]!];
    const keys = known.keys[sequence + 1]! - known.keys[sequence]!;
    const own = { ...shape, tokensQ: end - begin, tokensK: keys, queryOffset: keys - (end - begin) };
    const firstTile = Math.floor(begin / rows) + sequence;
    for (let first = 0; first < end - begin; first += rows)
      work[firstTile + first / rows] = blockWork(own, first, rows);
  }
  return work;
}

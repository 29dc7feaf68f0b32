// Which query rows a head computes: all tokens, those that a list names, or those of a sequence of a packed batch.
import package::_shared::workgroup_index::ceil_div;
import super::params::{ params, terms };

/// Rows are listed, [batches, heads, 1 + tokens_q]: how many, then their tokens, ascending.
const LISTED: bool = false;
/// Batch entries are sequences that lie behind each other in the token axis.
const PACKED: bool = false;

@group(0) @binding(12) var<storage, read> query_rows: array<u32>;

/// Rows are tokens of the tensors, or places in the list.
struct RowTile {
  batch: u32,
  head: u32,
  /// First row of the tile.
  first: u32,
  /// Last row of the head; before `first` when the tile is empty.
  last: i32,
}

/// First token of a packed sequence; also one past the end of the sequence before it.
fn sequence_begin(batch: u32) -> u32 {
  return min(terms[params.sequences_at + batch], params.tokens_q);
}

/// Tiles of a head: as many as there may be, since lists and sequences are known on the GPU only.
fn row_tiles(tile_rows: u32) -> u32 {
  if (PACKED) {
    // A sequence from token t on has its first tile at t / tile_rows + its number, and room for all of its tiles before the next's.
    return params.tokens_q / tile_rows + params.batches;
  }
  return ceil_div(params.tokens_q, tile_rows);
}

/// The tile of a workgroup: index = tile + tiles (head + heads (part + parts batch)). Tiles are taken from the last on: in a causal problem it has the most keys.
/// `parts` workgroups share a tile.
fn row_tile(index: u32, tile_rows: u32, parts: u32) -> RowTile {
  let tiles = row_tiles(tile_rows);
  let tile = tiles - 1u - index % tiles;
  let head = index / tiles % params.heads;
  if (PACKED) {
    var low = 0u;
    var high = params.batches;
    while (high - low > 1u) {
      let middle = (low + high) / 2u;
      let later = sequence_begin(middle) / tile_rows + middle > tile;
      high = select(high, middle, later);
      low = select(middle, low, later);
    }
    let begin = sequence_begin(low);
    let first = begin + (tile - begin / tile_rows - low) * tile_rows;
    return RowTile(low, head, first, i32(sequence_begin(low + 1u)) - 1);
  }
  let batch = index / (tiles * params.heads * parts);
  var count = params.tokens_q;
  if (LISTED) {
    count = min(query_rows[(batch * params.heads + head) * (1u + params.tokens_q)], params.tokens_q);
  }
  return RowTile(batch, head, tile * tile_rows, i32(count) - 1);
}

/// The token of a row; of the last row for those behind it.
fn row_token(tile: RowTile, row: u32) -> u32 {
  let own = min(row, u32(max(tile.last, 0)));
  if (LISTED) {
    return min(query_rows[(tile.batch * params.heads + tile.head) * (1u + params.tokens_q) + 1u + own], params.tokens_q - 1u);
  }
  return own;
}

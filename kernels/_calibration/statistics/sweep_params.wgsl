// How a sweep is cut, and where its sums lie: what the passes of statistics share.
import package::_shared::workgroup_index::ceil_div;
import package::softmax::params::{ params, terms };

/// Sums of a query row, in the order of `sweep.wgsl`, and of a key.
const ROW_SUMS: u32 = 1u;
const COLUMN_SUMS: u32 = 1u;
/// Keys with most weight that a row keeps; 0 for none.
const TOP: u32 = 0u;

struct SweepParams {
  /// Query rows are cut into cells, row i into cell i cells / tokens_q: the rows of the map, or one. Of the parts, `per_cell` share
  /// a cell and take its tiles in turn, `cell_rounds` each at most, and then go on to the cell `cell_step` further.
  cells: u32,
  per_cell: u32,
  cell_step: u32,
  cell_rounds: u32,
  /// Ranges of keys, and the keys of one, a whole number of tiles.
  splits: u32,
  split_keys: u32,
  /// Columns of the map, 0 without.
  columns: u32,
  /// Tiles of each part that this dispatch takes.
  first_round: u32,
  rounds: u32,
  /// Heads that are swept, and groups of them that outputs are of.
  heads: u32,
  groups: u32,
  /// Where `terms` lists the swept heads, the groups (offsets [groups + 1], then places in the list of heads), and the sets of keys,
  /// each [ceil(tokens_k / 32)] words, a bit a key; and how far before its own position a query's diagonals lie, as i32.
  heads_at: u32,
  groups_at: u32,
  sets_at: u32,
  diagonals_at: u32,
  /// Where the regions of `partials` behind the rows' sums begin, in floats.
  columns_at: u32,
  map_at: u32,
  top_at: u32,
  /// The W of min(|t - s|, W).
  distance_window: f32,
  /// Queries that look back at a key: `low` to `high` positions behind it, from position `from` on.
  low: i32,
  high: i32,
  look_from: i32,
}

@group(0) @binding(13) var<uniform> sweep: SweepParams;

fn part_count() -> u32 {
  return sweep.cell_step * sweep.per_cell;
}

/// First query row of a cell; also one past the end of the cell before it.
fn cell_begin(cell: u32) -> u32 {
  return ceil_div(cell * params.tokens_q, sweep.cells);
}

fn swept_head(place: u32) -> u32 {
  return terms[sweep.heads_at + place];
}

/// Swept (batch entry, head) pairs: batch * sweep.heads + place of the head.
fn pair_count() -> u32 {
  return params.batches * sweep.heads;
}

// Regions of `partials`:
// [splits, pairs, tokens_q, ROW_SUMS] sums of rows
// [COLUMN_SUMS, pairs, parts, tokens_k] sums of keys
// [splits, pairs, cells, per_cell, columns] sums of cells
// [splits, pairs, tokens_q, TOP, 2] keys with most weight: what they are ordered by, and the key as a number

fn row_at(split: u32, pair: u32, token: u32) -> u32 {
  return ((split * pair_count() + pair) * params.tokens_q + token) * ROW_SUMS;
}

fn column_at(sum: u32, pair: u32, part: u32) -> u32 {
  return sweep.columns_at + ((sum * pair_count() + pair) * part_count() + part) * params.tokens_k;
}

fn map_at(split: u32, pair: u32, cell: u32, share: u32) -> u32 {
  return sweep.map_at + (((split * pair_count() + pair) * sweep.cells + cell) * sweep.per_cell + share) * sweep.columns;
}

fn top_at(split: u32, pair: u32, token: u32) -> u32 {
  return sweep.top_at + ((split * pair_count() + pair) * params.tokens_q + token) * 2u * TOP;
}

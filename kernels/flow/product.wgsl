// Rows of queries times a [D, Dv] matrix: a thread owns ROWS neighbouring rows and COLUMNS neighbouring vec4 columns.
import super::params::{ COLUMNS, DEPTH, HEAD_DIM4, ROWS, TILE, VALUE_DIM4, Sums };

/// [heads of the scratch, rows, HEAD_DIM4]
@group(0) @binding(3) var<storage, read> queries: array<vec4f>;
/// [..., 4 * HEAD_DIM4, VALUE_DIM4]
@group(0) @binding(4) var<storage, read> matrices: array<vec4f>;

/// Threads side by side over columns, and workgroups that share out the columns of a tile of rows.
const COLUMN_BLOCKS = TILE / ROWS;
const PARTS = (VALUE_DIM4 + COLUMN_BLOCKS * COLUMNS - 1u) / (COLUMN_BLOCKS * COLUMNS);

/// First row of a thread in its tile.
fn block_row(thread: u32) -> u32 {
  return thread / COLUMN_BLOCKS * ROWS;
}

/// First column of a thread; past the end where there are fewer.
fn block_column(part: u32, thread: u32) -> u32 {
  return (part * COLUMN_BLOCKS + thread % COLUMN_BLOCKS) * COLUMNS;
}

/// sums += the rows from `first_row` times the matrix that starts at `first_matrix`. Columns past the end repeat the last one.
fn product_of(first_row: u32, first_matrix: u32, column: u32) -> Sums {
  var sums = Sums();
  let query_row = first_row * HEAD_DIM4;
  var place0 = first_matrix + min(column, VALUE_DIM4 - 1u);
  var place1 = first_matrix + min(column + 1u, VALUE_DIM4 - 1u);
  for (var c = 0u; c < HEAD_DIM4; c++) {
    var right = array<vec4f, DEPTH * COLUMNS>();
    for (var i = 0u; i < DEPTH; i++) {
      right[i * COLUMNS] = matrices[place0 + i * VALUE_DIM4];
      right[i * COLUMNS + 1u] = matrices[place1 + i * VALUE_DIM4];
    }
    for (var r = 0u; r < ROWS; r++) {
      let left = queries[query_row + r * HEAD_DIM4 + c];
      for (var n = 0u; n < COLUMNS; n++) {
        sums[r * COLUMNS + n] += left.x * right[n] + left.y * right[COLUMNS + n] + left.z * right[2u * COLUMNS + n]
          + left.w * right[3u * COLUMNS + n];
      }
    }
    place0 += 4u * VALUE_DIM4;
    place1 += 4u * VALUE_DIM4;
  }
  return sums;
}

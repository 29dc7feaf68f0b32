// Sums of outer products, sum over tokens of K_jᵀ (w_j v_j): a thread owns a block of ROWS key channels and COLUMNS vec4 columns.
import super::params::{ COLUMNS, DEPTH, HEAD_DIM4, ROWS, TILE, VALUE_DIM4, Sums, params };
import super::values::load_v;

/// [heads of the scratch, rows, HEAD_DIM4]
@group(0) @binding(4) var<storage, read> keys: array<vec4f>;
/// [heads of the scratch, chunks, 4 * HEAD_DIM4, VALUE_DIM4]
@group(0) @binding(5) var<storage, read_write> matrices: array<vec4f>;

/// Blocks along the columns, and workgroups that share out all blocks of a matrix.
const BLOCK_COLUMNS = (VALUE_DIM4 + COLUMNS - 1u) / COLUMNS;
const BLOCK_ROWS = (HEAD_DIM4 + 1u) / 2u;
const PARTS = (BLOCK_ROWS * BLOCK_COLUMNS + TILE - 1u) / TILE;

/// w_j of a tile's tokens.
var<workgroup> weights: array<f32, TILE>;

/// A block's first vec4 of key channels, and its columns. Blocks past the end repeat the last one and are not stored.
struct Corner {
  key: u32,
  column: u32,
}

fn block_of(part: u32, thread: u32) -> Corner {
  let index = min(part * TILE + thread, BLOCK_ROWS * BLOCK_COLUMNS - 1u);
  return Corner(2u * (index / BLOCK_COLUMNS), COLUMNS * (index % BLOCK_COLUMNS));
}

/// Adds the outer products of `count` tokens from the one whose key row starts at `key_row` and whose value is `value_row`.
fn add_outer_products(
  sums: ptr<function, Sums>,
  corner: Corner,
  first_key: u32,
  first_value: u32,
  count: u32,
) {
  // The second half of a block past the end repeats the first and is not stored.
  let second_key = min(corner.key + 1u, HEAD_DIM4 - 1u);
  let second_column = min(corner.column + 1u, VALUE_DIM4 - 1u);
  var key_row = first_key * HEAD_DIM4;
  var value_row = first_value;
  for (var t = 0u; t < count; t++) {
    let weight = weights[t];
    let key0 = keys[key_row + corner.key];
    let key1 = keys[key_row + second_key];
    let value0 = load_v(value_row, corner.column) * weight;
    let value1 = load_v(value_row, second_column) * weight;
    for (var i = 0u; i < DEPTH; i++) {
      (*sums)[i * COLUMNS] += key0[i] * value0;
      (*sums)[i * COLUMNS + 1u] += key0[i] * value1;
      (*sums)[(i + DEPTH) * COLUMNS] += key1[i] * value0;
      (*sums)[(i + DEPTH) * COLUMNS + 1u] += key1[i] * value1;
    }
    key_row += HEAD_DIM4;
    value_row += params.strides_v.y;
  }
}

/// Writes a block of the matrix of a chunk, counted over all heads of the scratch.
fn store_block(sums: ptr<function, Sums>, corner: Corner, part: u32, thread: u32, chunk: u32) {
  if (part * TILE + thread >= BLOCK_ROWS * BLOCK_COLUMNS) {
    return;
  }
  let first = (chunk * 4u * HEAD_DIM4 + 4u * corner.key) * VALUE_DIM4 + corner.column;
  for (var r = 0u; r < ROWS; r++) {
    for (var n = 0u; n < COLUMNS; n++) {
      if ((4u * corner.key + r < 4u * HEAD_DIM4) & (corner.column + n < VALUE_DIM4)) {
        matrices[first + r * VALUE_DIM4 + n] = (*sums)[r * COLUMNS + n];
      }
    }
  }
}

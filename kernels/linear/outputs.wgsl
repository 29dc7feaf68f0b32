// A block's outputs (Lightning Attention-2, arXiv 2401.04658): O = ((Q Kᵀ) ⊙ D) V + (diag(λ^r) Q) S̃ with D[r, c] = λ^(r - c) on
// and below the diagonal, S̃ the entering state as `scan.wgsl` leaves it. A workgroup owns a block: its threads share out the
// 8 x 8 tiles of the masked product, meet at the only barrier, then own tiles of 8 rows and 8 columns of the output.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::params::{
  BLOCK, HEAD_DIM4, NORMALIZE, STATE_COLUMNS, STATE_ROWS, VALUE_DIM4, block_size, params, power,
};
import super::tensors::{ load_k, load_q, load_v, row_k, row_out, row_q, row_v, store_out, through_map };

const THREADS: u32 = 64u;
/// Rows, keys and vec4 columns of a tile.
const ROWS: u32 = 8u;
const COLUMNS: u32 = 2u;
/// Not causal: a token reads the sum over all blocks and nothing else.
const TOTAL: bool = false;

const ROW_TILES = BLOCK / ROWS;
const ROW_QUADS = ROWS / 4u;

/// [batch, head, block, STATE_ROWS, STATE_COLUMNS]; without the axis of blocks where a token reads the sum over all.
@group(0) @binding(7) var<storage, read> states: array<vec4f>;

/// [key, row / 4]: decayed, scaled products of the block, zero above the diagonal; a word holds four rows.
var<workgroup> pairs: array<vec4f, select(BLOCK * BLOCK / 4u, 1u, TOTAL)>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = params.first_group + workgroup_index(group_id, group_counts); // (batch, head, block)
  if (problem >= params.first_group + params.groups) {
    return;
  }
  let own_block = problem % params.blocks;
  let head = problem / params.blocks % params.heads;
  let batch = problem / (params.blocks * params.heads);
  let first = (params.first_block + own_block) * BLOCK;
  let size = block_size(params.first_block + own_block);
  let used_tiles = ceil_div(size, ROWS);

  if (!TOTAL) {
    for (var tile = thread; tile < used_tiles * (used_tiles + 1u) / 2u; tile += THREADS) {
      multiply_tile(tile, batch, head, first, size);
    }
    workgroupBarrier();
  }

  let across = ceil_div(VALUE_DIM4, COLUMNS);
  for (var tile = thread; tile < used_tiles * across; tile += THREADS) {
    output_tile(tile / across, tile % across * COLUMNS, problem, batch, head, first, size);
  }
}

/// Tiles on and below the diagonal are numbered row by row.
fn multiply_tile(tile: u32, batch: u32, head: u32, first: u32, size: u32) {
  var down = 0u;
  var along = tile;
  while (along > down) {
    down++;
    along -= down;
  }
  var query_rows = array<u32, ROWS>();
  var key_rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    query_rows[r] = row_q(batch, first + min(down * ROWS + r, size - 1u), head);
    key_rows[r] = row_k(batch, first + min(along * ROWS + r, size - 1u), head);
  }
  var products = array<f32, ROWS * ROWS>(); // [key, row]
  for (var c = 0u; c < HEAD_DIM4; c++) {
    var keys = array<vec4f, ROWS>();
    for (var n = 0u; n < ROWS; n++) {
      keys[n] = load_k(key_rows[n], c);
    }
    for (var r = 0u; r < ROWS; r++) {
      let query = load_q(query_rows[r], c);
      for (var n = 0u; n < ROWS; n++) {
        products[n * ROWS + r] += dot(query, keys[n]);
      }
    }
  }
  let ahead = (down - along) * ROWS;
  for (var n = 0u; n < ROWS; n++) {
    for (var four_rows = 0u; four_rows < ROW_QUADS; four_rows++) {
      let at = n * ROWS + 4u * four_rows;
      let product = vec4f(products[at], products[at + 1u], products[at + 2u], products[at + 3u]);
      let row = ahead + 4u * four_rows + vec4u(0u, 1u, 2u, 3u); // counted from the tile's first key
      let distance = row - min(row, vec4u(n));
      let factor = vec4f(
        power(head, distance.x), power(head, distance.y), power(head, distance.z), power(head, distance.w),
      );
      let below = select(vec4f(), product * factor, row >= vec4u(n));
      pairs[(along * ROWS + n) * (BLOCK / 4u) + down * ROW_QUADS + four_rows] = params.scale_pairs * below;
    }
  }
}

fn output_tile(down: u32, first_column: u32, problem: u32, batch: u32, head: u32, first: u32, size: u32) {
  var acc = array<vec4f, ROWS * COLUMNS>(); // [ROWS, COLUMNS]
  var norms = array<f32, ROWS>();
  var query_rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    query_rows[r] = row_q(batch, first + min(down * ROWS + r, size - 1u), head);
  }
  // The state that enters the block, or the only one of the head.
  let state = select(problem, problem / params.blocks, TOTAL) * STATE_ROWS * STATE_COLUMNS;
  for (var c = 0u; c < HEAD_DIM4; c++) {
    var columns = array<vec4f, 4u * COLUMNS>(); // [4 channels, COLUMNS]
    for (var n = 0u; n < COLUMNS; n++) {
      let place = state + 4u * c * STATE_COLUMNS + min(first_column + n, VALUE_DIM4 - 1u);
      columns[n] = states[place];
      columns[COLUMNS + n] = states[place + STATE_COLUMNS];
      columns[2u * COLUMNS + n] = states[place + 2u * STATE_COLUMNS];
      columns[3u * COLUMNS + n] = states[place + 3u * STATE_COLUMNS];
    }
    var sums = vec4f();
    if (NORMALIZE) {
      let place = state + 4u * c * STATE_COLUMNS + VALUE_DIM4;
      sums = vec4f(
        states[place].x,
        states[place + STATE_COLUMNS].x,
        states[place + 2u * STATE_COLUMNS].x,
        states[place + 3u * STATE_COLUMNS].x,
      );
    }
    for (var r = 0u; r < ROWS; r++) {
      let query = load_q(query_rows[r], c);
      for (var n = 0u; n < COLUMNS; n++) {
        acc[r * COLUMNS + n] += query.x * columns[n];
        acc[r * COLUMNS + n] += query.y * columns[COLUMNS + n];
        acc[r * COLUMNS + n] += query.z * columns[2u * COLUMNS + n];
        acc[r * COLUMNS + n] += query.w * columns[3u * COLUMNS + n];
      }
      if (NORMALIZE) {
        norms[r] += dot(query, sums);
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    var factor = params.scale_read;
    if (!TOTAL) {
      factor *= power(head, down * ROWS + r);
    }
    norms[r] *= factor;
    for (var n = 0u; n < COLUMNS; n++) {
      acc[r * COLUMNS + n] *= factor;
    }
  }

  if (!TOTAL) {
    var value_row = row_v(batch, first, head);
    for (var key = 0u; key < min((down + 1u) * ROWS, size); key++) {
      var weights = array<vec4f, ROW_QUADS>();
      for (var four_rows = 0u; four_rows < ROW_QUADS; four_rows++) {
        weights[four_rows] = pairs[key * (BLOCK / 4u) + down * ROW_QUADS + four_rows];
      }
      for (var n = 0u; n < COLUMNS; n++) {
        let value = load_v(value_row, min(first_column + n, VALUE_DIM4 - 1u));
        for (var four_rows = 0u; four_rows < ROW_QUADS; four_rows++) {
          acc[4u * four_rows * COLUMNS + n] += weights[four_rows].x * value;
          acc[(4u * four_rows + 1u) * COLUMNS + n] += weights[four_rows].y * value;
          acc[(4u * four_rows + 2u) * COLUMNS + n] += weights[four_rows].z * value;
          acc[(4u * four_rows + 3u) * COLUMNS + n] += weights[four_rows].w * value;
        }
      }
      if (NORMALIZE) {
        for (var four_rows = 0u; four_rows < ROW_QUADS; four_rows++) {
          norms[4u * four_rows] += weights[four_rows].x;
          norms[4u * four_rows + 1u] += weights[four_rows].y;
          norms[4u * four_rows + 2u] += weights[four_rows].z;
          norms[4u * four_rows + 3u] += weights[four_rows].w;
        }
      }
      value_row += params.strides_v.y;
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    if (down * ROWS + r < size) {
      let token = first + down * ROWS + r;
      let out_row = row_out(batch, token, head);
      for (var n = 0u; n < COLUMNS; n++) {
        let column = first_column + n;
        if (column < VALUE_DIM4) {
          var channels = acc[r * COLUMNS + n];
          if (NORMALIZE) {
            channels /= norms[r] + params.epsilon;
          }
          store_out(out_row, column, through_map(channels, batch, token, head, column));
        }
      }
    }
  }
}

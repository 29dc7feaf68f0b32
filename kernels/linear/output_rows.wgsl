// The same outputs as `outputs.wgsl`, without workgroup memory or barriers: a thread owns ROWS rows and COLUMNS vec4 columns, and
// keeps the masked products in registers. For devices where register tiles beat shared tiles: drivers that run on a CPU. The
// products stand once for every COLUMNS columns.
//
// All threads of a workgroup read the same keys, values and states. With subgroups, the four threads of a quad read a quarter each
// and pass them round.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::params::{
  BLOCK, HEAD_DIM4, NORMALIZE, STATE_COLUMNS, STATE_ROWS, VALUE_DIM4, block_size, params, power,
};
import super::tensors::{ MAP_Q, load_k, load_q, load_v, row_k, row_out, row_q, row_v, store_out, through_map };

const THREADS: u32 = 4u;
/// Rows of a thread, and keys of a tile, a multiple of 4.
const ROWS: u32 = 8u;
const COLUMNS: u32 = 16u;
/// Not causal: a token reads the sum over all blocks and nothing else.
const TOTAL: bool = false;

const TILE = THREADS * ROWS;
const KEY_QUADS = ROWS / 4u;
/// Keys that a thread reads itself.
@if(subgroups) const OWN_KEYS = KEY_QUADS;
@if(!subgroups) const OWN_KEYS = ROWS;
/// Queries are worth keeping once a feature map has been applied to them; others are as near in their tensor.
const HELD_QUERIES = select(ROWS * HEAD_DIM4, 1u, MAP_Q == 0u);

/// [batch, head, block, STATE_ROWS, STATE_COLUMNS]; without the axis of blocks where a token reads the sum over all.
@group(0) @binding(7) var<storage, read> states: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) lane: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let tiles = ceil_div(BLOCK, TILE);
  let first_column = index % parts * COLUMNS;
  let first_row = index / parts % tiles * TILE;
  let problem = index / (parts * tiles); // (batch, head, block)
  let own_block = problem % params.blocks;
  let head = problem / params.blocks % params.heads;
  let batch = problem / (params.blocks * params.heads);
  let first = (params.first_block + own_block) * BLOCK;
  let size = block_size(params.first_block + own_block);
  if (first_row >= size) {
    return;
  }
  let own_row = first_row + thread * ROWS;

  var acc = array<vec4f, ROWS * COLUMNS>(); // [ROWS, COLUMNS]
  var norms = array<f32, ROWS>();
  var query_rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    query_rows[r] = row_q(batch, first + min(own_row + r, size - 1u), head);
  }

  var held_queries = array<vec4f, HELD_QUERIES>(); // [HEAD_DIM4, ROWS]
  // 1. what the entering state gives
  let state = select(problem, problem / params.blocks, TOTAL) * STATE_ROWS * STATE_COLUMNS;
  for (var c = 0u; c < HEAD_DIM4; c++) {
    var queries = array<vec4f, ROWS>();
    for (var r = 0u; r < ROWS; r++) {
      queries[r] = load_q(query_rows[r], c);
      if (MAP_Q != 0u) {
        held_queries[min(c * ROWS + r, HELD_QUERIES - 1u)] = queries[r];
      }
    }
    let place = state + 4u * c * STATE_COLUMNS;
    @if(subgroups) let own_place = place + lane % 4u * STATE_COLUMNS;
    for (var n = 0u; n < COLUMNS; n++) {
      let column = min(first_column + n, VALUE_DIM4 - 1u);
      @if(subgroups) let own = states[own_place + column];
      @if(subgroups) let s0 = quadBroadcast(own, 0u);
      @if(subgroups) let s1 = quadBroadcast(own, 1u);
      @if(subgroups) let s2 = quadBroadcast(own, 2u);
      @if(subgroups) let s3 = quadBroadcast(own, 3u);
      @if(!subgroups) let s0 = states[place + column];
      @if(!subgroups) let s1 = states[place + STATE_COLUMNS + column];
      @if(!subgroups) let s2 = states[place + 2u * STATE_COLUMNS + column];
      @if(!subgroups) let s3 = states[place + 3u * STATE_COLUMNS + column];
      for (var r = 0u; r < ROWS; r++) {
        var sum = acc[r * COLUMNS + n];
        sum += queries[r].x * s0;
        sum += queries[r].y * s1;
        sum += queries[r].z * s2;
        sum += queries[r].w * s3;
        acc[r * COLUMNS + n] = sum;
      }
    }
    if (NORMALIZE) {
      let sums = vec4f(
        states[place + VALUE_DIM4].x,
        states[place + STATE_COLUMNS + VALUE_DIM4].x,
        states[place + 2u * STATE_COLUMNS + VALUE_DIM4].x,
        states[place + 3u * STATE_COLUMNS + VALUE_DIM4].x,
      );
      for (var r = 0u; r < ROWS; r++) {
        norms[r] += dot(queries[r], sums);
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    var factor = params.scale_read;
    if (!TOTAL) {
      factor *= power(head, min(own_row + r, BLOCK));
    }
    norms[r] *= factor;
    for (var n = 0u; n < COLUMNS; n++) {
      acc[r * COLUMNS + n] *= factor;
    }
  }

  // 2. what the block's own keys give, a tile of ROWS at a time
  if (!TOTAL) {
    for (var first_key = 0u; first_key < min(first_row + TILE, size); first_key += ROWS) {
      var key_rows = array<u32, OWN_KEYS>();
      var value_rows = array<u32, OWN_KEYS>();
      for (var n = 0u; n < OWN_KEYS; n++) {
        @if(subgroups) let key = first + min(first_key + 4u * n + lane % 4u, size - 1u);
        @if(!subgroups) let key = first + min(first_key + n, size - 1u);
        key_rows[n] = row_k(batch, key, head);
        value_rows[n] = row_v(batch, key, head);
      }
      var pairs = array<f32, ROWS * ROWS>(); // [row, key]
      for (var c = 0u; c < HEAD_DIM4; c++) {
        var keys = array<vec4f, ROWS>();
        @if(subgroups) {
          for (var four_keys = 0u; four_keys < KEY_QUADS; four_keys++) {
            let own = load_k(key_rows[four_keys], c);
            keys[4u * four_keys] = quadBroadcast(own, 0u);
            keys[4u * four_keys + 1u] = quadBroadcast(own, 1u);
            keys[4u * four_keys + 2u] = quadBroadcast(own, 2u);
            keys[4u * four_keys + 3u] = quadBroadcast(own, 3u);
          }
        }
        @if(!subgroups) {
          for (var n = 0u; n < ROWS; n++) {
            keys[n] = load_k(key_rows[n], c);
          }
        }
        for (var r = 0u; r < ROWS; r++) {
          var query = vec4f();
          if (MAP_Q == 0u) {
            query = load_q(query_rows[r], c);
          } else {
            query = held_queries[min(c * ROWS + r, HELD_QUERIES - 1u)];
          }
          for (var n = 0u; n < ROWS; n++) {
            pairs[r * ROWS + n] += dot(query, keys[n]);
          }
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        for (var n = 0u; n < ROWS; n++) {
          let row = own_row + r;
          let key = first_key + n;
          // Keys past the end come after every row that is stored.
          let factor = params.scale_pairs * power(head, min(row - min(row, key), BLOCK));
          let pair = select(0.0, factor * pairs[r * ROWS + n], key <= row);
          pairs[r * ROWS + n] = pair;
          norms[r] += pair;
        }
      }
      for (var n = 0u; n < COLUMNS; n++) {
        let column = min(first_column + n, VALUE_DIM4 - 1u);
        var values = array<vec4f, ROWS>();
        @if(subgroups) {
          for (var four_keys = 0u; four_keys < KEY_QUADS; four_keys++) {
            let own = load_v(value_rows[four_keys], column);
            values[4u * four_keys] = quadBroadcast(own, 0u);
            values[4u * four_keys + 1u] = quadBroadcast(own, 1u);
            values[4u * four_keys + 2u] = quadBroadcast(own, 2u);
            values[4u * four_keys + 3u] = quadBroadcast(own, 3u);
          }
        }
        @if(!subgroups) {
          for (var key = 0u; key < ROWS; key++) {
            values[key] = load_v(value_rows[key], column);
          }
        }
        for (var r = 0u; r < ROWS; r++) {
          var sum = acc[r * COLUMNS + n];
          for (var key = 0u; key < ROWS; key++) {
            sum += pairs[r * ROWS + key] * values[key];
          }
          acc[r * COLUMNS + n] = sum;
        }
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    if (own_row + r < size) {
      let token = first + own_row + r;
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

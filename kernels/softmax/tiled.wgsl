// Flash attention over tiles (arXiv 2205.14135, algorithm 1; row sums kept per thread and joined at the end).
//
// A workgroup owns TILE_Q query rows of one head and walks over the keys in tiles of TILE_K. Its threads form GROUPS row
// groups of LANES threads: a group shares ROWS rows. In phase 1 a lane takes every LANES-th key, in phase 3 every
// LANES-th value column, and the weights change hands through workgroup memory. STAGED also reads each tile of keys, then of
// values, once for all groups into workgroup memory.
import package::_shared::online_softmax::{ NO_KEY, rescale, sink_state, softmax_weight };
import package::_shared::workgroup_index::workgroup_index;
import super::key_blocks::{ key_tile, key_tiles };
import super::logits::{ logit, open_logit, tile_open };
import super::lse::store_lse;
import super::params::{ VALUE_DIM4, HEAD_DIM4, params, sink_logit };
import super::query_rows::{ row_tile, row_token };
import super::rotary::{ ROTARY, key_channels, query_channels };
import super::tensors::{ load_q, load_v, row_k, row_out, row_q, row_v, store_out };
import super::visibility::{ key_kept, kept_value, query_position, tile_hidden, visible_range };

const STAGED: bool = false;
const HAS_SINK: bool = false;
const GROUPS: u32 = 8u;
const LANES: u32 = 8u;
/// Query rows of a thread.
const ROWS: u32 = 4u;
/// Keys of a thread in a tile.
const KEYS: u32 = 4u;

const THREADS = GROUPS * LANES;
const TILE_Q = GROUPS * ROWS;
const TILE_K = LANES * KEYS;
/// vec4 columns of the values that a thread accumulates.
const COLUMNS = (VALUE_DIM4 + LANES - 1u) / LANES;

/// Rows of staged keys are a vec4 apart, since neighbouring lanes read neighbouring rows and would otherwise meet in one bank.
const KEY_STRIDE = HEAD_DIM4 + 1u;
const STAGE = select(1u, TILE_K * max(KEY_STRIDE, VALUE_DIM4), STAGED);

@if(f16 && half_kv) alias Staged = vec4h;
@if(!(f16 && half_kv)) alias Staged = vec4f;

/// Rotated queries are kept: every lane would rotate them anew for every tile.
const HELD_QUERIES = select(1u, TILE_Q * HEAD_DIM4, ROTARY);

var<workgroup> queries: array<vec4f, HELD_QUERIES>; // [TILE_Q, HEAD_DIM4]
var<workgroup> stage: array<Staged, STAGE>; // [TILE_K, KEY_STRIDE] keys, then [TILE_K, VALUE_DIM4] values
var<workgroup> weights: array<f32, TILE_Q * TILE_K>;   // [TILE_Q, TILE_K]
var<workgroup> lane_value: array<f32, TILE_Q * LANES>; // [TILE_Q, LANES], maxima in the loop, sums after it

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let rows = row_tile(index, TILE_Q, 1u);
  if (i32(rows.first) > rows.last) {
    return;
  }
  let batch = rows.batch;
  let head = rows.head;
  let kv_head = head / params.heads_per_kv;

  let lane = thread % LANES;
  let group = thread / LANES;
  let own_row = group * ROWS;

  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  var acc = array<array<vec4f, COLUMNS>, ROWS>();
  var tokens = array<u32, ROWS>();
  var ranges = array<vec2u, ROWS>();
  var q_rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    row_max[r] = NO_KEY;
    if (HAS_SINK) {
      let state = sink_state(sink_logit(head));
      row_max[r] = state.x;
      row_sum[r] = select(0.0, state.y, lane == 0u);
    }
    tokens[r] = row_token(rows, rows.first + own_row + r);
    ranges[r] = visible_range(batch, tokens[r]);
    q_rows[r] = row_q(batch, tokens[r], head);
  }
  if (ROTARY) {
    for (var n = thread; n < TILE_Q * HEAD_DIM4; n += THREADS) {
      let token = row_token(rows, rows.first + n / HEAD_DIM4);
      queries[n] = query_channels(row_q(batch, token, head), n % HEAD_DIM4, query_position(batch, token));
    }
    workgroupBarrier();
  }

  let first_token = row_token(rows, rows.first);
  let first_range = visible_range(batch, first_token);
  let last_range = visible_range(batch, row_token(rows, rows.first + TILE_Q - 1u));
  let keys_end = last_range.y;
  let seen_range = vec2u(first_range.x, keys_end);
  let key_walk = key_tiles(batch, head, first_token, seen_range, TILE_K);
  for (var step = 0u; step < key_walk.count; step++) {
    let key_step = key_tile(key_walk, step, TILE_K);
    let tile = key_step.begin;
    if (tile_hidden(batch, tile, min(tile + TILE_K, keys_end))) {
      continue;
    }
    if (STAGED) {
      for (var n = thread; n < TILE_K * HEAD_DIM4; n += THREADS) {
        let key = min(tile + n / HEAD_DIM4, params.tokens_k - 1u);
        let c = n % HEAD_DIM4;
        stage[n / HEAD_DIM4 * KEY_STRIDE + c] = Staged(key_channels(row_k(batch, key, kv_head), c, i32(key)));
      }
      workgroupBarrier();
    }
    // 1. scores = q kᵀ of the lane's own keys, as logits
    var scores = array<array<f32, KEYS>, ROWS>();
    for (var c = 0u; c < HEAD_DIM4; c++) {
      var keys = array<vec4f, KEYS>();
      for (var n = 0u; n < KEYS; n++) {
        if (STAGED) {
          keys[n] = vec4f(stage[(n * LANES + lane) * KEY_STRIDE + c]);
        } else {
          let key = min(tile + n * LANES + lane, params.tokens_k - 1u);
          keys[n] = key_channels(row_k(batch, key, kv_head), c, i32(key));
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        var query = vec4f();
        if (ROTARY) {
          query = queries[min((own_row + r) * HEAD_DIM4 + c, HELD_QUERIES - 1u)];
        } else {
          query = load_q(q_rows[r], c);
        }
        for (var n = 0u; n < KEYS; n++) {
          scores[r][n] += dot(query, keys[n]);
        }
      }
    }
    let open = tile_open(tile, tile + TILE_K, first_range, last_range, key_step.masked);
    for (var r = 0u; r < ROWS; r++) {
      var highest = NO_KEY;
      for (var n = 0u; n < KEYS; n++) {
        let key = tile + n * LANES + lane;
        if (open) {
          scores[r][n] = open_logit(scores[r][n], batch, head, tokens[r], key);
        } else {
          scores[r][n] = logit(scores[r][n], batch, head, tokens[r], key, ranges[r]);
        }
        highest = max(highest, scores[r][n]);
      }
      lane_value[(own_row + r) * LANES + lane] = highest;
    }
    workgroupBarrier();

    // Keys of a block before the first that a row may see have no weight, but their memory may hold anything.
    let skipped = max(first_range.x, tile) - tile;
    let tile_keys = min(TILE_K, keys_end - tile);
    if (STAGED) {
      // All have read the keys by now.
      for (var n = thread; n < tile_keys * VALUE_DIM4; n += THREADS) {
        let key = tile + n / VALUE_DIM4;
        stage[n] = Staged(kept_value(load_v(row_v(batch, key, kv_head), n % VALUE_DIM4), key_kept(batch, key)));
      }
    }

    // 2. fold into the running (max, sum)
    for (var r = 0u; r < ROWS; r++) {
      var new_max = row_max[r];
      for (var other = 0u; other < LANES; other++) {
        new_max = max(new_max, lane_value[(own_row + r) * LANES + other]);
      }
      let factor = rescale(row_max[r], new_max);
      row_max[r] = new_max;
      row_sum[r] *= factor;
      for (var c = 0u; c < COLUMNS; c++) {
        acc[r][c] *= factor;
      }
      for (var n = 0u; n < KEYS; n++) {
        let weight = softmax_weight(scores[r][n], new_max);
        row_sum[r] += weight;
        weights[(own_row + r) * TILE_K + n * LANES + lane] = weight;
      }
    }
    workgroupBarrier();

    // 3. acc += weights v over the lane's own columns
    for (var n = skipped; n < tile_keys; n++) {
      let value_row = row_v(batch, tile + n, kv_head);
      for (var c = 0u; c < COLUMNS; c++) {
        let column = min(c * LANES + lane, VALUE_DIM4 - 1u);
        var value = vec4f();
        if (STAGED) {
          value = vec4f(stage[n * VALUE_DIM4 + column]);
        } else {
          value = kept_value(load_v(value_row, column), key_kept(batch, tile + n));
        }
        for (var r = 0u; r < ROWS; r++) {
          acc[r][c] += weights[(own_row + r) * TILE_K + n] * value;
        }
      }
    }
    workgroupBarrier();
  }

  for (var r = 0u; r < ROWS; r++) {
    lane_value[(own_row + r) * LANES + lane] = row_sum[r];
  }
  workgroupBarrier();
  for (var r = 0u; r < ROWS; r++) {
    if (i32(rows.first + own_row + r) <= rows.last) {
      let token = tokens[r];
      var sum = 0.0;
      for (var other = 0u; other < LANES; other++) {
        sum += lane_value[(own_row + r) * LANES + other];
      }
      let norm = select(1.0 / sum, 0.0, sum == 0.0);
      for (var c = 0u; c < COLUMNS; c++) {
        if (c * LANES + lane < VALUE_DIM4) {
          store_out(row_out(batch, token, head), c * LANES + lane, acc[r][c] * norm);
        }
      }
      if (lane == 0u) {
        store_lse(batch, token, head, row_max[r], sum);
      }
    }
  }
}

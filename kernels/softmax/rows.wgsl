// Flash attention without workgroup memory or barriers: a thread owns ROWS query rows and COLUMNS vec4 value columns, and keeps
// scores and sums in registers. For devices where register tiles beat shared tiles: drivers that run on a CPU.
//
// All threads read the same keys. With subgroups, the four threads of a quad read a quarter each and pass them round; a quad is
// four neighbours by subgroup_invocation_id, whatever the subgroup's size and whichever threads they are.
//
// Addresses are computed once a tile, outside the loops over channels: a compiler that does not move them there itself would
// spend more on them than on the products.
import package::_shared::online_softmax::{ NO_KEY, rescale, sink_state, softmax_weight };
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::key_blocks::{ key_tile, key_tiles };
import super::logits::{ mask_mod, open_logit, tile_open };
import super::lse::store_lse;
import super::params::{ VALUE_DIM4, HEAD_DIM4, params, sink_logit };
import super::query_rows::{ row_tile, row_tiles, row_token };
import super::rotary::{ ROTARY, key_channels, query_channels };
import super::tensors::{ load_q, load_v, row_k, row_out, row_q, row_v, store_out };
import super::visibility::{ HAS_KEY_MASK, kept_keys, kept_value, key_seen, query_position, tile_hidden, visible_range };

const THREADS: u32 = 16u;
/// Query rows of a thread.
const ROWS: u32 = 4u;
/// Keys of a tile, a multiple of 4.
const KEYS: u32 = 8u;
/// vec4 value columns of a thread; further columns go to further workgroups.
const COLUMNS: u32 = 16u;
const HAS_SINK: bool = false;

const TILE_Q = THREADS * ROWS;
const KEY_QUADS = KEYS / 4u;
/// Keys that a thread reads itself.
@if(subgroups) const OWN_KEYS = KEY_QUADS;
@if(!subgroups) const OWN_KEYS = KEYS;
/// Rotated queries are worth keeping; others are as near in their tensor.
const HELD_QUERIES = select(1u, ROWS * HEAD_DIM4, ROTARY);

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) lane: u32,
) {
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let rows = row_tile(index, TILE_Q, parts);
  if (i32(rows.first) > rows.last) {
    return;
  }
  let part = index / (row_tiles(TILE_Q) * params.heads) % parts;
  let batch = rows.batch;
  let head = rows.head;
  let kv_head = head / params.heads_per_kv;
  let own_row = rows.first + thread * ROWS;

  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  var factors = array<f32, ROWS>();
  var tokens = array<u32, ROWS>();
  var ranges = array<vec2u, ROWS>();
  var q_rows = array<u32, ROWS>();
  var acc = array<vec4f, ROWS * COLUMNS>(); // [ROWS, COLUMNS]
  for (var r = 0u; r < ROWS; r++) {
    tokens[r] = row_token(rows, own_row + r);
    row_max[r] = NO_KEY;
    if (HAS_SINK) {
      let state = sink_state(sink_logit(head));
      row_max[r] = state.x;
      row_sum[r] = state.y;
    }
    ranges[r] = visible_range(batch, tokens[r]);
    q_rows[r] = row_q(batch, tokens[r], head);
  }
  var held_queries = array<vec4f, HELD_QUERIES>(); // [HEAD_DIM4, ROWS]
  if (ROTARY) {
    for (var c = 0u; c < HEAD_DIM4; c++) {
      for (var r = 0u; r < ROWS; r++) {
        // Clamped for where the loop is unrolled and there are none: a constant index has to lie inside.
        held_queries[min(c * ROWS + r, HELD_QUERIES - 1u)] =
          query_channels(q_rows[r], c, query_position(batch, tokens[r]));
      }
    }
  }

  let first_token = row_token(rows, rows.first);
  let first_range = visible_range(batch, first_token);
  let last_range = visible_range(batch, row_token(rows, rows.first + TILE_Q - 1u));
  let seen_range = vec2u(first_range.x, last_range.y);
  let key_walk = key_tiles(batch, head, first_token, seen_range, KEYS);
  for (var step = 0u; step < key_walk.count; step++) {
    let key_step = key_tile(key_walk, step, KEYS);
    let tile = key_step.begin;
    if (tile_hidden(batch, tile, min(tile + KEYS, last_range.y))) {
      continue;
    }
    // 1. scores = q kᵀ, as logits
    var own_keys = array<u32, OWN_KEYS>();
    var key_rows = array<u32, OWN_KEYS>();
    var value_rows = array<u32, OWN_KEYS>();
    for (var n = 0u; n < OWN_KEYS; n++) {
      // Never outside of what the rows may see: the memory there may hold anything, and zero times NaN is NaN.
      @if(subgroups) let key = clamp(tile + 4u * n + lane % 4u, first_range.x, last_range.y - 1u);
      @if(!subgroups) let key = clamp(tile + n, first_range.x, last_range.y - 1u);
      own_keys[n] = key;
      key_rows[n] = row_k(batch, key, kv_head);
      value_rows[n] = row_v(batch, key, kv_head);
    }
    var scores = array<f32, ROWS * KEYS>(); // [ROWS, KEYS]
    for (var c = 0u; c < HEAD_DIM4; c++) {
      var keys = array<vec4f, KEYS>();
      @if(subgroups) {
        for (var quad = 0u; quad < KEY_QUADS; quad++) {
          let own = key_channels(key_rows[quad], c, i32(own_keys[quad]));
          keys[4u * quad] = quadBroadcast(own, 0u);
          keys[4u * quad + 1u] = quadBroadcast(own, 1u);
          keys[4u * quad + 2u] = quadBroadcast(own, 2u);
          keys[4u * quad + 3u] = quadBroadcast(own, 3u);
        }
      }
      @if(!subgroups) {
        for (var n = 0u; n < KEYS; n++) {
          keys[n] = key_channels(key_rows[n], c, i32(own_keys[n]));
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        var query = vec4f();
        if (ROTARY) {
          query = held_queries[min(c * ROWS + r, HELD_QUERIES - 1u)];
        } else {
          query = load_q(q_rows[r], c);
        }
        for (var n = 0u; n < KEYS; n++) {
          scores[r * KEYS + n] += dot(query, keys[n]);
        }
      }
    }
    // Masks come after the logits and are one bit a key, so that user and bias code stands here once for each score.
    let open = tile_open(tile, tile + KEYS, first_range, last_range, key_step.masked);
    let kept = kept_keys(batch, tile, KEYS);
    for (var r = 0u; r < ROWS; r++) {
      for (var n = 0u; n < KEYS; n++) {
        var score = open_logit(scores[r * KEYS + n], batch, head, tokens[r], tile + n);
        if (!open) {
          let key = tile + n;
          let seen = key_seen(key, ranges[r], kept, n) & mask_mod(batch, head, tokens[r], key);
          score = select(NO_KEY, score, seen);
        }
        scores[r * KEYS + n] = score;
      }
    }

    // 2. fold into the running (max, sum); scores become weights
    for (var r = 0u; r < ROWS; r++) {
      var new_max = row_max[r];
      for (var n = 0u; n < KEYS; n++) {
        new_max = max(new_max, scores[r * KEYS + n]);
      }
      factors[r] = rescale(row_max[r], new_max);
      row_max[r] = new_max;
      row_sum[r] *= factors[r];
      for (var n = 0u; n < KEYS; n++) {
        let weight = softmax_weight(scores[r * KEYS + n], new_max);
        scores[r * KEYS + n] = weight;
        row_sum[r] += weight;
      }
    }

    // 3. acc = acc · factor + weights v
    for (var c = 0u; c < COLUMNS; c++) {
      let column = min(part * COLUMNS + c, VALUE_DIM4 - 1u);
      var values = array<vec4f, KEYS>();
      @if(subgroups) {
        for (var quad = 0u; quad < KEY_QUADS; quad++) {
          let own = load_v(value_rows[quad], column);
          values[4u * quad] = quadBroadcast(own, 0u);
          values[4u * quad + 1u] = quadBroadcast(own, 1u);
          values[4u * quad + 2u] = quadBroadcast(own, 2u);
          values[4u * quad + 3u] = quadBroadcast(own, 3u);
        }
      }
      @if(!subgroups) {
        for (var n = 0u; n < KEYS; n++) {
          values[n] = load_v(value_rows[n], column);
        }
      }
      if (HAS_KEY_MASK) {
        for (var n = 0u; n < KEYS; n++) {
          // Outside of the range stands its first or last key again, hidden or not.
          let inside = (tile + n >= first_range.x) & (tile + n < last_range.y);
          values[n] = kept_value(values[n], (((kept >> n) & 1u) == 1u) & inside);
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        var sum = acc[r * COLUMNS + c] * factors[r];
        for (var n = 0u; n < KEYS; n++) {
          sum += scores[r * KEYS + n] * values[n];
        }
        acc[r * COLUMNS + c] = sum;
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    if (i32(own_row + r) <= rows.last) {
      let token = tokens[r];
      let norm = select(1.0 / row_sum[r], 0.0, row_sum[r] == 0.0);
      let out_row = row_out(batch, token, head);
      for (var c = 0u; c < COLUMNS; c++) {
        if (part * COLUMNS + c < VALUE_DIM4) {
          store_out(out_row, part * COLUMNS + c, acc[r * COLUMNS + c] * norm);
        }
      }
      if (part == 0u) {
        store_lse(batch, token, head, row_max[r], row_sum[r]);
      }
    }
  }
}

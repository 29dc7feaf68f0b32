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
import super::logits::{ mask_mod, open_logit, tile_open };
import super::lse::store_lse;
import super::params::{ VALUE_DIM4, HEAD_DIM4, params, sink_logit };
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
  let tiles = ceil_div(params.tokens_q, TILE_Q);
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  // The last tile of a causal problem has the most keys: start it first.
  let first_row = (tiles - 1u - index % tiles) * TILE_Q;
  let head = index / tiles % params.heads;
  let part = index / (tiles * params.heads) % parts;
  let batch = index / (tiles * params.heads * parts);
  let kv_head = head / params.heads_per_kv;
  let last_token = params.tokens_q - 1u;
  let own_row = first_row + thread * ROWS;

  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  var factors = array<f32, ROWS>();
  var ranges = array<vec2u, ROWS>();
  var query_rows = array<u32, ROWS>();
  var acc = array<vec4f, ROWS * COLUMNS>(); // [ROWS, COLUMNS]
  for (var r = 0u; r < ROWS; r++) {
    let token = min(own_row + r, last_token);
    row_max[r] = NO_KEY;
    if (HAS_SINK) {
      let state = sink_state(sink_logit(head));
      row_max[r] = state.x;
      row_sum[r] = state.y;
    }
    ranges[r] = visible_range(batch, token);
    query_rows[r] = row_q(batch, token, head);
  }
  var held_queries = array<vec4f, HELD_QUERIES>(); // [HEAD_DIM4, ROWS]
  if (ROTARY) {
    for (var c = 0u; c < HEAD_DIM4; c++) {
      for (var r = 0u; r < ROWS; r++) {
        let token = min(own_row + r, last_token);
        held_queries[c * ROWS + r] = query_channels(query_rows[r], c, query_position(batch, token));
      }
    }
  }

  let first_range = visible_range(batch, min(first_row, last_token));
  let last_range = visible_range(batch, min(first_row + TILE_Q - 1u, last_token));
  for (var tile = first_range.x; tile < last_range.y; tile += KEYS) {
    if (tile_hidden(batch, tile, min(tile + KEYS, last_range.y))) {
      continue;
    }
    // 1. scores = q kᵀ, as logits
    var own_keys = array<u32, OWN_KEYS>();
    var key_rows = array<u32, OWN_KEYS>();
    var value_rows = array<u32, OWN_KEYS>();
    for (var n = 0u; n < OWN_KEYS; n++) {
      // Never past what a row may see: the memory there may hold anything, and zero times NaN is NaN.
      @if(subgroups) let key = min(tile + 4u * n + lane % 4u, last_range.y - 1u);
      @if(!subgroups) let key = min(tile + n, last_range.y - 1u);
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
          query = load_q(query_rows[r], c);
        }
        for (var n = 0u; n < KEYS; n++) {
          scores[r * KEYS + n] += dot(query, keys[n]);
        }
      }
    }
    // Masks come after the logits and are one bit a key, so that user and bias code stands here once for each score.
    let open = tile_open(tile, tile + KEYS, first_range, last_range);
    let kept = kept_keys(batch, tile, KEYS);
    for (var r = 0u; r < ROWS; r++) {
      let token = min(own_row + r, last_token);
      for (var n = 0u; n < KEYS; n++) {
        var score = open_logit(scores[r * KEYS + n], batch, head, token, tile + n);
        if (!open) {
          let key = tile + n;
          let seen = key_seen(key, ranges[r], kept, n) & mask_mod(batch, head, token, key);
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
          // Past the end stands the last key again, hidden or not.
          values[n] = kept_value(values[n], (((kept >> n) & 1u) == 1u) & (tile + n < last_range.y));
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
    let token = own_row + r;
    if (token <= last_token) {
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

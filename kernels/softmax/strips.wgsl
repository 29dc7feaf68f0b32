// Split decode without workgroup memory or barriers: a thread takes a strip of keys by itself, for up to ROWS query rows that
// share a key head, and merge.wgsl joins the strips by log-sum-exp. For drivers that run on a CPU, where split.wgsl's barriers
// cost more than its shared loads save: here every key and value is read once, by the one thread that needs it.
import package::_shared::online_softmax::{ NO_KEY, rescale, sink_state, softmax_weight };
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::logits::{ mask_mod, open_logit };
import super::params::{ HEAD_DIM4, VALUE_DIM4, params, sink_logit };
import super::partials::{ block_range, partial_place, partial_out, partial_state };
import super::rotary::{ ROTARY, key_channels, query_channels };
import super::tensors::{ load_q, load_v, row_k, row_q, row_v };
import super::visibility::{ kept_keys, kept_value, key_seen, query_position, tile_hidden, visible_range };

const HAS_SINK: bool = false;
const THREADS: u32 = 4u;
/// Query rows of a thread: tokens of the query heads that share one key head.
const ROWS: u32 = 1u;
/// Keys of a tile, at most 32.
const KEYS: u32 = 8u;
/// vec4 value columns of a thread; further columns go to further workgroups.
const COLUMNS: u32 = 16u;
/// Strips of keys, a multiple of THREADS.
const SPLITS: u32 = 4u;

/// Rotated queries are worth keeping; others are as near in their tensor.
const HELD_QUERIES = select(1u, ROWS * HEAD_DIM4, ROTARY);

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let rows = params.heads_per_kv * params.tokens_q;
  let blocks = ceil_div(rows, ROWS);
  let kv_heads = params.heads / params.heads_per_kv;
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let strip_groups = SPLITS / THREADS;
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let split = index % strip_groups * THREADS + thread;
  let first_row = index / strip_groups % blocks * ROWS;
  let kv_head = index / (strip_groups * blocks) % kv_heads;
  let part = index / (strip_groups * blocks * kv_heads) % parts;
  let batch = index / (strip_groups * blocks * kv_heads * parts);

  // Equal strips of whole tiles over what the rows may see between them.
  let visible = block_range(batch, first_row, ROWS);
  let visible_begin = visible.x;
  let visible_end = visible.y;
  let length = ceil_div(ceil_div(visible_end - visible_begin, SPLITS), KEYS) * KEYS;
  let begin = min(visible_begin + split * length, visible_end);
  let end = min(begin + length, visible_end);

  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  var factors = array<f32, ROWS>();
  var ranges = array<vec2u, ROWS>();
  var tokens = array<u32, ROWS>();
  var heads = array<u32, ROWS>();
  var query_rows = array<u32, ROWS>();
  var acc = array<vec4f, ROWS * COLUMNS>(); // [ROWS, COLUMNS]
  for (var r = 0u; r < ROWS; r++) {
    let row = min(first_row + r, rows - 1u);
    tokens[r] = row % params.tokens_q;
    heads[r] = kv_head * params.heads_per_kv + row / params.tokens_q;
    row_max[r] = NO_KEY;
    if (HAS_SINK) {
      // The first strip has the sink.
      let state = sink_state(sink_logit(heads[r]));
      row_max[r] = select(NO_KEY, state.x, split == 0u);
      row_sum[r] = select(0.0, state.y, split == 0u);
    }
    ranges[r] = visible_range(batch, tokens[r]);
    query_rows[r] = row_q(batch, tokens[r], heads[r]);
  }
  var held_queries = array<vec4f, HELD_QUERIES>(); // [HEAD_DIM4, ROWS]
  if (ROTARY) {
    for (var c = 0u; c < HEAD_DIM4; c++) {
      for (var r = 0u; r < ROWS; r++) {
        held_queries[c * ROWS + r] = query_channels(query_rows[r], c, query_position(batch, tokens[r]));
      }
    }
  }

  for (var tile = begin; tile < end; tile += KEYS) {
    if (tile_hidden(batch, tile, min(tile + KEYS, end))) {
      continue;
    }
    // 1. scores = q kᵀ, as logits
    var key_rows = array<u32, KEYS>();
    var value_rows = array<u32, KEYS>();
    for (var n = 0u; n < KEYS; n++) {
      // Never past what a row may see: the memory there may hold anything, and zero times NaN is NaN.
      let key = min(tile + n, end - 1u);
      key_rows[n] = row_k(batch, key, kv_head);
      value_rows[n] = row_v(batch, key, kv_head);
    }
    var scores = array<f32, ROWS * KEYS>(); // [ROWS, KEYS]
    for (var c = 0u; c < HEAD_DIM4; c++) {
      var keys = array<vec4f, KEYS>();
      for (var n = 0u; n < KEYS; n++) {
        keys[n] = key_channels(key_rows[n], c, i32(min(tile + n, end - 1u)));
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
    let kept = kept_keys(batch, tile, KEYS);
    for (var r = 0u; r < ROWS; r++) {
      for (var n = 0u; n < KEYS; n++) {
        let key = tile + n;
        let seen = key_seen(key, ranges[r], kept, n) & mask_mod(batch, heads[r], tokens[r], key);
        let score = open_logit(scores[r * KEYS + n], batch, heads[r], tokens[r], key);
        scores[r * KEYS + n] = select(NO_KEY, score, seen);
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
      for (var n = 0u; n < KEYS; n++) {
        // Past the end stands the last key again, hidden or not.
        let own = (((kept >> n) & 1u) == 1u) & (tile + n < end);
        values[n] = kept_value(load_v(value_rows[n], column), own);
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
    if (first_row + r < rows) {
      let place = partial_place(batch, tokens[r], heads[r]) * SPLITS + split;
      for (var c = 0u; c < COLUMNS; c++) {
        if (part * COLUMNS + c < VALUE_DIM4) {
          partial_out[place * VALUE_DIM4 + part * COLUMNS + c] = acc[r * COLUMNS + c];
        }
      }
      if (part == 0u) {
        partial_state[place] = vec2f(row_max[r], row_sum[r]);
      }
    }
  }
}

// What every query row is held against: maximum and sum of its exact scores with centred keys over block 0 and the local
// blocks, causal, and the threshold that these give. A workgroup takes a query block, a thread ROWS neighbouring rows; all
// read the same keys.
import package::_shared::online_softmax::{ NO_KEY, rescale, softmax_weight };
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::workgroup_index;
import super::blocks::{ candidate_blocks, causal_blocks };
import super::params::{
  BLOCK_K, BLOCK_Q, HEAD_DIM, HEAD_DIM4, NEVER, is_dense, key_head, key_row, mean_of_key, params, query_blocks, query_row
};

/// Query rows of a thread; it divides BLOCK_Q.
const ROWS: u32 = 8u;
/// Keys of a tile; it divides 16.
const KEYS: u32 = 8u;

const ROW_THREADS = BLOCK_Q / ROWS;

@group(0) @binding(1) var<storage, read> thresholds: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<Word>;
@group(0) @binding(3) var<storage, read> k: array<Word>;
/// [query heads, then key heads, HEAD_DIM4]
@group(0) @binding(4) var<storage, read> means: array<vec4f>;
/// [query heads, rows / 2]
@group(0) @binding(5) var<storage, read> q_scales: array<f32>;
/// [query heads, rows] of (max, sum, threshold, 1 / scale of the quantised row)
@group(0) @binding(6) var<storage, read_write> states: array<vec4f>;

@if(vec4) fn query_channels(row: u32, c: u32) -> vec4f {
  return four(q[word_of(row + 4u * c)]);
}

@if(vec4) fn key_channels(row: u32, c: u32) -> vec4f {
  return four(k[word_of(row + 4u * c)]);
}

@if(!vec4) fn query_channels(row: u32, c: u32) -> vec4f {
  var result = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_q.w;
    result[i] = one(q[word_of(place)], place);
  }
  return result;
}

@if(!vec4) fn key_channels(row: u32, c: u32) -> vec4f {
  var result = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_k.w;
    result[i] = one(k[word_of(place)], place);
  }
  return result;
}

/// 1 / scale, for rows of no size a number so large that their scores are the correction's alone.
fn inverse_scale(scale: f32) -> f32 {
  return select(min(1.0 / select(scale, 1.0, scale == 0.0), 1e30), 1e20, scale == 0.0);
}

@compute @workgroup_size(ROW_THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let query_block = index % query_blocks();
  let head = index / query_blocks();
  let limit = thresholds[head % params.heads];
  // A dense head takes every block.
  if (is_dense(limit)) {
    return;
  }
  let kv_head = key_head(head);
  let mean = mean_of_key(kv_head);
  let last_token = params.tokens - 1u;
  let own_row = query_block * BLOCK_Q + thread * ROWS;

  var query_rows = array<u32, ROWS>();
  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    query_rows[r] = query_row(head, min(own_row + r, last_token));
    row_max[r] = NO_KEY;
  }

  let candidates = candidate_blocks(query_block);
  let end = min(causal_blocks(query_block) * BLOCK_K, params.tokens);
  var tile = 0u;
  while (tile < end) {
    // 1. scores = scale q (k - mean)ᵀ, causal
    var key_rows = array<u32, KEYS>();
    for (var n = 0u; n < KEYS; n++) {
      key_rows[n] = key_row(kv_head, min(tile + n, last_token));
    }
    var scores = array<f32, ROWS * KEYS>(); // [ROWS, KEYS]
    for (var c = 0u; c < HEAD_DIM4; c++) {
      let centre = means[mean + c];
      var keys = array<vec4f, KEYS>();
      for (var n = 0u; n < KEYS; n++) {
        keys[n] = key_channels(key_rows[n], c) - centre;
      }
      for (var r = 0u; r < ROWS; r++) {
        let query = query_channels(query_rows[r], c);
        for (var n = 0u; n < KEYS; n++) {
          scores[r * KEYS + n] += dot(query, keys[n]);
        }
      }
    }

    // 2. fold into the running (max, sum)
    for (var r = 0u; r < ROWS; r++) {
      var new_max = row_max[r];
      for (var n = 0u; n < KEYS; n++) {
        let score = select(NO_KEY, params.scale * scores[r * KEYS + n], tile + n <= own_row + r);
        scores[r * KEYS + n] = score;
        new_max = max(new_max, score);
      }
      row_sum[r] *= rescale(row_max[r], new_max);
      row_max[r] = new_max;
      for (var n = 0u; n < KEYS; n++) {
        row_sum[r] += softmax_weight(scores[r * KEYS + n], new_max);
      }
    }

    tile += KEYS;
    // After block 0 come the local blocks.
    if (tile == BLOCK_K) {
      tile = (candidates + 1u) * BLOCK_K;
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    let row = own_row + r;
    let raw_max = row_max[r] / params.scale;
    let threshold = raw_max + log(row_sum[r] * limit) / params.scale;
    let inverse = inverse_scale(q_scales[head * (params.rows / 2u) + row / 16u * 8u + row % 8u]);
    states[head * params.rows + row] =
      vec4f(raw_max, row_sum[r], select(threshold, NEVER, row > last_token), inverse);
  }
}

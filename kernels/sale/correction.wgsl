// The score of the mean query and each centred key, in units of the key's scale: what centring took from the queries and the
// estimate has to put back. A thread takes a key of a query head.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::workgroup_index;
import super::params::{
  BLOCK_K, HEAD_DIM, HEAD_DIM4, THREADS, key_head, key_row, mean_of_key, mean_of_query, params
};

@group(0) @binding(1) var<storage, read> x: array<Word>;
/// [query heads, then key heads, HEAD_DIM4]
@group(0) @binding(2) var<storage, read> means: array<vec4f>;
/// [key heads, rows / BLOCK_K, 4]
@group(0) @binding(3) var<storage, read> k_scales: array<f32>;
/// [query heads, rows]
@group(0) @binding(4) var<storage, read_write> corrections: array<f32>;

@if(vec4) fn channels(row: u32, c: u32) -> vec4f {
  return four(x[word_of(row + 4u * c)]);
}

@if(!vec4) fn channels(row: u32, c: u32) -> vec4f {
  var result = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_k.w;
    result[i] = one(x[word_of(place)], place);
  }
  return result;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (params.first_group + workgroup_index(group_id, group_counts)) * THREADS + thread;
  if (index >= min((params.first_group + params.groups) * THREADS, params.batches * params.heads * params.rows)) {
    return;
  }
  let head = index / params.rows;
  let token = index % params.rows;
  let kv_head = key_head(head);
  var score = 0.0;
  if (token < params.tokens) {
    let row = key_row(kv_head, token);
    for (var c = 0u; c < HEAD_DIM4; c++) {
      score += dot(means[mean_of_query(head) + c], channels(row, c) - means[mean_of_key(kv_head) + c]);
    }
  }
  let scale = k_scales[(kv_head * (params.rows / BLOCK_K) + token / BLOCK_K) * 4u + token % 8u / 2u];
  // Keys of no size score nothing.
  corrections[index] = select(score / select(scale, 1.0, scale == 0.0), 0.0, scale == 0.0);
}

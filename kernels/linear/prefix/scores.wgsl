// The score of each key, s_j = scale phi(q_j) · k_j: of its own token's query, so that it is the same to all that see it.
// A thread has a token.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::linear::feature_map::feature_map;
import super::params::{ HEAD_DIM, HEAD_DIM4, THREADS, key_length, params, shared_head };

/// phi, by its number in `feature_map.wgsl`.
const ACTIVATION: u32 = 1u;

@group(0) @binding(2) var<storage, read> q: array<Word>;
@group(0) @binding(3) var<storage, read> k: array<Word>;
/// [heads of the scratch, tokens]
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;

/// Channels 4c to 4c + 3 of the row that starts at element `row`, zero past its end.
@if(vec4) fn load_q(row: u32, c: u32) -> vec4f { return four(q[word_of(row + 4u * c)]); }
@if(vec4) fn load_k(row: u32, c: u32) -> vec4f { return four(k[word_of(row + 4u * c)]); }
@if(!vec4) fn load_q(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_q.w;
    channels[i] = one(q[word_of(place)], place);
  }
  return channels;
}
@if(!vec4) fn load_k(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_k.w;
    channels[i] = one(k[word_of(place)], place);
  }
  return channels;
}

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
  let parts = ceil_div(params.tokens, THREADS);
  let own = index / parts;
  let head = params.first_head + own;
  let token = index % parts * THREADS + thread;
  if (token >= key_length(head)) {
    return;
  }
  let source = shared_head(head);
  let row_q = params.base_q + dot(vec3u(source.x, token, head % params.heads), params.strides_q.xyz);
  let row_k = params.base_k + dot(vec3u(source.x, token, source.y), params.strides_k.xyz);
  var products = vec4f();
  for (var c = 0u; c < HEAD_DIM4; c++) {
    products += feature_map(load_q(row_q, c), ACTIVATION) * load_k(row_k, c);
  }
  scores[own * params.tokens + token] = params.scale * dot(products, vec4f(1.0));
}

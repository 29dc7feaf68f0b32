// Scores of the router without parameters: squared norms of the routed heads' queries, whose order is that of the norms. A thread
// has a token and a head.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::router_params::{ params, routed_heads, row_scores };

const THREADS: u32 = 64u;

@group(0) @binding(1) var<storage, read> q: array<Word>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;

@if(vec4) fn squared_norm(row: u32) -> f32 {
  var sum = 0.0;
  for (var c = 0u; c < params.inner / 4u; c++) {
    let channels = four(q[word_of(row + 4u * c)]);
    sum += dot(channels, channels);
  }
  return sum;
}

@if(!vec4) fn squared_norm(row: u32) -> f32 {
  var sum = 0.0;
  for (var c = 0u; c < params.inner; c++) {
    let place = row + c * params.strides_input.w;
    let channel = one(q[word_of(place)], place);
    sum += channel * channel;
  }
  return sum;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  let routed = routed_heads();
  if (group >= params.first_group + params.groups || index >= params.batches * params.tokens * routed) {
    return;
  }
  let row = index / routed;
  let head = index % routed;
  let place = vec3u(row / params.tokens, row % params.tokens, params.shared_heads + head);
  scores[row_scores(row) + head] = squared_norm(params.base_input + dot(place, params.strides_input.xyz));
}

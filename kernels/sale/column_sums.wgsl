// Sums of the columns of q or k over runs of CHUNK tokens, one after another. A thread takes four columns of a run.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::workgroup_index;
import super::params::{ HEAD_DIM, HEAD_DIM4, THREADS, params, side_heads, side_row, side_stride };

const CHUNK = 256u;

@group(0) @binding(1) var<storage, read> x: array<Word>;
/// [heads of this side, chunks, HEAD_DIM4]
@group(0) @binding(2) var<storage, read_write> sums: array<vec4f>;

@if(vec4) fn channels(row: u32, c: u32) -> vec4f {
  return four(x[word_of(row + 4u * c)]);
}

@if(!vec4) fn channels(row: u32, c: u32) -> vec4f {
  var result = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * side_stride();
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
  let end = min((params.first_group + params.groups) * THREADS, side_heads() * params.chunks * HEAD_DIM4);
  if (index >= end) {
    return;
  }
  let column = index % HEAD_DIM4;
  let chunk = index / HEAD_DIM4 % params.chunks;
  let head = index / (HEAD_DIM4 * params.chunks);
  var sum = vec4f();
  for (var token = chunk * CHUNK; token < min((chunk + 1u) * CHUNK, params.tokens); token++) {
    sum += channels(side_row(head, token), column);
  }
  sums[index] = sum;
}

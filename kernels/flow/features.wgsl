// logistic(x) of queries or keys, as dense rows of f32 that all further passes read, and its sums over chunks of tokens.
// A workgroup takes a chunk of one head, a thread one column of every GROUPS-th token.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::workgroup_index;
import super::flow::logistic4;
import super::params::{ HEAD_DIM, HEAD_DIM4, TILE, params, side_length, side_rows };
import super::vectors::{ COLUMN_THREADS, GROUPS, vectors, vector_place };

@group(0) @binding(3) var<storage, read> x: array<Word>;
/// [heads of the scratch, rows, HEAD_DIM4]
@group(0) @binding(4) var<storage, read_write> features: array<vec4f>;

/// Features of channels 4c to 4c + 3 of the row that starts at element `row`, zero past its end.
@if(vec4) fn feature(row: u32, stride: u32, c: u32) -> vec4f {
  return logistic4(four(x[word_of(row + 4u * c)]));
}

@if(!vec4) fn feature(row: u32, stride: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * stride;
    channels[i] = one(x[word_of(place)], place);
  }
  return select(vec4f(), logistic4(channels), 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(HEAD_DIM));
}

@compute @workgroup_size(TILE)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let chunk = index % params.chunks;
  let head = index / params.chunks;
  let batch = (params.first_head + head) / params.heads;
  let is_query = params.side == 0u;
  let strides = select(params.strides_k, params.strides_q, is_query);
  let base = select(params.base_k, params.base_q, is_query);
  let first = base + batch * strides.x + (params.first_head + head) % params.heads * strides.z;
  let length = side_length(batch);
  let begin = chunk * params.chunk_tokens;

  let column = thread % COLUMN_THREADS;
  if (column >= HEAD_DIM4) {
    return;
  }
  var sum = vec4f();
  for (var token = begin + thread / COLUMN_THREADS; token < begin + params.chunk_tokens; token += GROUPS) {
    var channels = vec4f();
    // Padding may hold anything, so it is not even read.
    if (token < length) {
      channels = feature(first + token * strides.y, strides.w, column);
    }
    features[(head * side_rows() + token) * HEAD_DIM4 + column] = channels;
    sum += channels;
  }
  vectors[vector_place(params.side, head, chunk) + thread / COLUMN_THREADS * HEAD_DIM4 + column] = sum;
}

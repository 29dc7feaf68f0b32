// Flows of the tokens of one side, I_i = <Q_i, sum K> or O_j = <K_j, sum Q>, and the sums of their rows over them, sum Q / I or
// sum K / O, for chunks of tokens. A workgroup takes a chunk of one head; a thread has a token first, then a column.
import package::_shared::workgroup_index::workgroup_index;
import super::flow::flow;
import super::params::{ HEAD_DIM4, TILE, params, side_length, side_rows };
import super::vectors::{ COLUMN_THREADS, CONSERVED, GROUPS, vectors, vector_place };

/// [heads of the scratch, rows, HEAD_DIM4]
@group(0) @binding(3) var<storage, read> features: array<vec4f>;
/// [4, heads of the scratch, HEAD_DIM4]
@group(0) @binding(4) var<storage, read> totals: array<vec4f>;

var<workgroup> inverses: array<f32, TILE>;

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
  let length = side_length((params.first_head + head) / params.heads);
  let begin = chunk * params.chunk_tokens;
  let first = head * side_rows() + begin;

  let other = ((1u - params.side) * params.head_count + head) * HEAD_DIM4;
  let column = thread % COLUMN_THREADS;
  var sum = vec4f();
  for (var tile = 0u; tile < params.chunk_tokens && begin + tile < length; tile += TILE) {
    var own_flow = params.flow_epsilon;
    let own = (first + tile + thread) * HEAD_DIM4;
    for (var c = 0u; c < HEAD_DIM4; c++) {
      own_flow += flow(features[own + c], totals[other + c], c);
    }
    // Rows of padding are zero.
    inverses[thread] = 1.0 / own_flow;
    workgroupBarrier();
    if (column < HEAD_DIM4) {
      for (var t = thread / COLUMN_THREADS; t < TILE; t += GROUPS) {
        sum += features[(first + tile + t) * HEAD_DIM4 + column] * inverses[t];
      }
    }
    workgroupBarrier();
  }
  if (column < HEAD_DIM4) {
    vectors[vector_place(CONSERVED + params.side, head, chunk) + thread / COLUMN_THREADS * HEAD_DIM4 + column] = sum;
  }
}

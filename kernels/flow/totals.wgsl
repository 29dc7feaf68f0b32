// Sums of rows over all tokens, from those that features.wgsl (side 0) or flows.wgsl (side 1) leave for chunks of tokens.
// A workgroup takes one of the two sums of a head.
import package::_shared::workgroup_index::workgroup_index;
import super::params::{ HEAD_DIM4, TILE, params };
import super::vectors::{ COLUMN_THREADS, GROUPS, vectors, vector_place };

/// [4, heads of the scratch, HEAD_DIM4]
@group(0) @binding(3) var<storage, read_write> totals: array<vec4f>;

var<workgroup> group_sums: array<vec4f, TILE>;

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
  let kind = index % 2u;
  let head = index / 2u;
  let chunks = select(params.other_chunks, params.chunks, kind == params.side);
  let first = vector_place(2u * params.side + kind, head, 0u);
  let column = thread % COLUMN_THREADS;
  var sum = vec4f();
  if (column < HEAD_DIM4) {
    for (var row = thread / COLUMN_THREADS; row < chunks * GROUPS; row += GROUPS) {
      sum += vectors[first + row * HEAD_DIM4 + column];
    }
  }
  group_sums[thread] = sum;
  workgroupBarrier();
  if (thread < HEAD_DIM4) {
    var total = vec4f();
    for (var group = 0u; group < GROUPS; group++) {
      total += group_sums[group * COLUMN_THREADS + thread];
    }
    totals[((2u * params.side + kind) * params.head_count + head) * HEAD_DIM4 + thread] = total;
  }
}

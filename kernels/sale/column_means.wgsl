// Means over tokens from the sums that column_sums.wgsl leaves. A thread takes four columns of a head of this side.
import package::_shared::workgroup_index::workgroup_index;
import super::params::{ HEAD_DIM4, THREADS, mean_of_key, mean_of_query, params, side_heads };

/// [heads of this side, chunks, HEAD_DIM4]
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
/// [query heads, then key heads, HEAD_DIM4]
@group(0) @binding(2) var<storage, read_write> means: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (params.first_group + workgroup_index(group_id, group_counts)) * THREADS + thread;
  if (index >= min((params.first_group + params.groups) * THREADS, side_heads() * HEAD_DIM4)) {
    return;
  }
  let head = index / HEAD_DIM4;
  let column = index % HEAD_DIM4;
  var sum = vec4f();
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    sum += sums[(head * params.chunks + chunk) * HEAD_DIM4 + column];
  }
  let first = select(mean_of_key(head), mean_of_query(head), params.side == 0u);
  means[first + column] = sum / f32(params.tokens);
}

// (mean, 1 / deviation) of each row of x, for products of many rows: a workgroup owns a row.
import package::_shared::workgroup_index::workgroup_index;
import super::product_io::{ params, x };
import super::row_moments::row_moments;
import super::row_sum::THREADS;

@group(0) @binding(11) var<storage, read_write> moments: array<vec2f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroup_index(group_id, group_counts);
  if (row >= params.rows) {
    return;
  }
  let found = row_moments(row, thread);
  if (thread == 0u) {
    moments[row] = found;
  }
}

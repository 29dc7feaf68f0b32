// Zeroes the sums of keys and of cells, which a sweep adds to: a thread each, as none of them is a workgroup's own to clear in few steps.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::sweep_params::sweep;

const THREADS: u32 = 64u;

@group(0) @binding(15) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let at = sweep.columns_at + group * THREADS + thread;
  if (group < params.first_group + params.groups && at < sweep.top_at) {
    partials[at] = 0.0;
  }
}

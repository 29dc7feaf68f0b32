// Sums of query rows: over the ranges of keys in which a sweep took them, then averaged over the heads of a group.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::statistic_output::{ group_range, output, pair_of, place_of, store };
import super::sweep_params::{ row_at, sweep };

const THREADS: u32 = 64u;

@group(0) @binding(15) var<storage, read> partials: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let place = place_of(workgroup_index(group_id, group_counts) * THREADS + thread);
  if (place.batch >= params.batches) {
    return;
  }
  let range = group_range(place.group);
  var total = 0.0;
  for (var n = range.x; n < range.y; n++) {
    for (var split = 0u; split < sweep.splits; split++) {
      total += partials[row_at(split, pair_of(place.batch, n), place.token) + output.sum + place.value];
    }
  }
  store(place, total / f32(range.y - range.x));
}

// The map made small: the sums of a cell over parts and ranges of keys, by how many rows there are in it, averaged over the heads of
// a group. The rows of the output are the cells of rows.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::statistic_output::{ group_range, pair_of, place_of, store };
import super::sweep_params::{ cell_begin, map_at, sweep };

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
  let cell = place.token;
  var total = 0.0;
  for (var n = range.x; n < range.y; n++) {
    for (var split = 0u; split < sweep.splits; split++) {
      for (var part = 0u; part < sweep.per_cell; part++) {
        total += partials[map_at(split, pair_of(place.batch, n), cell, part) + place.value];
      }
    }
  }
  let rows = cell_begin(cell + 1u) - cell_begin(cell);
  store(place, total / f32(rows * (range.y - range.x)));
}

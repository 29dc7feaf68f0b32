// Head diversity of a batch entry and a group: the sum of deviations over the number of pairs. A thread adds up its share of the
// rows, and the first adds the threads' sums.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::statistic_output::{ Place, store };
import super::sweep_params::sweep;

const THREADS: u32 = 64u;

@group(0) @binding(15) var<storage, read> partials: array<f32>;

var<workgroup> sums: array<vec2f, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts);
  if (index >= params.batches * sweep.groups) {
    return;
  }
  let rows = sweep.splits * params.tokens_q;
  var own = vec2f();
  for (var row = thread; row < rows; row += THREADS) {
    let at = 2u * (index * rows + row);
    own += vec2f(partials[at], partials[at + 1u]);
  }
  sums[thread] = own;
  workgroupBarrier();
  if (thread == 0u) {
    var total = vec2f();
    for (var t = 0u; t < THREADS; t++) {
      total += sums[t];
    }
    store(Place(index / sweep.groups, 0u, index % sweep.groups, 0u), select(total.x / total.y, 0.0, total.y == 0.0));
  }
}

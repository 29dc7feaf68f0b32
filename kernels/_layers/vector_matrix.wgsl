// A product of few rows: a workgroup owns the outputs of its groups of lanes.
import package::_shared::workgroup_index::workgroup_index;
import super::product_io::{ GATED, finish, params };
import super::row_sum::THREADS;
import super::vector_products::{
  GROUPS, LANES, OUTPUTS, STORED, TOKENS, group_sum, keep_lane_sums, known_rows, lane_products,
};

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let first = (index * GROUPS + thread / LANES) * STORED;
  var sums = lane_products(known_rows(thread), first, thread % LANES);
  if (LANES == 1u) {
    for (var r = 0u; r < OUTPUTS; r++) {
      for (var m = 0u; m < TOKENS; m++) {
        if (r < STORED) {
          finish(m, first + r, sums[r * TOKENS + m], sums[min(r + STORED, OUTPUTS - 1u) * TOKENS + m]);
        }
      }
    }
    return;
  }
  keep_lane_sums(sums, thread);
  workgroupBarrier();
  for (var f = thread; f < GROUPS * STORED * TOKENS; f += THREADS) {
    let group = f / (STORED * TOKENS);
    let product = f % (STORED * TOKENS);
    var up_sum = 0.0;
    if (GATED) {
      up_sum = group_sum(group, product + STORED * TOKENS);
    }
    let output = (index * GROUPS + group) * STORED + product / TOKENS;
    finish(product % TOKENS, output, group_sum(group, product), up_sum);
  }
}

// A workgroup's threads over rows of HEAD_DIM4 vec4: COLUMN_THREADS side by side over a row's columns, GROUPS of them over rows.
import super::params::TILE;

/// The smallest power of two that is at least HEAD_DIM4.
const COLUMN_THREADS: u32 = 16u;
const GROUPS = TILE / COLUMN_THREADS;

var<workgroup> group_sums: array<vec4f, TILE>;

/// Sum over the groups' values of a column, for the threads of the first group. All threads call it together.
fn column_sum(value: vec4f, thread: u32) -> vec4f {
  group_sums[thread] = value;
  workgroupBarrier();
  var sum = vec4f();
  if (thread < COLUMN_THREADS) {
    for (var group = 0u; group < GROUPS; group++) {
      sum += group_sums[group * COLUMN_THREADS + thread];
    }
  }
  workgroupBarrier();
  return sum;
}

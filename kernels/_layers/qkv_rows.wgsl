// q, k and v of few rows, in one pass with their way into the cache. A workgroup owns OWNED outputs, a head where norms or scales of
// heads are wanted, and finds them in rounds of GROUPS * OUTPUTS.
import package::_shared::workgroup_index::workgroup_index;
import super::head_store::{ HELD_ROWS, OWNED, held, store_held };
import super::product_io::{ HAS_BIAS, one_vector, params };
import super::row_sum::THREADS;
import super::vector_products::{
  GROUPS, LANES, OUTPUTS, PRODUCTS, STORED, TOKENS, group_sum, keep_lane_sums, known_rows, lane_products,
};

/// Holds the sum of a row at output `o` of those that the workgroup owns.
fn hold(m: u32, first: u32, o: u32, sum: f32) {
  if (o >= OWNED) {
    return;
  }
  var value = sum;
  if (HAS_BIAS) {
    value += one_vector(params.base_bias + first + o);
  }
  held[m * OWNED + o] = value;
}

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
  let known = known_rows(thread);
  // Of all outputs; this pass has those of its part of the weights.
  let first = params.first_output + index * OWNED;
  for (var lap = 0u; lap * GROUPS * STORED < OWNED; lap++) {
    let o = (lap * GROUPS + thread / LANES) * STORED;
    // Rows behind the last one are another workgroup's: not even read.
    var sums = array<f32, PRODUCTS>();
    if (o < OWNED) {
      sums = lane_products(known, index * OWNED + o, thread % LANES);
    }
    if (LANES == 1u) {
      for (var r = 0u; r < OUTPUTS; r++) {
        for (var m = 0u; m < TOKENS; m++) {
          hold(m, first, o + r, sums[r * TOKENS + m]);
        }
      }
    } else {
      keep_lane_sums(sums, thread);
      workgroupBarrier();
      for (var f = thread; f < GROUPS * OUTPUTS * TOKENS; f += THREADS) {
        let group = f / (OUTPUTS * TOKENS);
        let product = f % (OUTPUTS * TOKENS);
        hold(product % TOKENS, first, (lap * GROUPS + group) * OUTPUTS + product / TOKENS, group_sum(group, product));
      }
      workgroupBarrier();
    }
  }
  workgroupBarrier();
  for (var m = 0u; m < HELD_ROWS; m++) {
    store_held(m, m, first, params.first_output + params.outputs, thread, THREADS);
  }
}

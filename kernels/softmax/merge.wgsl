// Joins the partial results of split.wgsl: with m the largest of the maxima m_i, every part counts e^(m_i - m).
// One workgroup a query row, one thread a value column.
import package::_shared::online_softmax::{ NO_KEY, rescale };
import package::_shared::workgroup_index::workgroup_index;
import super::lse::store_lse;
import super::params::{ VALUE_DIM4, params };
import super::partials::{ partial_place, partial_out, partial_state };
import super::tensors::{ row_out, store_out };

const SPLITS: u32 = 1u;
const THREADS = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) column: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups || column >= VALUE_DIM4) {
    return;
  }
  let token = index % params.tokens_q;
  let head = index / params.tokens_q % params.heads;
  let batch = index / (params.tokens_q * params.heads);
  let place = partial_place(batch, token, head) * SPLITS;

  var row_max = NO_KEY;
  for (var split = 0u; split < SPLITS; split++) {
    row_max = max(row_max, partial_state[place + split].x);
  }
  var row_sum = 0.0;
  var acc = vec4f();
  for (var split = 0u; split < SPLITS; split++) {
    let state = partial_state[place + split];
    let factor = rescale(state.x, row_max);
    row_sum += state.y * factor;
    acc += partial_out[(place + split) * VALUE_DIM4 + column] * factor;
  }
  store_out(row_out(batch, token, head), column, acc * select(1.0 / row_sum, 0.0, row_sum == 0.0));
  if (column == 0u) {
    store_lse(batch, token, head, row_max, row_sum);
  }
}

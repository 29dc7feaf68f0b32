// Joins the partial results of aggregate.wgsl: with m the largest of the maxima m_i, every part counts e^(m_i - m). One thread for
// four channels of an agent.
import package::_shared::online_softmax::{ NO_KEY, rescale };
import package::_shared::workgroup_index::workgroup_index;
import super::params::{ VALUE_DIM4, params };
import super::partials::{ partial_out, partial_state };

const SPLITS: u32 = 1u;
const THREADS = 64u;

/// [entry, head, agent, VALUE_DIM4], zero for an agent that sees no key
@group(0) @binding(8) var<storage, read_write> agent_values: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  if (group >= params.first_group + params.groups || index >= params.entries * params.heads * params.agents * VALUE_DIM4) {
    return;
  }
  let column = index % VALUE_DIM4;
  let place = index / VALUE_DIM4 * SPLITS;

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
  agent_values[index] = acc * select(1.0 / row_sum, 0.0, row_sum == 0.0);
}

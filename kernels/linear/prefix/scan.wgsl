// Sums up to the end of each chunk from those of the chunks, in place. A thread takes a vec4 column of one head through all chunks, and
// (maximum, sum) with it.
import package::_shared::online_softmax::rescale;
import package::_shared::workgroup_index::workgroup_index;
import super::chunks::{ OWN, PREFIX, VALUES, chunk_place, sums };
import super::params::{ THREADS, VALUE_DIM4, params };
import super::state::{ entering, state_vec4 };

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  let own = index / VALUE_DIM4;
  if (group >= params.first_group + params.groups || own >= params.head_count) {
    return;
  }
  let column = index % VALUE_DIM4;
  var prefix = entering(params.first_head + own);
  var values = state_vec4(params.first_head + own, 1u + column);
  for (var chunk = 0u; chunk < params.chunks - 1u; chunk++) {
    let place = chunk_place(own, chunk);
    let part = sums[place + OWN].xy;
    let most = max(prefix.x, part.x);
    let factors = vec2f(rescale(prefix.x, most), rescale(part.x, most));
    prefix = vec2f(most, dot(factors, vec2f(prefix.y, part.y)));
    values = values * factors.x + sums[place + VALUES + column] * factors.y;
    sums[place + VALUES + column] = values;
    if (column == 0u) {
      sums[place + PREFIX] = vec4f(prefix, 0.0, 0.0);
    }
  }
}

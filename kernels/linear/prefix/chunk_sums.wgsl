// Sums of each chunk but the last, relative to its own maximum. A thread has COLUMNS vec4 columns of one chunk.
import package::_shared::workgroup_index::workgroup_index;
import super::chunks::{ OWN, VALUES, chunk_place, sums };
import super::params::{ COLUMN_GROUPS, COLUMNS, THREADS, VALUE_DIM4, chunk_range, key_length, params };
import super::running::{ add_key, nothing };
import super::values::first_value;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  let chunks = params.chunks - 1u;
  let own = index / (chunks * COLUMN_GROUPS);
  if (group >= params.first_group + params.groups || own >= params.head_count) {
    return;
  }
  let first = index % COLUMN_GROUPS * COLUMNS;
  let chunk = index / COLUMN_GROUPS % chunks;
  let head = params.first_head + own;
  let range = chunk_range(chunk);
  let end = min(range.y, key_length(head));
  let rows = first_value(head);
  var running = nothing();
  for (var token = range.x; token < end; token++) {
    add_key(&running, own * params.tokens + token, rows + token * params.strides_v.y, first);
  }
  let place = chunk_place(own, chunk);
  if (first == 0u) {
    sums[place + OWN] = vec4f(running.most, running.sum, 0.0, 0.0);
  }
  for (var n = 0u; n < COLUMNS; n++) {
    if (first + n < VALUE_DIM4) {
      sums[place + VALUES + first + n] = running.values[n];
    }
  }
}

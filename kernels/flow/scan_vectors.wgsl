// Turns the sums of rows over tiles into sums over all tiles before, in place of the first group's, for the causal form. A thread owns a column of one
// of the two sums of this pass: those of the rows themselves (side 0), or over their flows (side 1).
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::params::{ HEAD_DIM4, TILE, params };
import super::state::{ STATE_VECTORS, state_out_place, state_vec4 };
import super::vectors::{ GROUPS, vectors, vector_place };

const WRITE_STATE: bool = false;
/// Tiles that are read at once, so that they need not wait for each other.
const AHEAD = 8u;

@group(0) @binding(9) var<storage, read_write> state_out: array<vec4f>;

@compute @workgroup_size(TILE)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let parts = ceil_div(2u * HEAD_DIM4, TILE);
  let element = index % parts * TILE + thread;
  let head = index / parts;
  if (element >= 2u * HEAD_DIM4) {
    return;
  }
  // The two sums lie behind each other in a state, but not in the scratch.
  let kind = 2u * params.side + element / HEAD_DIM4;
  let column = element % HEAD_DIM4;
  let state_element = STATE_VECTORS + kind * HEAD_DIM4 + column;
  var sum = state_vec4(params.first_head + head, state_element);
  let first = vector_place(kind, head, 0u) + column;
  for (var tile = 0u; tile < params.chunks; tile += AHEAD) {
    var next = array<vec4f, AHEAD>();
    for (var n = 0u; n < AHEAD; n++) {
      let place = first + min(tile + n, params.chunks - 1u) * GROUPS * HEAD_DIM4;
      for (var group = 0u; group < GROUPS; group++) {
        next[n] += vectors[place + group * HEAD_DIM4];
      }
    }
    for (var n = 0u; n < AHEAD; n++) {
      if (tile + n < params.chunks) {
        vectors[first + (tile + n) * GROUPS * HEAD_DIM4] = sum;
        sum += next[n];
      }
    }
  }
  if (WRITE_STATE) {
    state_out[state_out_place(params.first_head + head) + state_element] = sum;
  }
}

// Turns the matrices of the tiles into sums over all tiles before, in place, for the causal form, and leaves the state's matrix and
// totals. A thread owns a vec4 of the matrix; one more joins the competition.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::params::{ HEAD_DIM4, TILE, VALUE_DIM4, key_length, params };
import super::state::{ STATE_MATRIX, joined, state_out_place, state_vec4 };

const WRITE_STATE: bool = false;
/// Tiles that are read at once, so that they need not wait for each other.
const AHEAD = 8u;
const ELEMENTS = 4u * HEAD_DIM4 * VALUE_DIM4;

/// [heads of the scratch, tiles] maximum and sum
@group(0) @binding(2) var<storage, read> competition: array<vec2f>;
/// [heads of the scratch, tiles, 4 * HEAD_DIM4, VALUE_DIM4]
@group(0) @binding(3) var<storage, read_write> matrices: array<vec4f>;
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
  let parts = ceil_div(ELEMENTS + 1u, TILE);
  let element = index % parts * TILE + thread;
  let head = index / parts;
  if (element == ELEMENTS && WRITE_STATE) {
    let carried = state_vec4(params.first_head + head, 0u);
    var sum = carried.xy;
    for (var tile = 0u; tile < params.chunks; tile++) {
      sum = joined(sum, competition[head * params.chunks + tile]);
    }
    let count = carried.z + f32(key_length((params.first_head + head) / params.heads));
    state_out[state_out_place(params.first_head + head)] = vec4f(sum, count, 0.0);
  }
  if (element >= ELEMENTS) {
    return;
  }
  var sum = state_vec4(params.first_head + head, STATE_MATRIX + element);
  let first = head * params.chunks * ELEMENTS + element;
  for (var tile = 0u; tile < params.chunks; tile += AHEAD) {
    var next = array<vec4f, AHEAD>();
    for (var n = 0u; n < AHEAD; n++) {
      next[n] = matrices[first + min(tile + n, params.chunks - 1u) * ELEMENTS];
    }
    for (var n = 0u; n < AHEAD; n++) {
      if (tile + n < params.chunks) {
        matrices[first + (tile + n) * ELEMENTS] = sum;
        sum += next[n];
      }
    }
  }
  if (WRITE_STATE) {
    state_out[state_out_place(params.first_head + head) + STATE_MATRIX + element] = sum;
  }
}

// Joins the chunks of aggregate.wgsl: with m the largest of the maxima m_i, every chunk counts e^(m_i - m). The result is
// S sum_j softmax_j(Ô) K_jᵀ v_j, S the number of sources. A thread owns one vec4 of the matrix.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::params::{ BOUNDED, HEAD_DIM4, TILE, VALUE_DIM4, key_length, params };

/// [heads of the scratch, chunks] maximum and sum
@group(0) @binding(2) var<storage, read> competition: array<vec2f>;
/// [heads of the scratch, chunks, 4 * HEAD_DIM4, VALUE_DIM4]
@group(0) @binding(3) var<storage, read> matrices: array<vec4f>;
/// [heads of the scratch, 4 * HEAD_DIM4, VALUE_DIM4]
@group(0) @binding(4) var<storage, read_write> aggregated: array<vec4f>;

const ELEMENTS = 4u * HEAD_DIM4 * VALUE_DIM4;

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
  let parts = ceil_div(ELEMENTS, TILE);
  let element = index % parts * TILE + thread;
  let head = index / parts;
  if (element >= ELEMENTS) {
    return;
  }
  let first = head * params.chunks;
  var most = 0.0;
  if (!BOUNDED) {
    for (var chunk = 0u; chunk < params.chunks; chunk++) {
      most = max(most, competition[first + chunk].x);
    }
  }
  var total = 0.0;
  var sum = vec4f();
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let state = competition[first + chunk];
    var factor = 1.0;
    if (!BOUNDED) {
      factor = exp(state.x - most);
    }
    total += state.y * factor;
    sum += matrices[(first + chunk) * ELEMENTS + element] * factor;
  }
  let sources = f32(key_length((params.first_head + head) / params.heads));
  // Without sources there is nothing to divide.
  aggregated[head * ELEMENTS + element] = sum * select(sources / total, 0.0, total == 0.0);
}

// out[token] = bias + sum over active heads of gate · W_head · o[token, head], for few tokens: all of a token's heads in one
// dispatch. A workgroup has a token and COLUMNS vec4 columns, of which LANES threads each share out the channels and the first adds
// up. Weights are read for active heads only.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::active::is_active_gate;
import super::project_params::{
  HAS_BIAS, VALUE_DIM4, gate_of, load_bias, load_head, load_weight, params, row_heads, row_out, store_out, weight_place
};

const COLUMNS: u32 = 16u;
const LANES: u32 = 4u;
const THREADS = COLUMNS * LANES;

/// [COLUMNS, LANES]
var<workgroup> partials: array<vec4f, THREADS>;

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
  let column_tiles = ceil_div(params.outer, 4u * COLUMNS);
  let batch = index / column_tiles / params.tokens;
  let token = index / column_tiles % params.tokens;
  let n = index % column_tiles * COLUMNS + thread % COLUMNS;
  let column = min(n, (params.outer - 1u) / 4u);
  let lane = thread / COLUMNS;
  let row = row_heads(batch, token);
  var sum = vec4f();
  for (var head = 0u; head < params.heads; head++) {
    let gate = gate_of(batch, token, head);
    if (!is_active_gate(gate)) {
      continue;
    }
    let first = row + head * params.strides_heads.z;
    let weights = weight_place(head, column);
    for (var c = lane; c < VALUE_DIM4; c += LANES) {
      sum += load_weight(weights, c, column) * (gate * load_head(first, c));
    }
  }
  partials[thread] = sum;
  workgroupBarrier();
  if (lane > 0u || 4u * n >= params.outer) {
    return;
  }
  for (var other = 1u; other < LANES; other++) {
    sum += partials[other * COLUMNS + thread];
  }
  if (HAS_BIAS) {
    sum += load_bias(n);
  }
  store_out(row_out(batch, token), n, sum);
}

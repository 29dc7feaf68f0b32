// out[b, t] = scale table[ids[b, t]] + positions[t]. A thread owns a channel of a token.
import package::_shared::workgroup_index::workgroup_index;

const THREADS = 64u;
const HAS_POSITIONS: bool = false;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_out: vec4u,
  base_table: u32,
  base_positions: u32,
  base_out: u32,
  stride_table_row: u32,
  stride_table_dim: u32,
  stride_positions_token: u32,
  stride_positions_dim: u32,
  batches: u32,
  tokens: u32,
  dim: u32,
  vocabulary: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [batches, tokens]
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts) * THREADS + thread;
  let row = index / params.dim;
  let channel = index % params.dim;
  if (row >= params.batches * params.tokens) {
    return;
  }
  let batch = row / params.tokens;
  let token = row % params.tokens;
  let id = min(ids[row], params.vocabulary - 1u);
  var value = params.scale * table[params.base_table + id * params.stride_table_row + channel * params.stride_table_dim];
  if (HAS_POSITIONS) {
    value += positions[params.base_positions + token * params.stride_positions_token + channel * params.stride_positions_dim];
  }
  out[params.base_out + batch * params.strides_out.x + token * params.strides_out.y + channel * params.strides_out.w] = value;
}

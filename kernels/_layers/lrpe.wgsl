// Linearized relative position encoding as in TransNormerLLM (arXiv 2307.14995): x to [x cos(θ_c t), x sin(θ_c t)] at position t, so that
// products of two such rows depend on the distance of their positions.
import package::_shared::turns::cos_sin;
import package::_shared::workgroup_index::workgroup_index;

const THREADS: u32 = 64u;
/// Positions end at the sequences' own lengths.
const HAS_LENGTHS: bool = false;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_out: vec4u,
  base_x: u32,
  base_out: u32,
  batches: u32,
  tokens: u32,
  heads: u32,
  dim: u32,
  first_position: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
/// [heads, dim, 2]: θ_c in 2^-32 turns per token, and what that leaves out, in turns per token, as f32 bits.
@group(0) @binding(3) var<storage, read> steps: array<u32>;
/// [batches] tokens of each sequence after this pass.
@group(0) @binding(4) var<storage, read> lengths: array<u32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts) * THREADS + thread;
  let channel = index % (params.heads * params.dim);
  let row = index / (params.heads * params.dim);
  if (row >= params.batches * params.tokens) {
    return;
  }
  let token = row % params.tokens;
  let place = vec4u(row / params.tokens, token, channel / params.dim, channel % params.dim);
  // The product wraps at whole turns, so the angle is exact at any position.
  var position = params.first_position + token;
  if (HAS_LENGTHS) {
    position = lengths[place.x] - params.tokens + token;
  }
  let wrapped = bitcast<i32>(position * steps[2u * channel]);
  let turn = cos_sin(f32(wrapped) / 4294967296.0 + f32(position) * bitcast<f32>(steps[2u * channel + 1u]));
  let value = x[params.base_x + dot(place, params.strides_x)];
  let at = params.base_out + dot(place, params.strides_out);
  out[at] = value * turn.x;
  out[at + params.dim * params.strides_out.w] = value * turn.y;
}

// Rotary position embedding (RoFormer, arXiv 2104.09864, equation 34) by itself, for mechanisms that do not turn what they read: row t stands at
// position t.
import package::_shared::turns::cos_sin;
import package::_shared::workgroup_index::workgroup_index;

const THREADS: u32 = 64u;
/// Pairs are neighbours (2n, 2n + 1) instead of half a width apart (n, n + turned / 2).
const INTERLEAVED: bool = false;

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
  // Channels that turn, from the first; even.
  turned: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
/// [turned / 2, 2]: the angle of a token in 2^-32 turns, and what that leaves out, in turns, as f32 bits.
@group(0) @binding(3) var<storage, read> steps: array<u32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts) * THREADS + thread;
  let channel = index % params.dim;
  let head = index / params.dim % params.heads;
  let row = index / params.dim / params.heads;
  if (row >= params.batches * params.tokens) {
    return;
  }
  let position = row % params.tokens;
  let place = vec4u(row / params.tokens, position, head, 0u);
  let source = params.base_x + dot(place, params.strides_x);
  let at = params.base_out + dot(place, params.strides_out) + channel * params.strides_out.w;
  let own = x[source + channel * params.strides_x.w];
  if (channel >= params.turned) {
    out[at] = own;
    return;
  }
  let width = params.turned / 2u;
  let is_first = select(channel < width, channel % 2u == 0u, INTERLEAVED);
  let pair = select(channel % width, channel / 2u, INTERLEAVED);
  let partner = select(select(channel - width, channel + width, is_first), channel ^ 1u, INTERLEAVED);
  let other = x[source + partner * params.strides_x.w];
  // The product wraps at whole turns, so the angle is exact at any position.
  let wrapped = bitcast<i32>(position * steps[2u * pair]);
  let turn = cos_sin(f32(wrapped) / 4294967296.0 + f32(position) * bitcast<f32>(steps[2u * pair + 1u]));
  out[at] = own * turn.x + select(other, -other, is_first) * turn.y;
}

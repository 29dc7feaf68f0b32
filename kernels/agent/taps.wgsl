// Lays the weights of the depthwise convolution out as the last pass reads them: [head, 10, VALUE_DIM4] vec4, nine taps and the bias
// of four channels each, zero past the last channel.
import package::_shared::workgroup_index::workgroup_index;

const VALUE_DIM: u32 = 64u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;
const HAS_CONVOLUTION_BIAS: bool = true;
const TAPS = 9u;
const THREADS = 64u;

struct Params {
  // [1, taps, heads, dim], in elements
  strides_weight: vec4u,
  strides_bias: vec4u,
  base_weight: u32,
  base_bias: u32,
  heads: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> taps: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts) * THREADS + thread;
  if (index >= params.heads * (TAPS + 1u) * VALUE_DIM4) {
    return;
  }
  let column = index % VALUE_DIM4;
  let tap = index / VALUE_DIM4 % (TAPS + 1u);
  let head = index / (VALUE_DIM4 * (TAPS + 1u));
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * column); i++) {
    let channel = 4u * column + i;
    if (tap < TAPS) {
      channels[i] = weight[params.base_weight + dot(vec3u(tap, head, channel), params.strides_weight.yzw)];
    } else if (HAS_CONVOLUTION_BIAS) {
      channels[i] = bias[params.base_bias + dot(vec2u(head, channel), params.strides_bias.zw)];
    }
  }
  taps[index] = channels;
}

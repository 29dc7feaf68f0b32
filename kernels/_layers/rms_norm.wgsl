// Root mean square normalisation (arXiv 1910.07467): scale x / sqrt(mean of x² + epsilon) over each row. Without a scale it is
// TransNormerLLM's SRMSNorm. A workgroup owns a row.
import package::_shared::workgroup_index::workgroup_index;
import super::row_sum::{ THREADS, row_sum };

const HAS_SCALE: bool = false;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_out: vec4u,
  base_x: u32,
  base_scale: u32,
  base_out: u32,
  stride_scale: u32,
  batches: u32,
  tokens: u32,
  dim: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts);
  if (index >= params.batches * params.tokens) {
    return;
  }
  let place = vec2u(index / params.tokens, index % params.tokens);
  let row_x = params.base_x + dot(place, params.strides_x.xy);
  let row_out = params.base_out + dot(place, params.strides_out.xy);

  var squares = 0.0;
  for (var c = thread; c < params.dim; c += THREADS) {
    let value = x[row_x + c * params.strides_x.w];
    squares += value * value;
  }
  let factor = inverseSqrt(row_sum(squares, thread) / f32(params.dim) + params.epsilon);
  for (var c = thread; c < params.dim; c += THREADS) {
    var channel = x[row_x + c * params.strides_x.w] * factor;
    if (HAS_SCALE) {
      channel *= scale[params.base_scale + c * params.stride_scale];
    }
    out[row_out + c * params.strides_out.w] = channel;
  }
}

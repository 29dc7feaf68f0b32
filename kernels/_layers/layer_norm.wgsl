// Layer normalisation (arXiv 1607.06450): scale (x - mean) / sqrt(variance + epsilon) + bias over each row, with the variance
// of the population. A workgroup owns a row. The variance is a second sum over (x - mean)², not E[x²] - mean², which cancels.
import package::_shared::workgroup_index::workgroup_index;
import super::row_sum::{ THREADS, row_sum };

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_out: vec4u,
  base_x: u32,
  base_scale: u32,
  base_bias: u32,
  base_out: u32,
  stride_scale: u32,
  stride_bias: u32,
  batches: u32,
  tokens: u32,
  dim: u32,
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

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

  var sum = 0.0;
  for (var c = thread; c < params.dim; c += THREADS) {
    sum += x[row_x + c * params.strides_x.w];
  }
  let mean = row_sum(sum, thread) / f32(params.dim);

  var squares = 0.0;
  for (var c = thread; c < params.dim; c += THREADS) {
    let deviation = x[row_x + c * params.strides_x.w] - mean;
    squares += deviation * deviation;
  }
  let factor = inverseSqrt(row_sum(squares, thread) / f32(params.dim) + params.epsilon);

  for (var c = thread; c < params.dim; c += THREADS) {
    let normal = (x[row_x + c * params.strides_x.w] - mean) * factor;
    let channel_scale = scale[params.base_scale + c * params.stride_scale];
    let channel_bias = bias[params.base_bias + c * params.stride_bias];
    out[row_out + c * params.strides_out.w] = normal * channel_scale + channel_bias;
  }
}

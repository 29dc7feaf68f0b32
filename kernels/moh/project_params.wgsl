// Uniforms and rows that all passes of the output projection share.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;

/// Channels of a head.
const VALUE_DIM: u32 = 64u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;
/// The weight's neighbours in memory lie along the inner axis: [out, in] row-major.
const INNER_FIRST: bool = false;
const HAS_BIAS: bool = false;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_heads: vec4u,
  strides_gates: vec4u,
  strides_out: vec4u,
  base_heads: u32,
  base_gates: u32,
  base_weight: u32,
  base_bias: u32,
  base_out: u32,
  stride_weight_inner: u32,
  stride_weight_outer: u32,
  stride_bias: u32,
  batches: u32,
  tokens: u32,
  heads: u32,
  outer: u32,
  /// The heads of this pass.
  first_head: u32,
  head_count: u32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read> heads: array<Word>;
@if(vec4) @group(0) @binding(4) var<storage, read> weight: array<vec4f>;
@if(vec4) @group(0) @binding(5) var<storage, read> bias: array<vec4f>;
@if(vec4) @group(0) @binding(6) var<storage, read_write> out: array<vec4f>;
@if(!vec4) @group(0) @binding(4) var<storage, read> weight: array<f32>;
@if(!vec4) @group(0) @binding(5) var<storage, read> bias: array<f32>;
@if(!vec4) @group(0) @binding(6) var<storage, read_write> out: array<f32>;

fn gate_of(batch: u32, token: u32, head: u32) -> f32 {
  return gates[params.base_gates + dot(vec3u(batch, token, head), params.strides_gates.xyz)];
}

/// First element of a token's channels of head 0.
fn row_heads(batch: u32, token: u32) -> u32 {
  return params.base_heads + dot(vec2u(batch, token), params.strides_heads.xy);
}

fn row_out(batch: u32, token: u32) -> u32 {
  return params.base_out + dot(vec2u(batch, token), params.strides_out.xy);
}

/// Channels 4c to 4c + 3 of the row that starts at element `row`, zero past its end.
@if(vec4) fn load_head(row: u32, c: u32) -> vec4f {
  return four(heads[row / 4u + c]);
}

@if(!vec4) fn load_head(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_heads.w;
    channels[i] = one(heads[word_of(place)], place);
  }
  return channels;
}

/// Element of the weight at channel 0 of a head and outer channel 4n.
fn weight_place(head: u32, n: u32) -> u32 {
  return params.base_weight + head * VALUE_DIM * params.stride_weight_inner + 4u * n * params.stride_weight_outer;
}

/// The 4 x 4 block of weights at channel 4c of the head and the outer channel 4n that `place` is of; matrix columns are channels
/// of the head.
@if(vec4) fn load_weight(place: u32, c: u32, n: u32) -> mat4x4f {
  if (INNER_FIRST) {
    let row = params.stride_weight_outer / 4u;
    let first = place / 4u + c;
    return transpose(mat4x4f(weight[first], weight[first + row], weight[first + 2u * row], weight[first + 3u * row]));
  }
  let row = params.stride_weight_inner / 4u;
  let first = place / 4u + 4u * c * row;
  return mat4x4f(weight[first], weight[first + row], weight[first + 2u * row], weight[first + 3u * row]);
}

@if(!vec4) fn load_weight(place: u32, c: u32, n: u32) -> mat4x4f {
  return mat4x4f(
    load_weight_row(place, 4u * c, n),
    load_weight_row(place, 4u * c + 1u, n),
    load_weight_row(place, 4u * c + 2u, n),
    load_weight_row(place, 4u * c + 3u, n),
  );
}

/// Outer channels 4n to 4n + 3 of one channel of a head, zero past the end of either axis.
@if(!vec4) fn load_weight_row(place: u32, channel: u32, n: u32) -> vec4f {
  var channels = vec4f();
  if (channel < VALUE_DIM) {
    let row = place + channel * params.stride_weight_inner;
    for (var i = 0u; i < min(4u, params.outer - 4u * n); i++) {
      channels[i] = weight[row + i * params.stride_weight_outer];
    }
  }
  return channels;
}

@if(vec4) fn load_bias(n: u32) -> vec4f {
  return bias[params.base_bias / 4u + n];
}

@if(!vec4) fn load_bias(n: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, params.outer - 4u * n); i++) {
    channels[i] = bias[params.base_bias + (4u * n + i) * params.stride_bias];
  }
  return channels;
}

@if(vec4) fn load_out(row: u32, n: u32) -> vec4f {
  return out[row / 4u + n];
}

@if(!vec4) fn load_out(row: u32, n: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, params.outer - 4u * n); i++) {
    channels[i] = out[row + (4u * n + i) * params.strides_out.w];
  }
  return channels;
}

@if(vec4) fn store_out(row: u32, n: u32, channels: vec4f) {
  out[row / 4u + n] = channels;
}

@if(!vec4) fn store_out(row: u32, n: u32, channels: vec4f) {
  for (var i = 0u; i < min(4u, params.outer - 4u * n); i++) {
    out[row + (4u * n + i) * params.strides_out.w] = channels[i];
  }
}

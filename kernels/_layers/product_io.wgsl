// What the kernels of one matrix product share: tensors, weights, the normalisation of x on the way in, and what happens to a sum
// on the way out. Outputs are rows of the weight matrix. x, scale and shift are read four channels at a time; with `vec4` as such.
import super::activation::activation;
import super::weights::{ CHUNK, Q4, Q8, WEIGHT, chunk_terms, four_weights, scale_place };

const HAS_BIAS: bool = false;
const HAS_RESIDUAL: bool = false;
/// Sums are multiplied by `out_scale` before the residual is added.
const HAS_OUT_SCALE: bool = false;
/// out = activation(first matrix x) (second matrix x)
const GATED: bool = false;

/// 0 none, 1 root mean square, 2 layer
const NORM: u32 = 0u;
const LAYER_NORM = 2u;
const HAS_NORM_WEIGHT: bool = false;
const HAS_NORM_BIAS: bool = false;
/// The normalised row is multiplied by scale_offset + scale.
const HAS_SCALE: bool = false;
const HAS_SHIFT: bool = false;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_scale: vec4u,
  strides_shift: vec4u,
  strides_out_scale: vec4u,
  strides_residual: vec4u,
  strides_out: vec4u,
  base_x: u32,
  base_scale: u32,
  base_shift: u32,
  base_out_scale: u32,
  base_residual: u32,
  base_out: u32,
  // in `vectors`; multiples of four
  base_norm_weight: u32,
  base_norm_bias: u32,
  base_bias: u32,
  base_up_bias: u32,
  tokens: u32,
  /// batch * tokens
  rows: u32,
  /// Channels of x, and columns of the weights in memory.
  inner: u32,
  columns: u32,
  /// Outputs of this pass, the first of them, and how many of all outputs have the activation.
  outputs: u32,
  first_output: u32,
  activated: u32,
  // The rows of the bound parts, and which of them belong to this pass's first output.
  part_rows: u32,
  part_row: u32,
  up_part_rows: u32,
  up_part_row: u32,
  epsilon: f32,
  scale_offset: f32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@if(vec4) @group(0) @binding(1) var<storage, read> x: array<vec4f>;
@if(vec4) @group(0) @binding(2) var<storage, read> scale: array<vec4f>;
@if(vec4) @group(0) @binding(3) var<storage, read> shift: array<vec4f>;
@if(!vec4) @group(0) @binding(1) var<storage, read> x: array<f32>;
@if(!vec4) @group(0) @binding(2) var<storage, read> scale: array<f32>;
@if(!vec4) @group(0) @binding(3) var<storage, read> shift: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<vec4u>;
@group(0) @binding(5) var<storage, read> weight_up: array<vec4u>;
@group(0) @binding(6) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(7) var<storage, read> out_scale: array<f32>;
@group(0) @binding(8) var<storage, read> residual: array<f32>;
@group(0) @binding(9) var<storage, read_write> out: array<f32>;
/// [rows] (mean, 1 / deviation), where a pass of its own found them
@group(0) @binding(10) var<storage, read> statistics: array<vec2f>;

/// First element of a row; rows past the end repeat the last one and are not stored.
fn row_place(row: u32, base: u32, strides: vec4u) -> u32 {
  let last = min(row, params.rows - 1u);
  return base + last / params.tokens * strides.x + last % params.tokens * strides.y;
}

fn x_place(row: u32) -> u32 {
  return row_place(row, params.base_x, params.strides_x);
}

/// Channels 4c to 4c + 3 of the row of x that starts at element `place`; zero past the row's end.
@if(vec4) fn load_x(place: u32, c: u32) -> vec4f {
  if (4u * c >= params.inner) {
    return vec4f();
  }
  return x[place / 4u + c];
}

@if(!vec4) fn one_x(place: u32, channel: u32) -> f32 {
  if (channel >= params.inner) {
    return 0.0;
  }
  return x[place + channel * params.strides_x.w];
}

@if(!vec4) fn load_x(place: u32, c: u32) -> vec4f {
  return vec4f(one_x(place, 4u * c), one_x(place, 4u * c + 1u), one_x(place, 4u * c + 2u), one_x(place, 4u * c + 3u));
}

// Past the row's end these give anything that the buffer holds: `within_row` follows.
@if(vec4) fn load_scale(place: u32, c: u32) -> vec4f { return scale[place / 4u + c]; }
@if(vec4) fn load_shift(place: u32, c: u32) -> vec4f { return shift[place / 4u + c]; }

@if(!vec4) fn load_scale(place: u32, c: u32) -> vec4f {
  let stride = params.strides_scale.w;
  let first = place + 4u * c * stride;
  return vec4f(scale[first], scale[first + stride], scale[first + 2u * stride], scale[first + 3u * stride]);
}

@if(!vec4) fn load_shift(place: u32, c: u32) -> vec4f {
  let stride = params.strides_shift.w;
  let first = place + 4u * c * stride;
  return vec4f(shift[first], shift[first + stride], shift[first + 2u * stride], shift[first + 3u * stride]);
}

/// Channels of a row, zero past its end: only there, what memory may hold behind the row has no say.
fn within_row(channels: vec4f, c: u32) -> vec4f {
  return select(vec4f(), channels, vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.inner));
}

/// `load_x`, normalised with the row's (mean, 1 / deviation) and modulated.
fn normal_x(row: u32, place: u32, c: u32, stats: vec2f) -> vec4f {
  var channels = load_x(place, c);
  if (NORM == LAYER_NORM) {
    channels -= stats.x;
  }
  if (NORM != 0u) {
    channels *= stats.y;
  }
  if (HAS_NORM_WEIGHT) {
    channels *= vectors[params.base_norm_weight / 4u + c];
  }
  if (HAS_NORM_BIAS) {
    channels += vectors[params.base_norm_bias / 4u + c];
  }
  if (HAS_SCALE) {
    channels *= params.scale_offset + load_scale(row_place(row, params.base_scale, params.strides_scale), c);
  }
  if (HAS_SHIFT) {
    channels += load_shift(row_place(row, params.base_shift, params.strides_shift), c);
  }
  if (NORM != 0u || HAS_SCALE || HAS_SHIFT) {
    return within_row(channels, c);
  }
  return channels;
}

fn weight_words(up: bool, index: u32) -> vec4u {
  if (GATED && up) {
    return weight_up[index];
  }
  return weight[index];
}

/// The row in its part of an output of this pass; outputs past the end repeat the last one and are not stored.
fn weight_row(up: bool, output: u32) -> u32 {
  return min(output, params.outputs - 1u) + select(params.part_row, params.up_part_row, GATED && up);
}

fn chunk_words(up: bool, row: u32, chunk: u32) -> vec4u {
  return weight_words(up, row * (params.columns / (4u * CHUNK)) + chunk);
}

fn chunk_scale(up: bool, row: u32, chunk: u32) -> vec2f {
  let place = scale_place(select(params.part_rows, params.up_part_rows, GATED && up), params.columns, row, chunk);
  return chunk_terms(weight_words(up, place / 4u)[place % 4u], chunk);
}

/// Columns 4c to 4c + 3 of a row.
fn load_weights(up: bool, row: u32, c: u32) -> vec4f {
  let chunk = c / CHUNK;
  let values = four_weights(chunk_words(up, row, chunk), c % CHUNK);
  if (WEIGHT < Q8) {
    return values;
  }
  let terms = chunk_scale(up, row, chunk);
  return values * terms.x + terms.y;
}

fn one_vector(place: u32) -> f32 {
  return vectors[place / 4u][place % 4u];
}

/// Stores output `output` of this pass of a row, of the sums over its columns.
fn finish(row: u32, output: u32, sum: f32, up_sum: f32) {
  if (row >= params.rows || output >= params.outputs) {
    return;
  }
  let channel = params.first_output + output;
  var result = sum;
  if (HAS_BIAS) {
    result += one_vector(params.base_bias + channel);
  }
  if (channel < params.activated) {
    result = activation(vec4f(result)).x;
  }
  if (GATED) {
    var value = up_sum;
    if (HAS_BIAS) {
      value += one_vector(params.base_up_bias + channel);
    }
    result *= value;
  }
  if (HAS_OUT_SCALE) {
    let place = row_place(row, params.base_out_scale, params.strides_out_scale);
    result *= out_scale[place + channel * params.strides_out_scale.w];
  }
  if (HAS_RESIDUAL) {
    let place = row_place(row, params.base_residual, params.strides_residual);
    result += residual[place + channel * params.strides_residual.w];
  }
  out[row_place(row, params.base_out, params.strides_out) + channel * params.strides_out.w] = result;
}

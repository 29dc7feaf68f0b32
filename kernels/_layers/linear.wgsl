// out = activation(x W + bias) + residual, as a product tiled in registers: a thread owns ROWS rows and two vec4 columns and
// walks over the inner axis four channels at a time. Neighbouring threads take neighbouring columns, so their weights come
// in one piece, and the rows of x that they share come from the cache.
//
// Blocks of 4 x 4 are matrices: with a block of weights as a matrix whose columns are inner channels, and four rows of x as
// a matrix whose columns are those rows, w * x is the block of products, a row to a column. They are written out one by one,
// since register arrays that a loop indexes stay in memory where the compiler does not unroll it.
//
// The `subgroups` variant is for software adapters, where a load costs as much as a dozen multiplications: it has twice
// the rows, and the threads of a quad load them for each other. A GPU would rather have the registers.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::activation::activation;

const HAS_BIAS: bool = false;
const HAS_RESIDUAL: bool = false;
/// The weight's neighbours in memory lie along the inner axis: [out, in] row-major.
const INNER_FIRST: bool = false;

/// Threads of a workgroup side by side over columns, and over groups of rows.
const COLUMN_THREADS: u32 = 16u;
const ROW_THREADS: u32 = 4u;
const THREADS = COLUMN_THREADS * ROW_THREADS;

/// Rows of a thread.
@if(!subgroups) const ROWS = 8u;
@if(subgroups) const ROWS = 16u;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_residual: vec4u,
  strides_out: vec4u,
  base_x: u32,
  base_weight: u32,
  base_bias: u32,
  base_residual: u32,
  base_out: u32,
  stride_weight_inner: u32,
  stride_weight_outer: u32,
  stride_bias: u32,
  batches: u32,
  tokens: u32,
  inner: u32,
  outer: u32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

@if(vec4) @group(0) @binding(1) var<storage, read> x: array<vec4f>;
@if(vec4) @group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@if(vec4) @group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@if(vec4) @group(0) @binding(4) var<storage, read> residual: array<vec4f>;
@if(vec4) @group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
@if(!vec4) @group(0) @binding(1) var<storage, read> x: array<f32>;
@if(!vec4) @group(0) @binding(2) var<storage, read> weight: array<f32>;
@if(!vec4) @group(0) @binding(3) var<storage, read> bias: array<f32>;
@if(!vec4) @group(0) @binding(4) var<storage, read> residual: array<f32>;
@if(!vec4) @group(0) @binding(5) var<storage, read_write> out: array<f32>;

/// First element of a row of x; rows past the end repeat the last one and are not stored.
fn row_x(row: u32) -> u32 {
  let last = min(row, params.batches * params.tokens - 1u);
  return params.base_x + last / params.tokens * params.strides_x.x + last % params.tokens * params.strides_x.y;
}

/// Channels 4c to 4c + 3 of the row that starts at element `row`, zero past the row's end.
@if(vec4) fn load_x(row: u32, c: u32) -> vec4f {
  return x[row / 4u + c];
}

// No loop, as for the weights: some drivers end loops after so many rounds, and these would add to each of the walk's. No branches
// either, of which there would be so many that SwiftShader compiles them for minutes: past the end the last one is read and dropped.
@if(!vec4) fn load_x(row: u32, c: u32) -> vec4f {
  let channels = vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u);
  let places = row + min(channels, vec4u(params.inner - 1u)) * params.strides_x.w;
  return select(vec4f(), vec4f(x[places.x], x[places.y], x[places.z], x[places.w]), channels < vec4u(params.inner));
}

/// The 4 x 4 block of weights at inner channel 4c and outer channel 4n; matrix columns are inner channels.
@if(vec4) fn load_weight(c: u32, n: u32) -> mat4x4f {
  if (INNER_FIRST) {
    let row = params.stride_weight_outer / 4u;
    let first = params.base_weight / 4u + 4u * n * row + c;
    return transpose(mat4x4f(weight[first], weight[first + row], weight[first + 2u * row], weight[first + 3u * row]));
  }
  let row = params.stride_weight_inner / 4u;
  let first = params.base_weight / 4u + 4u * c * row + n;
  return mat4x4f(weight[first], weight[first + row], weight[first + 2u * row], weight[first + 3u * row]);
}

@if(!vec4) fn load_weight(c: u32, n: u32) -> mat4x4f {
  return mat4x4f(
    load_weight_row(4u * c, n),
    load_weight_row(4u * c + 1u, n),
    load_weight_row(4u * c + 2u, n),
    load_weight_row(4u * c + 3u, n),
  );
}

/// Outer channels 4n to 4n + 3 of one inner channel, zero past the end of either axis.
@if(!vec4) fn load_weight_row(inner: u32, n: u32) -> vec4f {
  let channels = vec4u(4u * n) + vec4u(0u, 1u, 2u, 3u);
  let row = params.base_weight + min(inner, params.inner - 1u) * params.stride_weight_inner;
  let places = row + min(channels, vec4u(params.outer - 1u)) * params.stride_weight_outer;
  let known = channels < vec4u(select(0u, params.outer, inner < params.inner));
  return select(vec4f(), vec4f(weight[places.x], weight[places.y], weight[places.z], weight[places.w]), known);
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

@if(vec4) fn load_residual(row: u32, n: u32) -> vec4f {
  return residual[row / 4u + n];
}

@if(!vec4) fn load_residual(row: u32, n: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, params.outer - 4u * n); i++) {
    channels[i] = residual[row + (4u * n + i) * params.strides_residual.w];
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

fn finish(row: u32, n: u32, product: vec4f) {
  if (row >= params.batches * params.tokens || 4u * n >= params.outer) {
    return;
  }
  let batch = row / params.tokens;
  let token = row % params.tokens;
  var result = product;
  if (HAS_BIAS) {
    result += load_bias(n);
  }
  result = activation(result);
  if (HAS_RESIDUAL) {
    result += load_residual(params.base_residual + batch * params.strides_residual.x + token * params.strides_residual.y, n);
  }
  store_out(params.base_out + batch * params.strides_out.x + token * params.strides_out.y, n, result);
}

fn finish_rows(row: u32, n: u32, products: mat4x4f) {
  var rows = products;
  for (var r = 0u; r < 4u; r++) {
    finish(row + r, n, rows[r]);
  }
}

/// First elements of the four rows from `row` on; with quads, of the one that this thread loads for its quad.
@if(!subgroups) fn rows_x(row: u32, thread: u32) -> vec4u {
  return vec4u(row_x(row), row_x(row + 1u), row_x(row + 2u), row_x(row + 3u));
}

@if(subgroups) fn rows_x(row: u32, thread: u32) -> u32 {
  return row_x(row + thread % 4u);
}

/// Channels 4c to 4c + 3 of four rows, a row to a matrix column.
@if(!subgroups) fn load_rows(rows: vec4u, c: u32) -> mat4x4f {
  return mat4x4f(load_x(rows.x, c), load_x(rows.y, c), load_x(rows.z, c), load_x(rows.w, c));
}

/// The four threads of a quad have their rows in common: each loads one of the four.
@if(subgroups) fn load_rows(own_row: u32, c: u32) -> mat4x4f {
  let own = load_x(own_row, c);
  return mat4x4f(quadBroadcast(own, 0u), quadBroadcast(own, 1u), quadBroadcast(own, 2u), quadBroadcast(own, 3u));
}

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
  let column_tiles = ceil_div(params.outer, 8u * COLUMN_THREADS);
  let row = (index / column_tiles * ROW_THREADS + thread / COLUMN_THREADS) * ROWS;
  let n0 = index % column_tiles * 2u * COLUMN_THREADS + thread % COLUMN_THREADS;
  let n1 = n0 + COLUMN_THREADS;
  // Quads exchange rows, so with them every thread stays to the end.
  @if(!subgroups) {
    if (row >= params.batches * params.tokens || 4u * n0 >= params.outer) {
      return;
    }
  }
  // Columns past the end repeat the last ones and are not stored.
  let last = (params.outer - 1u) / 4u;
  let column0 = min(n0, last);
  let column1 = min(n1, last);

  let rows0 = rows_x(row, thread);
  let rows1 = rows_x(row + 4u, thread);
  @if(subgroups) let rows2 = rows_x(row + 8u, thread);
  @if(subgroups) let rows3 = rows_x(row + 12u, thread);
  var p00 = mat4x4f();
  var p01 = mat4x4f();
  var p10 = mat4x4f();
  var p11 = mat4x4f();
  @if(subgroups) var p20 = mat4x4f();
  @if(subgroups) var p21 = mat4x4f();
  @if(subgroups) var p30 = mat4x4f();
  @if(subgroups) var p31 = mat4x4f();
  for (var c = 0u; c < ceil_div(params.inner, 4u); c++) {
    let w0 = load_weight(c, column0);
    let w1 = load_weight(c, column1);
    let x0 = load_rows(rows0, c);
    p00 += w0 * x0;
    p01 += w1 * x0;
    let x1 = load_rows(rows1, c);
    p10 += w0 * x1;
    p11 += w1 * x1;
    @if(subgroups) let x2 = load_rows(rows2, c);
    @if(subgroups) p20 += w0 * x2;
    @if(subgroups) p21 += w1 * x2;
    @if(subgroups) let x3 = load_rows(rows3, c);
    @if(subgroups) p30 += w0 * x3;
    @if(subgroups) p31 += w1 * x3;
  }

  finish_rows(row, n0, p00);
  finish_rows(row, n1, p01);
  finish_rows(row + 4u, n0, p10);
  finish_rows(row + 4u, n1, p11);
  @if(subgroups) finish_rows(row + 8u, n0, p20);
  @if(subgroups) finish_rows(row + 8u, n1, p21);
  @if(subgroups) finish_rows(row + 12u, n0, p30);
  @if(subgroups) finish_rows(row + 12u, n1, p31);
}

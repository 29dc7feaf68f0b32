import package::_shared::online_softmax::NO_KEY;

// Specialisation constants: run time replaces these values.
const HEAD_DIM: u32 = 64u;
const VALUE_DIM: u32 = 64u;
const CAUSAL: bool = false;
const WRITE_LSE: bool = false;
/// Query positions count from the end of each batch's keys, on the GPU, instead of from `params.query_offset`.
const ALIGN_TO_LENGTH: bool = false;

/// Widths in vec4: rows are read and written four channels at a time, zero past their end.
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_q: vec4u,
  strides_k: vec4u,
  strides_v: vec4u,
  strides_out: vec4u,
  strides_lse: vec4u,
  base_q: u32,
  base_k: u32,
  base_v: u32,
  base_out: u32,
  base_lse: u32,
  batches: u32,
  tokens_q: u32,
  tokens_k: u32,
  heads: u32,
  /// Query heads per key head: head h reads key head h / heads_per_kv.
  heads_per_kv: u32,
  /// Position of query row 0 among the keys.
  query_offset: i32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;

@if(vec4) @group(0) @binding(1) var<storage, read> q: array<vec4f>;
@if(vec4) @group(0) @binding(2) var<storage, read> k: array<vec4f>;
@if(vec4) @group(0) @binding(3) var<storage, read> v: array<vec4f>;
@if(vec4) @group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@if(!vec4) @group(0) @binding(1) var<storage, read> q: array<f32>;
@if(!vec4) @group(0) @binding(2) var<storage, read> k: array<f32>;
@if(!vec4) @group(0) @binding(3) var<storage, read> v: array<f32>;
@if(!vec4) @group(0) @binding(4) var<storage, read_write> out: array<f32>;

@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

/// [2, batches]: first visible key of each batch, then one past its last.
@group(0) @binding(6) var<storage, read> key_range: array<u32>;

fn row_q(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_q + dot(vec3u(batch, token, head), params.strides_q.xyz);
}

fn row_k(batch: u32, token: u32, kv_head: u32) -> u32 {
  return params.base_k + dot(vec3u(batch, token, kv_head), params.strides_k.xyz);
}

fn row_v(batch: u32, token: u32, kv_head: u32) -> u32 {
  return params.base_v + dot(vec3u(batch, token, kv_head), params.strides_v.xyz);
}

/// Channels 4c to 4c + 3 of the row that starts at element `row`.
@if(vec4) fn load_q(row: u32, c: u32) -> vec4f {
  return q[row / 4u + c];
}

@if(!vec4) fn load_q(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    channels[i] = q[row + (4u * c + i) * params.strides_q.w];
  }
  return channels;
}

@if(vec4) fn load_k(row: u32, c: u32) -> vec4f {
  return k[row / 4u + c];
}

@if(!vec4) fn load_k(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    channels[i] = k[row + (4u * c + i) * params.strides_k.w];
  }
  return channels;
}

@if(vec4) fn load_v(row: u32, c: u32) -> vec4f {
  return v[row / 4u + c];
}

@if(!vec4) fn load_v(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    channels[i] = v[row + (4u * c + i) * params.strides_v.w];
  }
  return channels;
}

@if(vec4) fn store_out(batch: u32, token: u32, head: u32, c: u32, channels: vec4f) {
  let row = params.base_out + dot(vec3u(batch, token, head), params.strides_out.xyz);
  out[row / 4u + c] = channels;
}

@if(!vec4) fn store_out(batch: u32, token: u32, head: u32, c: u32, channels: vec4f) {
  let row = params.base_out + dot(vec3u(batch, token, head), params.strides_out.xyz);
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    out[row + (4u * c + i) * params.strides_out.w] = channels[i];
  }
}

/// lse = row_max + log(row_sum); minus infinity, written as its bits, for a row that saw no key.
fn store_lse(batch: u32, token: u32, head: u32, row_max: f32, row_sum: f32) {
  if (WRITE_LSE) {
    let place = params.base_lse + dot(vec3u(batch, token, head), params.strides_lse.xyz);
    var value = row_max + log(row_sum);
    if (row_sum == 0.0) {
      // Not a constant expression, which could not hold an infinity.
      var bits = 0xff800000u;
      value = bitcast<f32>(bits);
    }
    lse[place] = value;
  }
}

fn first_key(batch: u32) -> u32 {
  return key_range[batch];
}

/// One past the last key that query row `token` of this batch may see.
fn end_key(batch: u32, token: u32) -> u32 {
  let length = min(key_range[params.batches + batch], params.tokens_k);
  if (CAUSAL) {
    return u32(clamp(query_position(batch, token) + 1, 0, i32(length)));
  }
  return length;
}

/// Position of a query row among the keys of its batch; negative when it stands before the first key.
fn query_position(batch: u32, token: u32) -> i32 {
  if (ALIGN_TO_LENGTH) {
    return i32(token) + i32(min(key_range[params.batches + batch], params.tokens_k)) - i32(params.tokens_q);
  }
  return i32(token) + params.query_offset;
}

/// Slot: changes a scaled score. i and j count query and key rows.
fn score_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  return score;
}

/// Slot: whether query row i may see key j at all.
fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  return true;
}

/// The logit of one (query, key) pair from its raw dot product; NO_KEY when the pair is masked.
fn logit(product: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  let visible = j >= first_key(b) && j < end_key(b, i) && mask_mod(b, h, i, j);
  return select(NO_KEY, score_mod(product * params.scale, b, h, i, j), visible);
}

import package::_shared::storage::{ OutWord, Word, four, one, packed, word_of };
import super::feature_map::{ feature_map, feature_slope };
import super::params::{ HEAD_DIM, NORMALIZE, VALUE_DIM, VALUE_DIM4, params };

/// Which phi each input goes through as it is read (`feature_map.wgsl`).
const MAP_Q: u32 = 0u;
const MAP_K: u32 = 0u;
const MAP_V: u32 = 0u;
/// A gradient is written with respect to what lies in `raw`, before this phi.
const MAP_RAW: u32 = 0u;

@group(0) @binding(1) var<storage, read> q: array<Word>;
@group(0) @binding(2) var<storage, read> k: array<Word>;
@group(0) @binding(3) var<storage, read> v: array<Word>;
@group(0) @binding(4) var<storage, read_write> out: array<OutWord>;
/// Shaped as `out`.
@group(0) @binding(6) var<storage, read> raw: array<Word>;

/// First element of a row.
fn row_q(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_q + dot(vec3u(batch, token, head), params.strides_q.xyz);
}

fn row_k(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_k + dot(vec3u(batch, token, head), params.strides_k.xyz);
}

fn row_v(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_v + dot(vec3u(batch, token, head), params.strides_v.xyz);
}

fn row_out(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_out + dot(vec3u(batch, token, head), params.strides_out.xyz);
}

fn row_raw(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_raw + dot(vec3u(batch, token, head), params.strides_raw.xyz);
}

@if(!vec4) fn q_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, HEAD_DIM - 1u) * params.strides_q.w;
  return one(q[word_of(place)], place);
}

@if(!vec4) fn k_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, HEAD_DIM - 1u) * params.strides_k.w;
  return one(k[word_of(place)], place);
}

@if(!vec4) fn v_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, VALUE_DIM - 1u) * params.strides_v.w;
  return one(v[word_of(place)], place);
}

@if(!vec4) fn raw_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, VALUE_DIM - 1u) * params.strides_raw.w;
  return one(raw[word_of(place)], place);
}

/// Which of channels 4c to 4c + 3 there are. phi(0) need not be 0.
fn inside(c: u32, width: u32) -> vec4<bool> {
  return 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(width);
}

/// phi of channels 4c to 4c + 3 of the row that starts at element `row`.
@if(vec4) fn load_q(row: u32, c: u32) -> vec4f { return feature_map(four(q[word_of(row) + c]), MAP_Q); }
@if(!vec4) fn load_q(row: u32, c: u32) -> vec4f {
  let channels = vec4f(
    q_channel(row, 4u * c), q_channel(row, 4u * c + 1u), q_channel(row, 4u * c + 2u), q_channel(row, 4u * c + 3u),
  );
  return select(vec4f(), feature_map(channels, MAP_Q), inside(c, HEAD_DIM));
}

@if(vec4) fn load_k(row: u32, c: u32) -> vec4f { return feature_map(four(k[word_of(row) + c]), MAP_K); }
@if(!vec4) fn load_k(row: u32, c: u32) -> vec4f {
  let channels = vec4f(
    k_channel(row, 4u * c), k_channel(row, 4u * c + 1u), k_channel(row, 4u * c + 2u), k_channel(row, 4u * c + 3u),
  );
  return select(vec4f(), feature_map(channels, MAP_K), inside(c, HEAD_DIM));
}

@if(vec4) fn load_v(row: u32, c: u32) -> vec4f { return feature_map(four(v[word_of(row) + c]), MAP_V); }
@if(!vec4) fn load_v(row: u32, c: u32) -> vec4f {
  let channels = vec4f(
    v_channel(row, 4u * c), v_channel(row, 4u * c + 1u), v_channel(row, 4u * c + 2u), v_channel(row, 4u * c + 3u),
  );
  return feature_map(channels, MAP_V);
}

/// Values as columns of a state: past the last there is a value of 1, whose column is z.
fn load_column(row: u32, c: u32) -> vec4f {
  let column = load_v(row, min(c, VALUE_DIM4 - 1u));
  if (NORMALIZE) {
    return select(column, vec4f(1.0, 0.0, 0.0, 0.0), c == VALUE_DIM4);
  }
  return column;
}

@if(vec4) fn load_raw(row: u32, c: u32) -> vec4f { return four(raw[word_of(row) + c]); }
@if(!vec4) fn load_raw(row: u32, c: u32) -> vec4f {
  return vec4f(
    raw_channel(row, 4u * c), raw_channel(row, 4u * c + 1u), raw_channel(row, 4u * c + 2u), raw_channel(row, 4u * c + 3u),
  );
}

/// The chain rule through phi, where the output is a gradient of what went through it.
fn through_map(channels: vec4f, batch: u32, token: u32, head: u32, c: u32) -> vec4f {
  if (MAP_RAW == 0u) {
    return channels;
  }
  return channels * feature_slope(load_raw(row_raw(batch, token, head), c), MAP_RAW);
}

@if(!vec4 && !half_out) fn store_channel(place: u32, value: f32) { out[place] = value; }
@if(!vec4 && half_out) fn store_channel(place: u32, value: f32) {
  let shift = 16u * (place % 2u);
  atomicAnd(&out[place / 2u], ~(0xffffu << shift));
  atomicOr(&out[place / 2u], (pack2x16float(vec2f(value, 0.0)) & 0xffffu) << shift);
}

/// Writes channels 4c to 4c + 3 of the row that starts at element `row`, as far as there are so many.
@if(vec4) fn store_out(row: u32, c: u32, channels: vec4f) { out[row / 4u + c] = packed(channels); }
@if(!vec4) fn store_out(row: u32, c: u32, channels: vec4f) {
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    store_channel(row + (4u * c + i) * params.strides_out.w, channels[i]);
  }
}

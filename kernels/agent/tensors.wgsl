import package::_shared::storage::{ OutWord, Word, four, one, packed, word_of };
import super::params::{ HEAD_DIM, VALUE_DIM, params };
import super::windows::tensor_place;

@group(0) @binding(1) var<storage, read> q: array<Word>;
@group(0) @binding(2) var<storage, read> k: array<Word>;
@group(0) @binding(3) var<storage, read> v: array<Word>;
@group(0) @binding(4) var<storage, read_write> out: array<OutWord>;

/// First element of the row of a token, which is counted in its entry: an image, or a window of one.
fn row_q(entry: u32, token: u32, head: u32) -> u32 {
  let place = tensor_place(entry, token, params.windows_per_image, params.windows);
  return params.base_q + dot(vec3u(place, head), params.strides_q.xyz);
}

fn row_k(entry: u32, token: u32, head: u32) -> u32 {
  let place = tensor_place(entry, token, params.windows_per_image, params.windows);
  return params.base_k + dot(vec3u(place, head), params.strides_k.xyz);
}

fn row_v(entry: u32, token: u32, head: u32) -> u32 {
  let place = tensor_place(entry, token, params.windows_per_image, params.windows);
  return params.base_v + dot(vec3u(place, head), params.strides_v.xyz);
}

fn row_out(entry: u32, token: u32, head: u32) -> u32 {
  let place = tensor_place(entry, token, params.windows_per_image, params.windows);
  return params.base_out + dot(vec3u(place, head), params.strides_out.xyz);
}

@if(!vec4) fn q_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, HEAD_DIM - 1u) * params.strides_q.w;
  return select(0.0, one(q[word_of(place)], place), channel < HEAD_DIM);
}

@if(!vec4) fn k_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, HEAD_DIM - 1u) * params.strides_k.w;
  return select(0.0, one(k[word_of(place)], place), channel < HEAD_DIM);
}

@if(!vec4) fn v_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, VALUE_DIM - 1u) * params.strides_v.w;
  return select(0.0, one(v[word_of(place)], place), channel < VALUE_DIM);
}

/// Channels 4c to 4c + 3 of the row that starts at element `row`, zero past its end.
@if(vec4) fn load_q(row: u32, c: u32) -> vec4f { return four(q[row / 4u + c]); }
@if(!vec4) fn load_q(row: u32, c: u32) -> vec4f {
  return vec4f(q_channel(row, 4u * c), q_channel(row, 4u * c + 1u), q_channel(row, 4u * c + 2u), q_channel(row, 4u * c + 3u));
}

@if(vec4) fn load_k(row: u32, c: u32) -> vec4f { return four(k[row / 4u + c]); }
@if(!vec4) fn load_k(row: u32, c: u32) -> vec4f {
  return vec4f(k_channel(row, 4u * c), k_channel(row, 4u * c + 1u), k_channel(row, 4u * c + 2u), k_channel(row, 4u * c + 3u));
}

@if(vec4) fn load_v(row: u32, c: u32) -> vec4f { return four(v[row / 4u + c]); }
@if(!vec4) fn load_v(row: u32, c: u32) -> vec4f {
  return vec4f(v_channel(row, 4u * c), v_channel(row, 4u * c + 1u), v_channel(row, 4u * c + 2u), v_channel(row, 4u * c + 3u));
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

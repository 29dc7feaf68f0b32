import super::params::{ HEAD_DIM, VALUE_DIM, params };

// Tensors in their four layouts. `vec4`: rows start at multiples of four elements and their channels are neighbours, so four
// channels are one load. `half_q` (q and out) and `half_kv`: f16 storage, two elements in a u32, converted by the unpack and
// pack built-ins, which need no feature; `f16`: aligned rows are read as f16 itself, which does. KV_Q8, in the scalar form of
// `half_kv`: k and v are int8, four in a u32, with an f32 scale in the word before each row.

@if(!vec4 && half_kv) const KV_Q8: bool = false;

@if(vec4 && !half_q) @group(0) @binding(1) var<storage, read> q: array<vec4f>;
@if(vec4 && half_q && !f16) @group(0) @binding(1) var<storage, read> q: array<vec2u>;
@if(vec4 && half_q && f16) @group(0) @binding(1) var<storage, read> q: array<vec4h>;
@if(!vec4 && !half_q) @group(0) @binding(1) var<storage, read> q: array<f32>;
@if(!vec4 && half_q) @group(0) @binding(1) var<storage, read> q: array<u32>;

@if(vec4 && !half_kv) @group(0) @binding(2) var<storage, read> k: array<vec4f>;
@if(vec4 && half_kv && !f16) @group(0) @binding(2) var<storage, read> k: array<vec2u>;
@if(vec4 && half_kv && f16) @group(0) @binding(2) var<storage, read> k: array<vec4h>;
@if(!vec4 && !half_kv) @group(0) @binding(2) var<storage, read> k: array<f32>;
@if(!vec4 && half_kv) @group(0) @binding(2) var<storage, read> k: array<u32>;

@if(vec4 && !half_kv) @group(0) @binding(3) var<storage, read> v: array<vec4f>;
@if(vec4 && half_kv && !f16) @group(0) @binding(3) var<storage, read> v: array<vec2u>;
@if(vec4 && half_kv && f16) @group(0) @binding(3) var<storage, read> v: array<vec4h>;
@if(!vec4 && !half_kv) @group(0) @binding(3) var<storage, read> v: array<f32>;
@if(!vec4 && half_kv) @group(0) @binding(3) var<storage, read> v: array<u32>;

@if(vec4 && !half_q) @group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@if(vec4 && half_q) @group(0) @binding(4) var<storage, read_write> out: array<vec2u>;
@if(!vec4 && !half_q) @group(0) @binding(4) var<storage, read_write> out: array<f32>;
// Two threads may own the two halves of a word.
@if(!vec4 && half_q) @group(0) @binding(4) var<storage, read_write> out: array<atomic<u32>>;

/// First element of a row.
fn row_q(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_q + dot(vec3u(batch, token, head), params.strides_q.xyz);
}

fn row_k(batch: u32, token: u32, kv_head: u32) -> u32 {
  return params.base_k + dot(vec3u(batch, token, kv_head), params.strides_k.xyz);
}

fn row_v(batch: u32, token: u32, kv_head: u32) -> u32 {
  return params.base_v + dot(vec3u(batch, token, kv_head), params.strides_v.xyz);
}

fn unpack4(words: vec2u) -> vec4f {
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}

@if(!vec4 && !half_q) fn q_element(place: u32) -> f32 { return q[place]; }
@if(!vec4 && half_q) fn q_element(place: u32) -> f32 { return unpack2x16float(q[place / 2u])[place % 2u]; }
@if(!vec4 && !half_kv) fn k_element(place: u32) -> f32 { return k[place]; }
@if(!vec4 && half_kv) fn k_element(place: u32) -> f32 { return unpack2x16float(k[place / 2u])[place % 2u]; }
@if(!vec4 && !half_kv) fn v_element(place: u32) -> f32 { return v[place]; }
@if(!vec4 && half_kv) fn v_element(place: u32) -> f32 { return unpack2x16float(v[place / 2u])[place % 2u]; }

@if(!vec4) fn q_channel(row: u32, channel: u32) -> f32 {
  return select(0.0, q_element(row + min(channel, HEAD_DIM - 1u) * params.strides_q.w), channel < HEAD_DIM);
}

@if(!vec4) fn k_channel(row: u32, channel: u32) -> f32 {
  return select(0.0, k_element(row + min(channel, HEAD_DIM - 1u) * params.strides_k.w), channel < HEAD_DIM);
}

@if(!vec4) fn v_channel(row: u32, channel: u32) -> f32 {
  return select(0.0, v_element(row + min(channel, VALUE_DIM - 1u) * params.strides_v.w), channel < VALUE_DIM);
}

/// Channels 4c to 4c + 3 of the row that starts at element `row`.
@if(vec4 && !half_q) fn load_q(row: u32, c: u32) -> vec4f { return q[row / 4u + c]; }
@if(vec4 && half_q && !f16) fn load_q(row: u32, c: u32) -> vec4f { return unpack4(q[row / 4u + c]); }
@if(vec4 && half_q && f16) fn load_q(row: u32, c: u32) -> vec4f { return vec4f(q[row / 4u + c]); }
@if(!vec4) fn load_q(row: u32, c: u32) -> vec4f {
  return vec4f(q_channel(row, 4u * c), q_channel(row, 4u * c + 1u), q_channel(row, 4u * c + 2u), q_channel(row, 4u * c + 3u));
}

@if(vec4 && !half_kv) fn load_k(row: u32, c: u32) -> vec4f { return k[row / 4u + c]; }
@if(vec4 && half_kv && !f16) fn load_k(row: u32, c: u32) -> vec4f { return unpack4(k[row / 4u + c]); }
@if(vec4 && half_kv && f16) fn load_k(row: u32, c: u32) -> vec4f { return vec4f(k[row / 4u + c]); }
/// Four int8 as numbers: shifted to the top byte and back, which takes the sign along.
@if(!vec4 && half_kv) fn four_bytes(word: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(word << 24u, word << 16u, word << 8u, word)) >> vec4u(24u));
}

@if(!vec4) fn load_k(row: u32, c: u32) -> vec4f {
  @if(half_kv) {
    if (KV_Q8) {
      return bitcast<f32>(k[row / 4u - 1u]) * four_bytes(k[row / 4u + c]);
    }
  }
  return vec4f(k_channel(row, 4u * c), k_channel(row, 4u * c + 1u), k_channel(row, 4u * c + 2u), k_channel(row, 4u * c + 3u));
}

@if(vec4 && !half_kv) fn load_v(row: u32, c: u32) -> vec4f { return v[row / 4u + c]; }
@if(vec4 && half_kv && !f16) fn load_v(row: u32, c: u32) -> vec4f { return unpack4(v[row / 4u + c]); }
@if(vec4 && half_kv && f16) fn load_v(row: u32, c: u32) -> vec4f { return vec4f(v[row / 4u + c]); }
@if(!vec4) fn load_v(row: u32, c: u32) -> vec4f {
  @if(half_kv) {
    if (KV_Q8) {
      return bitcast<f32>(v[row / 4u - 1u]) * four_bytes(v[row / 4u + c]);
    }
  }
  return vec4f(v_channel(row, 4u * c), v_channel(row, 4u * c + 1u), v_channel(row, 4u * c + 2u), v_channel(row, 4u * c + 3u));
}

@if(!vec4 && !half_q) fn store_channel(place: u32, value: f32) { out[place] = value; }
@if(!vec4 && half_q) fn store_channel(place: u32, value: f32) {
  let shift = 16u * (place % 2u);
  atomicAnd(&out[place / 2u], ~(0xffffu << shift));
  atomicOr(&out[place / 2u], (pack2x16float(vec2f(value, 0.0)) & 0xffffu) << shift);
}

fn row_out(batch: u32, token: u32, head: u32) -> u32 {
  return params.base_out + dot(vec3u(batch, token, head), params.strides_out.xyz);
}

/// Writes channels 4c to 4c + 3 of the row that starts at element `row`, as far as there are so many.
@if(vec4 && !half_q) fn store_out(row: u32, c: u32, channels: vec4f) { out[row / 4u + c] = channels; }
@if(vec4 && half_q) fn store_out(row: u32, c: u32, channels: vec4f) {
  out[row / 4u + c] = vec2u(pack2x16float(channels.xy), pack2x16float(channels.zw));
}
@if(!vec4) fn store_out(row: u32, c: u32, channels: vec4f) {
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    store_channel(row + (4u * c + i) * params.strides_out.w, channels[i]);
  }
}

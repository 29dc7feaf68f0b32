// Rows of the output, four channels at a time.
import package::_shared::storage::{ OutWord, word_of };
@if(vec4) import package::_shared::storage::packed;
import super::params::{ VALUE_DIM, params };

@group(0) @binding(5) var<storage, read_write> out: array<OutWord>;

@if(!vec4 && !half_out) fn store_channel(place: u32, value: f32) { out[place] = value; }
@if(!vec4 && half_out) fn store_channel(place: u32, value: f32) {
  let shift = 16u * (place % 2u);
  atomicAnd(&out[place / 2u], ~(0xffffu << shift));
  atomicOr(&out[place / 2u], (pack2x16float(vec2f(value, 0.0)) & 0xffffu) << shift);
}

/// First element of a row.
fn row_out(head: u32, token: u32) -> u32 {
  let place = vec3u(head / params.heads, token, head % params.heads);
  return params.base_out + dot(place, params.strides_out.xyz);
}

/// Writes channels 4c to 4c + 3 of the row that starts at element `row`, as far as there are so many.
@if(vec4) fn store_out(row: u32, c: u32, channels: vec4f) {
  out[word_of(row + 4u * c)] = packed(channels);
}

@if(!vec4) fn store_out(row: u32, c: u32, channels: vec4f) {
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    store_channel(row + (4u * c + i) * params.strides_out.w, channels[i]);
  }
}

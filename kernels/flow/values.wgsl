// Rows of v, four channels at a time.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import super::params::{ VALUE_DIM, params };

@group(0) @binding(10) var<storage, read> v: array<Word>;

/// First element of a head's rows; the next row is `params.strides_v.y` further on.
fn first_value(head: u32) -> u32 {
  return params.base_v + head / params.heads * params.strides_v.x + head % params.heads * params.strides_v.z;
}

/// Channels 4c to 4c + 3 of the row that starts at element `row`, zero past its end.
@if(vec4) fn load_v(row: u32, c: u32) -> vec4f {
  return four(v[word_of(row + 4u * c)]);
}

@if(!vec4) fn load_v(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_v.w;
    channels[i] = one(v[word_of(place)], place);
  }
  return channels;
}

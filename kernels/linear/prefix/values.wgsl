// Scores and rows of v, as the passes that add values up read them.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import super::params::{ VALUE_DIM, params, shared_head };

/// [heads of the scratch, tokens]
@group(0) @binding(4) var<storage, read> scores: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<Word>;

/// First element of a head's rows; the next row is `params.strides_v.y` further on.
fn first_value(head: u32) -> u32 {
  let place = shared_head(head);
  return params.base_v + place.x * params.strides_v.x + place.y * params.strides_v.z;
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

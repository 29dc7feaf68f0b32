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

// Not in a loop: a chunk's tokens times the channels of a thread are more rounds than some drivers let an invocation.
@if(!vec4) fn load_v(row: u32, c: u32) -> vec4f {
  let first = 4u * c;
  return vec4f(
    channel(row, first),
    channel(row, first + 1u),
    channel(row, first + 2u),
    channel(row, first + 3u),
  );
}

@if(!vec4) fn channel(row: u32, index: u32) -> f32 {
  if (index >= VALUE_DIM) {
    return 0.0;
  }
  let place = row + index * params.strides_v.w;
  return one(v[word_of(place)], place);
}

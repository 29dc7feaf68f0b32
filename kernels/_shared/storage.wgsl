// Elements of tensors as they lie in memory. `vec4`: rows start at multiples of four elements and their channels are neighbours,
// so four channels are one load. `half`: f16 storage, two elements in a u32, converted by the unpack and pack built-ins, which
// need no feature. `half_out` likewise for what is written.
//
// A kernel declares its inputs as array<Word> and its output as array<OutWord>.

@if(vec4 && !half) alias Word = vec4f;
@if(vec4 && half) alias Word = vec2u;
@if(!vec4 && !half) alias Word = f32;
@if(!vec4 && half) alias Word = u32;

/// Index of the word that holds element `place`; with `vec4`, of which it is the first.
@if(vec4) fn word_of(place: u32) -> u32 { return place / 4u; }
@if(!vec4 && !half) fn word_of(place: u32) -> u32 { return place; }
@if(!vec4 && half) fn word_of(place: u32) -> u32 { return place / 2u; }

/// The four elements of an aligned word.
@if(vec4 && !half) fn four(word: Word) -> vec4f { return word; }
@if(vec4 && half) fn four(word: Word) -> vec4f { return vec4f(unpack2x16float(word.x), unpack2x16float(word.y)); }

/// Element `place`, of the word that holds it.
@if(!vec4 && !half) fn one(word: Word, place: u32) -> f32 { return word; }
@if(!vec4 && half) fn one(word: Word, place: u32) -> f32 { return unpack2x16float(word)[place % 2u]; }

@if(vec4 && !half_out) alias OutWord = vec4f;
@if(vec4 && half_out) alias OutWord = vec2u;
@if(!vec4 && !half_out) alias OutWord = f32;
// Two threads may own the two halves of a word.
@if(!vec4 && half_out) alias OutWord = atomic<u32>;

@if(vec4 && !half_out) fn packed(channels: vec4f) -> OutWord { return channels; }
@if(vec4 && half_out) fn packed(channels: vec4f) -> OutWord {
  return vec2u(pack2x16float(channels.xy), pack2x16float(channels.zw));
}

// Weight matrices as README.md lays them out, one load of 16 bytes at a time, made numbers in registers.

/// 0 f32, 1 f16, 2 q8, 3 q4
const WEIGHT: u32 = 0u;
const F16 = 1u;
const Q8 = 2u;
const Q4 = 3u;

/// Groups of four columns in 16 bytes.
const CHUNK = 1u << WEIGHT;

/// Columns 4i to 4i + 3 of a chunk, before scale and offset.
fn four_weights(words: vec4u, i: u32) -> vec4f {
  if (WEIGHT == F16) {
    return vec4f(unpack2x16float(words[2u * i % 4u]), unpack2x16float(words[(2u * i + 1u) % 4u]));
  }
  if (WEIGHT == Q8) {
    let word = words[i % 4u];
    // Shifted to the top byte and back, which takes the sign along.
    return vec4f(bitcast<vec4i>(vec4u(word << 24u, word << 16u, word << 8u, word)) >> vec4u(24u));
  }
  if (WEIGHT == Q4) {
    let half = words[i / 2u % 4u] >> (16u * (i % 2u));
    return vec4f((vec4u(half) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u));
  }
  return bitcast<vec4f>(words);
}

/// Which word of a part of `rows` rows has the scale of a chunk.
fn scale_place(rows: u32, columns: u32, row: u32, chunk: u32) -> u32 {
  if (WEIGHT == Q8) {
    return rows * (columns / 4u) + row * (columns / 32u) + chunk / 2u;
  }
  return rows * (columns / 8u) + row * (columns / 32u) + chunk;
}

/// (scale, offset) of a chunk, of its word.
fn chunk_terms(word: u32, chunk: u32) -> vec2f {
  let pair = unpack2x16float(word);
  if (WEIGHT == Q8) {
    return vec2f(select(pair.x, pair.y, chunk % 2u == 1u), 0.0);
  }
  return pair;
}

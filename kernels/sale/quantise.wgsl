// Symmetric 4-bit numbers of centred rows, eight channels in a word: channel 2c in the high half of byte c, 2c + 1 in the low.
// Rows that share a scale stand apart, as the matrix instructions of the authors' kernels hold them: queries r and r + 8 of
// sixteen, and keys of a block with the same (j mod 8) div 2. A thread takes the rows of one scale.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::workgroup_index;
import super::params::{
  BLOCK_K, HEAD_DIM, HEAD_DIM4, THREADS, WORDS, WORD_STRIDE, mean_of_key, mean_of_query, params, side_heads, side_row, side_stride
};

@group(0) @binding(1) var<storage, read> x: array<Word>;
/// [query heads, then key heads, HEAD_DIM4]
@group(0) @binding(2) var<storage, read> means: array<vec4f>;
/// [heads of this side, rows, WORD_STRIDE]
@group(0) @binding(3) var<storage, read_write> words: array<u32>;
/// [heads of this side, groups of rows]
@group(0) @binding(4) var<storage, read_write> scales: array<f32>;

@if(vec4) fn channels(row: u32, c: u32) -> vec4f {
  return four(x[word_of(row + 4u * c)]);
}

@if(!vec4) fn channels(row: u32, c: u32) -> vec4f {
  var result = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * side_stride();
    result[i] = one(x[word_of(place)], place);
  }
  return result;
}

/// Rows that share a scale.
fn group_rows() -> u32 {
  return select(BLOCK_K / 4u, 2u, params.side == 0u);
}

/// Row n of a group.
fn group_row(group: u32, n: u32) -> u32 {
  if (params.side == 0u) {
    return group / 8u * 16u + group % 8u + 8u * n;
  }
  return group / 4u * BLOCK_K + n / 2u * 8u + 2u * (group % 4u) + n % 2u;
}

/// Channels 4c to 4c + 3 less their mean; zero past the last token.
fn centred(head: u32, token: u32, c: u32, mean: vec4f) -> vec4f {
  if (token >= params.tokens) {
    return vec4f();
  }
  return channels(side_row(head, token), c) - mean;
}

/// rint(7 value / largest) in four bits, exactly: the division only proposes, and whole numbers decide on which side of a tie
/// 7 |value| / largest lies. With |value| = m 2^e and largest = M 2^(e + d), that is 14 m against (2n ± 1) M 2^d.
fn four_bits(value: f32, largest: f32) -> u32 {
  let bits = bitcast<u32>(abs(value));
  let largest_bits = bitcast<u32>(largest);
  let exponent = bits >> 23u;
  let apart = (largest_bits >> 23u) - exponent;
  // From 2^5 apart on, 7 |value| / largest is below 14 / 32. Numbers too small for an exponent are none.
  if (exponent == 0u || apart > 4u) {
    return 0u;
  }
  let twice = 14u * ((bits & 0x7fffffu) | 0x800000u);
  let unit = ((largest_bits & 0x7fffffu) | 0x800000u) << apart;
  var n = u32(floor(7.0 * (abs(value) / largest) + 0.5));
  let above = (2u * n + 1u) * unit;
  if (twice > above || (twice == above && n % 2u == 1u)) {
    n++;
  } else if (n > 0u) {
    let below = (2u * n - 1u) * unit;
    if (twice < below || (twice == below && n % 2u == 1u)) {
      n--;
    }
  }
  return select(n, 16u - n, value < 0.0) & 15u;
}

/// Two bytes of four channels.
fn half_word(value: vec4f, largest: f32) -> u32 {
  let first = (four_bits(value.x, largest) << 4u) | four_bits(value.y, largest);
  return first | (four_bits(value.z, largest) << 12u) | (four_bits(value.w, largest) << 8u);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (params.first_group + workgroup_index(group_id, group_counts)) * THREADS + thread;
  let groups = params.rows / group_rows();
  if (index >= min((params.first_group + params.groups) * THREADS, side_heads() * groups)) {
    return;
  }
  let head = index / groups;
  let group = index % groups;
  let mean = select(mean_of_key(head), mean_of_query(head), params.side == 0u);

  var largest = 0.0;
  for (var c = 0u; c < HEAD_DIM4; c++) {
    for (var n = 0u; n < group_rows(); n++) {
      let sizes = abs(centred(head, group_row(group, n), c, means[mean + c]));
      largest = max(largest, max(max(sizes.x, sizes.y), max(sizes.z, sizes.w)));
    }
  }
  // Below the least normal number there is no exponent to compare by.
  let empty = (bitcast<u32>(largest) >> 23u) == 0u;
  scales[index] = select(largest / 7.0, 0.0, empty);

  for (var n = 0u; n < group_rows(); n++) {
    let token = group_row(group, n);
    for (var w = 0u; w < WORDS; w++) {
      var word = 0u;
      if (!empty) {
        word = half_word(centred(head, token, 2u * w, means[mean + 2u * w]), largest);
        // The last word may have four channels only.
        if (2u * w + 1u < HEAD_DIM4) {
          word |= half_word(centred(head, token, 2u * w + 1u, means[mean + 2u * w + 1u]), largest) << 16u;
        }
      }
      words[(head * params.rows + token) * WORD_STRIDE + w] = word;
    }
  }
}

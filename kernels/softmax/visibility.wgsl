import super::params::{ params, terms };
import super::query_rows::{ PACKED, sequence_begin };

/// Whether queries see only so many keys before their position, and only so many after it (0 when causal).
const BOUND_LEFT: bool = false;
const BOUND_RIGHT: bool = false;
/// Query positions count from the end of each batch's keys instead of from `params.query_offset`.
const ALIGN_TO_LENGTH: bool = false;
const HAS_KEY_MASK: bool = false;

/// One bit a key, [batches, ceil(tokens_k / 32)] words, lowest bit first.
@group(0) @binding(8) var<storage, read> key_mask: array<u32>;

fn key_count(batch: u32) -> u32 {
  return min(terms[params.batches + batch], params.tokens_k);
}

/// Where the keys of a batch entry begin: 0, but in packed tensors.
fn first_key(batch: u32) -> u32 {
  if (PACKED) {
    return terms[batch];
  }
  return 0u;
}

/// Position of a query row among the keys of its batch; negative when it stands before the first key.
fn query_position(batch: u32, token: u32) -> i32 {
  if (PACKED) {
    // Both count from the begin of the packed tensors; each sequence is aligned at its end.
    return i32(token) + i32(key_count(batch)) - i32(sequence_begin(batch + 1u));
  }
  if (ALIGN_TO_LENGTH) {
    return i32(token) + i32(key_count(batch)) - i32(params.tokens_q);
  }
  return i32(token) + params.query_offset;
}

/// The keys [x, y) that a query row may see; x is y or more when it sees none. Both grow with the row.
fn visible_range(batch: u32, token: u32) -> vec2u {
  let position = query_position(batch, token);
  let count = i32(key_count(batch));
  var begin = terms[batch];
  var end = count;
  if (BOUND_LEFT) {
    begin = max(begin, u32(max(position - params.window_left, 0)));
  }
  if (BOUND_RIGHT) {
    end = clamp(position + params.window_right + 1, 0, count);
  }
  return vec2u(begin, u32(end));
}

/// First word of a batch entry's key mask. Packed sequences have one between them, as they have one tensor.
fn mask_words(batch: u32) -> u32 {
  return select(batch, 0u, PACKED) * ((params.tokens_k + 31u) / 32u);
}

fn key_kept(batch: u32, key: u32) -> bool {
  if (HAS_KEY_MASK) {
    let word = key_mask[mask_words(batch) + min(key, params.tokens_k - 1u) / 32u];
    return ((word >> (key % 32u)) & 1u) == 1u;
  }
  return true;
}

/// The key mask of `count` keys from `begin` on, at most 32, one bit each, lowest first.
fn kept_keys(batch: u32, begin: u32, count: u32) -> u32 {
  if (HAS_KEY_MASK) {
    let words = (params.tokens_k + 31u) / 32u;
    let first = begin / 32u;
    let shift = begin % 32u;
    var bits = key_mask[mask_words(batch) + min(first, words - 1u)] >> shift;
    if (shift + count > 32u) {
      bits |= key_mask[mask_words(batch) + min(first + 1u, words - 1u)] << (32u - shift);
    }
    return bits;
  }
  return 0xffffffffu;
}

/// Whether a row sees a key, n-th of those in `kept` (`kept_keys`), by range and key mask. `range` is the row's `visible_range`.
/// Not &&, which branches: some drivers take minutes over that many branches in unrolled code.
fn key_seen(key: u32, range: vec2u, kept: u32, n: u32) -> bool {
  return (key >= range.x) & (key < range.y) & (((kept >> n) & 1u) == 1u);
}

/// A value that takes part in a sum: zero for a key that the mask hides, whose memory may hold anything, NaN among it.
fn kept_value(value: vec4f, kept: bool) -> vec4f {
  if (HAS_KEY_MASK) {
    return select(vec4f(), value, kept);
  }
  return value;
}

/// Whether the key mask hides every key from `begin` up to `end`, so that their tile can be skipped. Without an early return,
/// which drivers turn into a condition around everything that follows.
fn tile_hidden(batch: u32, begin: u32, end: u32) -> bool {
  if (HAS_KEY_MASK) {
    var bits = 0u;
    for (var word = begin / 32u; word * 32u < end; word++) {
      bits |= key_mask[mask_words(batch) + word];
    }
    return bits == 0u;
  }
  return false;
}

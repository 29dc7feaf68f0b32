// Projected heads on their way out: q to a tensor of its own, k and v into a cache, normalised and rounded as it wants them. A
// workgroup holds OWNED outputs of HELD_ROWS rows; where something concerns whole heads, these are a head.
import super::product_io::{ one_vector, params };

/// Outputs of a workgroup, a multiple of the outputs in a word of the cache.
const OWNED: u32 = 64u;
const HELD_ROWS: u32 = 1u;
/// How the cache is stored: 0 f32, 1 f16, 2 q8, a scale in the word before each row.
const CACHE: u32 = 0u;
const CACHE_F16 = 1u;
const CACHE_Q8 = 2u;
/// Outputs in a word of the cache.
const PACK = 1u << CACHE;
const HAS_QUERY_NORM: bool = false;
const HAS_KEY_NORM: bool = false;
/// Rows end at their batch entry's length, which stands on the GPU; otherwise the first row goes to place 0.
const HAS_LENGTHS: bool = false;

struct Heads {
  // [batch, tokens, heads, dim], in elements
  strides_q: vec4u,
  strides_k: vec4u,
  strides_v: vec4u,
  base_q: u32,
  base_k: u32,
  base_v: u32,
  // in `vectors`
  base_query_norm: u32,
  base_key_norm: u32,
  heads: u32,
  kv_heads: u32,
  head_dim: u32,
  /// Places of the cache.
  capacity: u32,
  epsilon: f32,
}

@group(0) @binding(11) var<storage, read_write> q: array<f32>;
@group(0) @binding(12) var<storage, read_write> k: array<u32>;
@group(0) @binding(13) var<storage, read_write> v: array<u32>;
/// [batch] keys in the cache after this step
@group(0) @binding(14) var<storage, read> lengths: array<u32>;
@group(0) @binding(15) var<uniform> heads: Heads;

/// [HELD_ROWS, OWNED]
var<workgroup> held: array<f32, HELD_ROWS * OWNED>;

/// Where a row of x goes in the cache; negative for rows before the first (left padding).
fn cache_place(batch: u32, token: u32) -> i32 {
  if (HAS_LENGTHS) {
    return i32(lengths[batch]) - i32(params.tokens) + i32(token);
  }
  return i32(token);
}

/// 1 / root mean square of the head that is held.
fn head_factor(m: u32) -> f32 {
  var squares = 0.0;
  for (var d = 0u; d < OWNED; d++) {
    squares += held[m * OWNED + d] * held[m * OWNED + d];
  }
  return inverseSqrt(squares / f32(OWNED) + heads.epsilon);
}

/// Largest size in the head that is held, normalised.
fn head_peak(m: u32, factor: f32, norm: u32, normalised: bool) -> f32 {
  var peak = 0.0;
  for (var d = 0u; d < OWNED; d++) {
    peak = max(peak, abs(normal_value(m, d, factor, norm + d, normalised)));
  }
  return peak;
}

fn normal_value(m: u32, o: u32, factor: f32, norm: u32, normalised: bool) -> f32 {
  let value = held[m * OWNED + o];
  if (normalised) {
    return value * factor * one_vector(norm);
  }
  return value;
}

/// Stores what is held of row m, which is row `row` of x: outputs from `first` up to `end`. Barriers are the caller's.
fn store_held(m: u32, row: u32, first: u32, end: u32, thread: u32, threads: u32) {
  let batch = row / params.tokens;
  let token = row % params.tokens;
  let place = cache_place(batch, token);
  let own_head = first / heads.head_dim;
  let is_query = own_head < heads.heads;
  // Only where the workgroup owns a head do these hold.
  let normalised = (HAS_QUERY_NORM && is_query) || (HAS_KEY_NORM && !is_query && own_head < heads.heads + heads.kv_heads);
  let norm = select(heads.base_key_norm, heads.base_query_norm, is_query);
  var factor = 1.0;
  if (normalised) {
    factor = head_factor(m);
  }
  var scale = 0.0;
  var inverse = 0.0;
  if (CACHE == CACHE_Q8) {
    scale = head_peak(m, factor, norm, normalised) / 127.0;
    // A head of zeros, and one too small to divide by, are zeros.
    inverse = select(0.0, 1.0 / scale, scale > 1e-37);
  }
  for (var o = PACK * thread; o < OWNED; o += PACK * threads) {
    let output = first + o;
    if (output >= end) {
      return;
    }
    let head = output / heads.head_dim;
    let d = output % heads.head_dim;
    if (head < heads.heads) {
      let at = heads.base_q + batch * heads.strides_q.x + token * heads.strides_q.y + head * heads.strides_q.z;
      for (var i = 0u; i < PACK; i++) {
        q[at + (d + i) * heads.strides_q.w] = normal_value(m, o + i, factor, norm + d + i, normalised);
      }
      continue;
    }
    if (place < 0 || u32(place) >= heads.capacity) {
      continue;
    }
    let word = packed_word(m, o, factor, norm + d, normalised, inverse);
    let is_key = head < heads.heads + heads.kv_heads;
    let kv_head = select(head - heads.heads - heads.kv_heads, head - heads.heads, is_key);
    let strides = select(heads.strides_v, heads.strides_k, is_key);
    let base = select(heads.base_v, heads.base_k, is_key);
    let at = base + batch * strides.x + u32(place) * strides.y + kv_head * strides.z + d * strides.w;
    if (is_key) {
      k[at / PACK] = word;
    } else {
      v[at / PACK] = word;
    }
    if (CACHE == CACHE_Q8 && o == 0u) {
      if (is_key) {
        k[at / PACK - 1u] = bitcast<u32>(scale);
      } else {
        v[at / PACK - 1u] = bitcast<u32>(scale);
      }
    }
  }
}

fn packed_word(m: u32, o: u32, factor: f32, norm: u32, normalised: bool, inverse: f32) -> u32 {
  let first = normal_value(m, o, factor, norm, normalised);
  if (CACHE == CACHE_F16) {
    return pack2x16float(vec2f(first, normal_value(m, o + 1u, factor, norm + 1u, normalised)));
  }
  if (CACHE == CACHE_Q8) {
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
      let n = clamp(round(normal_value(m, o + i, factor, norm + i, normalised) * inverse), -127.0, 127.0);
      word |= (bitcast<u32>(i32(n)) & 255u) << (8u * i);
    }
    return word;
  }
  return bitcast<u32>(first);
}

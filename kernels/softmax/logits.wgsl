import package::_shared::online_softmax::NO_KEY;
import super::params::{ alibi_slope, params };
import super::visibility::{ HAS_KEY_MASK, first_key, key_kept, query_position };

const HAS_BIAS: bool = false;
/// Whether `mask_mod` is more than its default.
const HAS_MASK_MOD: bool = false;

@group(0) @binding(7) var<storage, read> bias: array<f32>;

/// Slot: the built-in terms, soft cap and ALiBi, of a scaled score. i and j count query and key rows.
fn term_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  if (false) {
    // Tells the linker, which drops what nobody calls, what a body may call.
    return alibi_slope(h) * f32(query_position(b, i)) + f32(first_key(b));
  }
  return score;
}

/// Slot: the application's change of a score that has everything else already. `query_position` and `first_key` are
/// promised to both slots.
fn score_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  return score;
}

/// Slot: whether query row i may see key j at all.
fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  return true;
}

/// The logit of a visible pair, from its raw dot product.
fn open_logit(product: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  var score = term_mod(product * params.scale, b, h, i, j);
  if (HAS_BIAS) {
    score += bias[params.base_bias + dot(vec4u(b, h, i, j), params.strides_bias)];
  }
  return score_mod(score, b, h, i, j);
}

/// The logit of any pair; NO_KEY when it is masked. `range` is the row's `visible_range`.
fn logit(product: f32, b: u32, h: u32, i: u32, j: u32, range: vec2u) -> f32 {
  if (j < range.x || j >= range.y || !key_kept(b, j) || !mask_mod(b, h, i, j)) {
    return NO_KEY;
  }
  return open_logit(product, b, h, i, j);
}

/// Whether a tile of keys [begin, end) needs no masks: seen by the rows of both ranges and all between them. `masked`: whether
/// `mask_mod` has to be asked.
fn tile_open(begin: u32, end: u32, first_row: vec2u, last_row: vec2u, masked: bool) -> bool {
  return !HAS_KEY_MASK && !masked && begin >= last_row.x && end <= first_row.y;
}

// Weights of a row on some keys, scored as softmax attention scores them.
import package::_calibration::row_terms::{ RowTerms, pattern_weight };
import package::_shared::online_softmax::ANY_KEY;
import package::softmax::logits::{ mask_mod, open_logit };
import package::softmax::params::{ HEAD_DIM4, params };
import package::softmax::rotary::{ ROTARY, key_channels, query_channels };
import package::softmax::tensors::{ load_q, row_k, row_q };
import package::softmax::visibility::{ key_kept, query_position, visible_range };

/// Keys that are scored together.
const KEYS: u32 = 4u;

alias Keys = array<u32, KEYS>;
alias Weights = array<f32, KEYS>;
/// A rotated query is worth keeping; others are as near in their tensor.
alias HeldQuery = array<vec4f, select(1u, HEAD_DIM4, ROTARY)>;

struct Row {
  batch: u32,
  head: u32,
  kv_head: u32,
  token: u32,
  /// Keys that it may see.
  range: vec2u,
  /// Its first element in q.
  place: u32,
  lse: f32,
  /// What operations before have left of its pattern.
  left: RowTerms,
}

fn row_of(batch: u32, head: u32, token: u32, lse: f32, left: RowTerms) -> Row {
  let range = visible_range(batch, token);
  return Row(batch, head, head / params.heads_per_kv, token, range, row_q(batch, token, head), lse, left);
}

fn held_query(row: Row) -> HeldQuery {
  var held = HeldQuery();
  if (ROTARY) {
    for (var c = 0u; c < HEAD_DIM4; c++) {
      // Clamped for where there is nothing to keep: a constant index has to lie inside.
      held[select(0u, c, ROTARY)] = query_channels(row.place, c, query_position(row.batch, row.token));
    }
  }
  return held;
}

/// e^(score - lse) of the row's keys, or what operations before have made of that. 0 for those that it does not see, whose memory
/// may hold anything.
fn weights_of(row: Row, held: ptr<function, HeldQuery>, keys: Keys) -> Weights {
  var places = Keys();
  var products = Weights();
  for (var n = 0u; n < KEYS; n++) {
    places[n] = row_k(row.batch, min(keys[n], params.tokens_k - 1u), row.kv_head);
  }
  for (var c = 0u; c < HEAD_DIM4; c++) {
    var query = vec4f();
    if (ROTARY) {
      query = (*held)[select(0u, c, ROTARY)];
    } else {
      query = load_q(row.place, c);
    }
    for (var n = 0u; n < KEYS; n++) {
      products[n] += dot(query, key_channels(places[n], c, i32(keys[n])));
    }
  }
  var weights = Weights();
  for (var n = 0u; n < KEYS; n++) {
    let key = keys[n];
    let inside = (key >= row.range.x) & (key < row.range.y);
    let seen = inside & key_kept(row.batch, key) & mask_mod(row.batch, row.head, row.token, key);
    let score = open_logit(products[n], row.batch, row.head, row.token, min(key, params.tokens_k - 1u));
    // A bias or a mod may hide a key as well.
    weights[n] = select(0.0, pattern_weight(exp(score - row.lse), row.left, key), seen & (score > ANY_KEY));
  }
  return weights;
}

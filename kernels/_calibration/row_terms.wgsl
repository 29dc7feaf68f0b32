// What operations before have left of a row's pattern, in four words a row: A'_ij = a A_ij + b [j = key] + c [i sees j].
import package::softmax::params::params;

const HAS_ROW_TERMS: bool = false;

/// [batches, heads, tokens_q]: the bits of a, b and c, and the key, NO_TERM_KEY for none.
@group(0) @binding(14) var<storage, read> row_terms: array<vec4u>;

const NO_TERM_KEY = 0xffffffffu;

struct RowTerms {
  a: f32,
  b: f32,
  c: f32,
  key: u32,
}

fn row_terms_of(batch: u32, head: u32, token: u32) -> RowTerms {
  if (HAS_ROW_TERMS) {
    let words = row_terms[(batch * params.heads + head) * params.tokens_q + token];
    return RowTerms(bitcast<f32>(words.x), bitcast<f32>(words.y), bitcast<f32>(words.z), words.w);
  }
  return RowTerms(1.0, 0.0, 0.0, NO_TERM_KEY);
}

/// The weight that a visible key has by now, from e^(score - lse).
fn pattern_weight(weight: f32, terms: RowTerms, key: u32) -> f32 {
  if (HAS_ROW_TERMS) {
    return terms.a * weight + terms.c + select(0.0, terms.b, key == terms.key);
  }
  return weight;
}

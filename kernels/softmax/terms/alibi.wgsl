// ALiBi (arXiv 2108.12409): a penalty of slope times distance.
import super::super::params::alibi_slope;
import super::super::visibility::query_position;

fn term_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  return score - alibi_slope(h) * abs(f32(query_position(b, i) - i32(j)));
}

// ALiBi (arXiv 2108.12409): a penalty of slope times distance. slopes: [Hq].
import super::super::visibility::query_position;

@group(0) @binding(0) var<storage, read> slopes: array<f32>;

fn score_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  return score - slopes[h] * abs(f32(query_position(b, i) - i32(j)));
}

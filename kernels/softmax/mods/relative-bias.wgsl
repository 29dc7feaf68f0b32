// Relative position bias (T5, arXiv 1910.10683, section 2.1, with the bias looked up by distance): table is [Hq, 2 farthest + 1], from
// `farthest` keys before the query's position to as many after it; further keys have the bias of the farthest.
import super::super::visibility::query_position;

const farthest: i32 = 1;
@group(0) @binding(0) var<storage, read> table: array<f32>;

fn score_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  let distance = clamp(i32(j) - query_position(b, i), -farthest, farthest);
  return score + table[h * u32(2 * farthest + 1) + u32(distance + farthest)];
}

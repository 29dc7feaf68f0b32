// Weights 1 + x + x² / 2 instead of e^x (Deconstructing Attention, arXiv 2510.11602, equation 6), normalised jointly: softmax of their
// logarithm. Written as ((1 + x)² + 1) / 2 they cannot fall below 1/2.
fn score_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  // Far out it is x² / 2 to the last bit, and the square is left to the logarithm: it would overflow f32 past 1e19.
  let far = abs(score) >= 1e9;
  let next = 1.0 + clamp(score, -1e9, 1e9);
  let logarithm = log(select(0.5 * (next * next + 1.0), abs(score), far));
  let taylor = select(logarithm, 2.0 * logarithm - 0.6931472, far);
  // What hides a pair goes on doing so.
  return select(taylor, score, score < -1e38);
}

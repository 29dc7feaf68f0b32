// Soft cap (Gemma 2, arXiv 2408.00118, section 2): scores stay within -cap and cap.
const cap: f32 = 30.0;

fn score_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  // Some drivers give NaN for the tanh of a large number; at 15 it is 1 in f32.
  return cap * tanh(clamp(score / cap, -15.0, 15.0));
}

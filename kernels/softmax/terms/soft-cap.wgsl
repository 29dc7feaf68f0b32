// Soft cap (Gemma 2, arXiv 2408.00118, section 2): scores stay within -c and c.
import super::super::params::params;

fn term_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  // Some drivers give NaN for the tanh of a large number; at 15 it is 1 in f32.
  return params.softcap * tanh(clamp(score / params.softcap, -15.0, 15.0));
}

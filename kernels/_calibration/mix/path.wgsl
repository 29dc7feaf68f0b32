// Log-linear path p^u A^(1 - u) (the code of arXiv 2506.10978), p the identity smoothed over the visible keys, so that a row still sums to 1.
// A bonus for the own score is what ln p has more there than elsewhere.

const SMOOTHING = 1.0e-6;
const LN_SMOOTHING = -13.815510557964274;

/// (Factor of a row's scores, bonus of the own one) at u, in a row that sees `count` keys; (1, 0) at 0.
fn path_term(u: f32, count: u32) -> vec2f {
  let own = max(1.0 - f32(max(count, 1u) - 1u) * SMOOTHING, SMOOTHING);
  return vec2f(1.0 - u, u * (log(own) - LN_SMOOTHING));
}

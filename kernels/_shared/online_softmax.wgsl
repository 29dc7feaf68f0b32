// WGSL compilers may assume that there are no infinities, so "no key seen yet" is a finite number that no score reaches,
// and every use asks for it by comparison.
const NO_KEY = -3.0e38;
const ANY_KEY = -1.0e38;

/// exp(score - row_max), and exactly 0 for a key that is not visible. `row_max` is at least `score`.
fn softmax_weight(score: f32, row_max: f32) -> f32 {
  return select(exp(score - row_max), 0.0, score <= ANY_KEY);
}

/// Factor by which sums taken relative to `old_max` shrink when the maximum becomes `new_max`; 1 while they are empty.
fn rescale(old_max: f32, new_max: f32) -> f32 {
  return select(exp(old_max - new_max), 1.0, old_max <= ANY_KEY);
}

/// (max, sum) of a row that has seen nothing but a sink logit, which joins the denominator only.
fn sink_state(sink: f32) -> vec2f {
  return select(vec2f(sink, 1.0), vec2f(NO_KEY, 0.0), sink <= ANY_KEY);
}

import package::_shared::online_softmax::{ ANY_KEY, NO_KEY };

/// Biases may be -infinity, which kernels must not compute with: the mask value stands for it.
fn finite_bias(bias: f32) -> f32 {
  return max(bias, NO_KEY);
}

/// What to take from a row's scores before exp: their maximum, but so much for a row of masked scores that their weights are
/// exactly 0. Saves asking at every score.
fn weight_origin(row_max: f32) -> f32 {
  return max(row_max, ANY_KEY);
}

import package::_shared::online_softmax::NO_KEY;

/// Biases may be -infinity, which kernels must not compute with: the mask value stands for it.
fn finite_bias(bias: f32) -> f32 {
  return max(bias, NO_KEY);
}

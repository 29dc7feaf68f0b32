const NONE = 0u;
const RELU = 1u;
const TANH = 2u;
const GELU = 3u;
const SILU = 4u;
const SIGMOID = 5u;
const ACTIVATION: u32 = 0u;

const SQRT_2_OVER_PI = 0.7978845608;

fn activation(x: vec4f) -> vec4f {
  if (ACTIVATION == RELU) {
    return max(x, vec4f());
  }
  if (ACTIVATION == TANH) {
    return bounded_tanh(x);
  }
  if (ACTIVATION == GELU) {
    return 0.5 * x * (1.0 + bounded_tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)));
  }
  if (ACTIVATION == SILU) {
    // e^80 is finite, and from there on x / (1 + e^-x) is below 1e-32.
    let y = max(x, vec4f(-80.0));
    return y / (1.0 + exp(-y));
  }
  if (ACTIVATION == SIGMOID) {
    return 1.0 / (1.0 + exp(-max(x, vec4f(-80.0))));
  }
  return x;
}

/// Drivers that compute tanh from exponentials give NaN for large arguments; past 15 it is 1 in f32.
fn bounded_tanh(x: vec4f) -> vec4f {
  return tanh(clamp(x, vec4f(-15.0), vec4f(15.0)));
}

const NONE = 0u;
const RELU = 1u;
const TANH = 2u;
const GELU = 3u;
const SILU = 4u;
const SIGMOID = 5u;
const GELU_ERF = 6u;
const ACTIVATION: u32 = 0u;

const SQRT_2_OVER_PI = 0.7978845608;

fn activation(value: vec4f) -> vec4f {
  if (ACTIVATION == RELU) {
    return max(value, vec4f());
  }
  if (ACTIVATION == TANH) {
    return bounded_tanh(value);
  }
  if (ACTIVATION == GELU) {
    return 0.5 * value * (1.0 + bounded_tanh(SQRT_2_OVER_PI * (value + 0.044715 * value * value * value)));
  }
  if (ACTIVATION == GELU_ERF) {
    return 0.5 * value * (1.0 + error_function(0.70710678 * value));
  }
  if (ACTIVATION == SILU) {
    // e^80 is finite, and from there on value / (1 + e^-value) is below 1e-32.
    let y = max(value, vec4f(-80.0));
    return y / (1.0 + exp(-y));
  }
  if (ACTIVATION == SIGMOID) {
    return 1.0 / (1.0 + exp(-max(value, vec4f(-80.0))));
  }
  return value;
}

/// Drivers that compute tanh from exponentials give NaN for large arguments; past 15 it is 1 in f32.
fn bounded_tanh(value: vec4f) -> vec4f {
  return tanh(clamp(value, vec4f(-15.0), vec4f(15.0)));
}

/// Abramowitz and Stegun 7.1.26, off by 1.5e-7 at most.
fn error_function(value: vec4f) -> vec4f {
  let size = abs(value);
  let t = 1.0 / (1.0 + 0.3275911 * size);
  let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  // From 9.3 on the rest is below what f32 tells from 1.
  let rest = series * exp(-min(size * size, vec4f(86.0)));
  return sign(value) * (1.0 - rest);
}

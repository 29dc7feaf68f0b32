const IDENTITY = 0u;
const SILU = 1u;
const ELU_PLUS_ONE = 2u;
const RELU = 3u;

/// phi(x), channel by channel.
fn feature_map(x: vec4f, map: u32) -> vec4f {
  if (map == SILU) {
    let y = max(x, vec4f(LEAST));
    return y * logistic(y);
  }
  if (map == ELU_PLUS_ONE) {
    return select(exp(min(x, vec4f())), x + 1.0, x > vec4f());
  }
  if (map == RELU) {
    return max(x, vec4f());
  }
  return x;
}

/// The derivative of phi at x; relu's at 0 is 0.
fn feature_slope(x: vec4f, map: u32) -> vec4f {
  if (map == SILU) {
    let y = max(x, vec4f(LEAST));
    let gate = logistic(y);
    return gate * (1.0 + y * (1.0 - gate));
  }
  if (map == ELU_PLUS_ONE) {
    return exp(min(x, vec4f()));
  }
  if (map == RELU) {
    return select(vec4f(), vec4f(1.0), x > vec4f());
  }
  return vec4f(1.0);
}

/// e^80 is finite, and from there on x / (1 + e^-x) is below 1e-32.
const LEAST = -80.0;

fn logistic(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp(-x));
}

import super::params::{ HEAD_DIM, params };

/// What one vec4 of channels adds to <x, y> = sum over channels of (x + epsilon) (y + epsilon). Channels past the end add nothing.
fn flow(x: vec4f, y: vec4f, c: u32) -> f32 {
  let shift = shift4(c);
  return dot(x + shift, y + shift);
}

/// Epsilon for the channels of vec4 `c` that exist.
fn shift4(c: u32) -> vec4f {
  if (HEAD_DIM % 4u == 0u) {
    return vec4f(params.epsilon);
  }
  return select(vec4f(), vec4f(params.epsilon), 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(HEAD_DIM));
}

/// 1 / (1 + e^-x), without an exponential that overflows.
fn logistic4(x: vec4f) -> vec4f {
  let small = exp(-abs(x));
  return select(small, vec4f(1.0), x >= vec4f()) / (1.0 + small);
}

fn logistic(x: f32) -> f32 {
  return logistic4(vec4f(x)).x;
}

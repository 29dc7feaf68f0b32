import package::_shared::turns::cos_sin;

/// Below this angle slerp's weights are the straight line's, as in the authors' code.
const SMALL_ANGLE = 1.0e-4;
const TURN = 6.283185307179586;

/// acos of x from 0 to 1 within 2e-8 (Abramowitz and Stegun, 4.4.46); the built-in may be off by thousands of units in the last place.
fn arc_cosine(x: f32) -> f32 {
  let series = 1.5707963050 + x * (-0.2145988016 + x * (0.0889789874 + x * (-0.0501743046 + x * (0.0308918810 +
    x * (-0.0170881256 + x * (0.0066700901 + x * -0.0012624911))))));
  return sqrt(1.0 - x) * series;
}

/// Weights (of the identity, of √A) at u on the great circle from √A to the identity, by the weight that A has on the own position.
fn slerp_weights(own_weight: f32, u: f32) -> vec2f {
  let angle = arc_cosine(min(sqrt(own_weight), 1.0));
  if (angle < SMALL_ANGLE) {
    return vec2f(u, 1.0 - u);
  }
  let whole = cos_sin(angle / TURN).y;
  return vec2f(cos_sin(u * angle / TURN).y, cos_sin((1.0 - u) * angle / TURN).y) / whole;
}

/// (cos, sin) of an angle in turns, |turns| <= 1. The built-ins may be off by 2^-11, which rotations would show: this reduces
/// to an eighth of a turn either side and takes the Taylor series, whose rest is below 3e-8 there.
fn cos_sin(turns: f32) -> vec2f {
  let quarters = round(4.0 * turns);
  let x = 6.283185307179586 * (turns - 0.25 * quarters);
  let x2 = x * x;
  let sine = x * (1.0 + x2 * (-1.0 / 6.0 + x2 * (1.0 / 120.0 + x2 * (-1.0 / 5040.0 + x2 / 362880.0))));
  let cosine = 1.0 + x2 * (-0.5 + x2 * (1.0 / 24.0 + x2 * (-1.0 / 720.0 + x2 / 40320.0)));
  let quadrant = bitcast<u32>(i32(quarters)) & 3u;
  let turned = select(vec2f(cosine, sine), vec2f(-sine, cosine), (quadrant & 1u) == 1u);
  return select(turned, -turned, quadrant >= 2u);
}

import super::tensors::load_v;

/// Whether the values lie on a smaller grid and are seen through bilinear interpolation.
const UPSAMPLED: bool = false;

/// Where a line or column of the image lies on the values' grid: between two places, with the share of the second.
struct AxisPlace {
  places: vec2u,
  share: f32,
  /// False beyond the image, where the convolution sees zeros.
  inside: bool,
}

/// `place` counts from the one before the first of `size`; the values have `source` places along this axis. Half-pixel centres.
fn axis_place(place: u32, size: u32, source: u32) -> AxisPlace {
  let inside = (place >= 1u) & (place <= size);
  let pixel = clamp(place, 1u, size) - 1u;
  if (!UPSAMPLED) {
    return AxisPlace(vec2u(pixel), 0.0, inside);
  }
  let at = max((f32(pixel) + 0.5) * f32(source) / f32(size) - 0.5, 0.0);
  let low = min(u32(at), source - 1u);
  return AxisPlace(vec2u(low, min(low + 1u, source - 1u)), at - f32(low), inside);
}

/// Four channels of v at a pixel. Lines are given by the elements where they begin, columns by their distance from there.
fn pixel_value(line: vec2u, line_share: f32, column: vec2u, column_share: f32, c: u32) -> vec4f {
  let value = load_v(line.x + column.x, c);
  if (!UPSAMPLED) {
    return value;
  }
  let upper = mix(value, load_v(line.x + column.y, c), column_share);
  let lower = mix(load_v(line.y + column.x, c), load_v(line.y + column.y, c), column_share);
  return mix(upper, lower, line_share);
}

import super::product_io::{ LAYER_NORM, NORM, load_x, params, within_row, x_place };
import super::row_sum::{ THREADS, row_sum };

/// (mean, 1 / deviation) of a row of x, the same in every thread; the mean is 0 where only squares count. All threads call it
/// together. The variance is a second sum over (x - mean)², not E[x²] - mean², which cancels.
fn row_moments(row: u32, thread: u32) -> vec2f {
  let place = x_place(row);
  var mean = 0.0;
  if (NORM == LAYER_NORM) {
    var sum = 0.0;
    for (var c = thread; 4u * c < params.inner; c += THREADS) {
      sum += dot(load_x(place, c), vec4f(1.0));
    }
    mean = row_sum(sum, thread) / f32(params.inner);
  }
  var squares = 0.0;
  for (var c = thread; 4u * c < params.inner; c += THREADS) {
    let deviation = within_row(load_x(place, c) - mean, c);
    squares += dot(deviation, deviation);
  }
  return vec2f(mean, inverseSqrt(row_sum(squares, thread) / f32(params.inner) + params.epsilon));
}

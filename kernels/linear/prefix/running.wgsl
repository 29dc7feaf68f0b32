// The sums of a prefix, relative to its largest score so far: a thread has COLUMNS vec4 columns of the weighted values, and as every
// thread, the maximum and the sum of the weights.
import package::_shared::online_softmax::{ NO_KEY, rescale, softmax_weight };
import super::params::{ COLUMNS, VALUE_DIM4, params };
import super::values::{ load_v, scores };

struct Running {
  most: f32,
  sum: f32,
  values: array<vec4f, COLUMNS>,
}

fn nothing() -> Running {
  return Running(NO_KEY, 0.0, array<vec4f, COLUMNS>());
}

/// The columns of a thread are `first` and the next ones; those past the last repeat it, and are not stored.
fn own_column(first: u32, n: u32) -> u32 {
  return min(first + n, VALUE_DIM4 - 1u);
}

/// Adds the key whose score is at `place` and whose values are at `row`.
fn add_key(running: ptr<function, Running>, place: u32, row: u32, first: u32) {
  let score = scores[place];
  let most = max((*running).most, score);
  let factor = rescale((*running).most, most);
  let weight = softmax_weight(score, most);
  (*running).most = most;
  (*running).sum = (*running).sum * factor + weight;
  for (var n = 0u; n < COLUMNS; n++) {
    (*running).values[n] = (*running).values[n] * factor + weight * load_v(row, own_column(first, n));
  }
}

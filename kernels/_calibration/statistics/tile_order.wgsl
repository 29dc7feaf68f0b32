// The keys of a tile that have most weight in a row, and a row's list of those that have most of all.
import super::sweep_params::TOP;
import super::sweep_tile::{ KEYS, KEY_QUADS, partials };

/// Places of a list of keys that one round of a loop moves, where a device bounds rounds.
const SHIFTS: u32 = 1u;

fn largest(order: array<vec4f, KEY_QUADS>) -> f32 {
  var held = order;
  var most = held[0];
  for (var quad = 0u; quad < KEY_QUADS; quad++) {
    most = max(most, held[quad]);
  }
  return max(max(most.x, most.y), max(most.z, most.w));
}

/// Where the first of a tile's keys stands that has this value.
fn place_of_first(order: array<vec4f, KEY_QUADS>, value: f32) -> f32 {
  var held = order;
  var first = vec4f(f32(KEYS));
  for (var quad = 0u; quad < KEY_QUADS; quad++) {
    let places = vec4f(4.0 * f32(quad)) + vec4f(0.0, 1.0, 2.0, 3.0);
    first = min(first, select(vec4f(f32(KEYS)), places, held[quad] == vec4f(value)));
  }
  return min(min(first.x, first.y), min(first.z, first.w));
}

/// Puts keys of a tile that come before the last of a row's list in their places, and returns what orders the list's last key then.
fn keep_top(order: array<vec4f, KEY_QUADS>, tile: u32, list: u32, worst: f32) -> f32 {
  var held = order;
  var least = worst;
  if (largest(order) <= least) {
    return least;
  }
  for (var n = 0u; n < 4u * KEY_QUADS; n++) {
    let value = held[n / 4u][n % 4u];
    if (value > least) {
      var place = TOP - 1u;
      var moves = true;
      while (moves) {
        for (var shift = 0u; shift < SHIFTS; shift++) {
          // Of equals the first stays first.
          let before = partials[list + 2u * (max(place, 1u) - 1u)];
          moves = moves && place > 0u && before < value;
          if (moves) {
            partials[list + 2u * place] = before;
            partials[list + 2u * place + 1u] = partials[list + 2u * place - 1u];
            place--;
          }
        }
      }
      partials[list + 2u * place] = value;
      partials[list + 2u * place + 1u] = f32(tile + n);
      least = partials[list + 2u * (TOP - 1u)];
    }
  }
  return least;
}

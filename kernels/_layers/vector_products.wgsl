// Sums over the columns for a product of few rows: weights are read once, and what counts is reading them in whole pieces. OUTPUTS rows
// of weights belong to LANES threads side by side, which take its chunks of 16 bytes in turn and add up through workgroup memory;
// TOKENS rows of x are multiplied at once. With one lane nothing is exchanged: software adapters, where a barrier is dear, take that.
//
// Chunks with scales: sum over w x = scale sum over n x + offset sum over x, so that scales are applied once a chunk.
import super::product_io::{ GATED, NORM, chunk_scale, chunk_words, normal_x, params, weight_row, x_place };
import super::row_moments::row_moments;
import super::row_sum::THREADS;
import super::weights::{ CHUNK, Q4, Q8, WEIGHT, four_weights };

const LANES: u32 = 16u;
/// Rows of weights of a thread; gated, the first half are of the first matrix, the others of the second.
const OUTPUTS: u32 = 4u;
/// Rows of x.
const TOKENS: u32 = 1u;

const GROUPS = THREADS / LANES;
const PRODUCTS = OUTPUTS * TOKENS;
/// Outputs of a thread.
const STORED = select(OUTPUTS, OUTPUTS / 2u, GATED);

/// [GROUPS, PRODUCTS, LANES], each row turned by its number: threads that read one lane of rows side by side find it in different banks.
var<workgroup> lane_sums: array<f32, THREADS * PRODUCTS>;

/// What is known of the rows of x before their columns are walked: where each begins, and its (mean, 1 / deviation).
struct KnownRows {
  places: array<u32, TOKENS>,
  stats: array<vec2f, TOKENS>,
}

/// All threads call it together.
fn known_rows(thread: u32) -> KnownRows {
  var known = KnownRows();
  for (var m = 0u; m < TOKENS; m++) {
    known.places[m] = x_place(m);
    if (NORM != 0u) {
      known.stats[m] = row_moments(m, thread);
    }
  }
  return known;
}

/// A lane's share of the sums of STORED outputs from `first` on, [OUTPUTS, TOKENS].
fn lane_products(known: KnownRows, first: u32, lane: u32) -> array<f32, PRODUCTS> {
  var row = known;
  var rows = array<u32, OUTPUTS>();
  for (var r = 0u; r < OUTPUTS; r++) {
    rows[r] = weight_row(r >= STORED, first + r % STORED);
  }
  var sums = array<f32, PRODUCTS>();
  for (var chunk = lane; chunk < params.columns / (4u * CHUNK); chunk += LANES) {
    var words = array<vec4u, OUTPUTS>();
    for (var r = 0u; r < OUTPUTS; r++) {
      words[r] = chunk_words(r >= STORED, rows[r], chunk);
    }
    var products = array<f32, PRODUCTS>();
    var x_sums = array<f32, TOKENS>();
    for (var i = 0u; i < CHUNK; i++) {
      var channels = array<vec4f, TOKENS>();
      for (var m = 0u; m < TOKENS; m++) {
        channels[m] = normal_x(m, row.places[m], chunk * CHUNK + i, row.stats[m]);
        if (WEIGHT == Q4) {
          x_sums[m] += dot(channels[m], vec4f(1.0));
        }
      }
      for (var r = 0u; r < OUTPUTS; r++) {
        let weights = four_weights(words[r], i);
        for (var m = 0u; m < TOKENS; m++) {
          products[r * TOKENS + m] += dot(weights, channels[m]);
        }
      }
    }
    for (var r = 0u; r < OUTPUTS; r++) {
      var terms = vec2f(1.0, 0.0);
      if (WEIGHT >= Q8) {
        terms = chunk_scale(r >= STORED, rows[r], chunk);
      }
      for (var m = 0u; m < TOKENS; m++) {
        sums[r * TOKENS + m] += terms.x * products[r * TOKENS + m] + terms.y * x_sums[m];
      }
    }
  }
  return sums;
}

fn lane_place(row: u32, lane: u32) -> u32 {
  return row * LANES + (lane + row) % LANES;
}

fn keep_lane_sums(given: array<f32, PRODUCTS>, thread: u32) {
  var sums = given;
  for (var r = 0u; r < OUTPUTS; r++) {
    for (var m = 0u; m < TOKENS; m++) {
      lane_sums[lane_place(thread / LANES * PRODUCTS + r * TOKENS + m, thread % LANES)] = sums[r * TOKENS + m];
    }
  }
}

fn group_sum(group: u32, product: u32) -> f32 {
  var sum = 0.0;
  for (var lane = 0u; lane < LANES; lane++) {
    sum += lane_sums[lane_place(group * PRODUCTS + product, lane)];
  }
  return sum;
}

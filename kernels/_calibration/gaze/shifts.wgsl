// Where the gaze goes (GIFT, arXiv 2510.22067): of each key of the image, the sum over content words i of what row i gives it more than
// row i - 1, its neighbour in the sequence, whatever word that is. A thread has KEYS keys of a head.
import package::_calibration::shift::pattern::{ KEYS, Keys, Weights, held_query, weights_of };
import package::_shared::online_softmax::ANY_KEY;
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::softmax::params::{ params, terms };
import super::gaze_params::gaze;
import super::plain_row::plain_row;

const THREADS: u32 = 64u;

/// [batches, heads, image keys]
@group(0) @binding(21) var<storage, read_write> gaze_shifts: array<f32>;

fn row_weights(batch: u32, head: u32, token: u32, keys: Keys) -> Weights {
  let row = plain_row(batch, head, token);
  if (row.lse <= ANY_KEY) {
    return Weights();
  }
  var held = held_query(row);
  return weights_of(row, &held, keys);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let image_keys = gaze.image_end - gaze.image_begin;
  let tiles = ceil_div(image_keys, KEYS);
  let index = group * THREADS + thread;
  if (group >= params.first_group + params.groups || index >= params.batches * params.heads * tiles) {
    return;
  }
  let first = index % tiles * KEYS;
  let head = index / tiles % params.heads;
  let batch = index / (tiles * params.heads);
  var keys = Keys();
  for (var n = 0u; n < KEYS; n++) {
    keys[n] = gaze.image_begin + min(first + n, image_keys - 1u);
  }
  var sums = Weights();
  for (var n = 0u; n < gaze.rows; n++) {
    let token = terms[gaze.rows_at + n];
    let own = row_weights(batch, head, token, keys);
    var before = Weights();
    if (token > 0u) {
      before = row_weights(batch, head, token - 1u, keys);
    }
    for (var i = 0u; i < KEYS; i++) {
      sums[i] += max(own[i] - before[i], 0.0);
    }
  }
  for (var i = 0u; i < KEYS; i++) {
    if (first + i < image_keys) {
      gaze_shifts[(batch * params.heads + head) * image_keys + first + i] = sums[i];
    }
  }
}

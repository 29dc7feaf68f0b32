// What the last row of each head gives to the image, to the image with each key's weight times e^(alpha saliency), and to the question. A
// workgroup has a head.
import package::_calibration::shift::pattern::{ KEYS, Keys, held_query, weights_of };
import package::_shared::online_softmax::ANY_KEY;
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::gaze_params::gaze;
import super::plain_row::plain_row;

const THREADS: u32 = 64u;

/// [batches, image keys]
@group(0) @binding(21) var<storage, read> saliency: array<f32>;
/// [batches, heads] image, enhanced image, question
@group(0) @binding(22) var<storage, read_write> masses: array<vec4f>;

var<workgroup> sums: array<vec4f, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let batch = index / params.heads;
  let row = plain_row(batch, index % params.heads, params.tokens_q - 1u);
  var held = held_query(row);
  var sum = vec4f();
  let image_keys = gaze.image_end - gaze.image_begin;
  for (var first = thread * KEYS; first < image_keys; first += THREADS * KEYS) {
    var keys = Keys();
    for (var n = 0u; n < KEYS; n++) {
      keys[n] = gaze.image_begin + min(first + n, image_keys - 1u);
    }
    let weights = weights_of(row, &held, keys);
    for (var n = 0u; n < KEYS; n++) {
      if (first + n < image_keys) {
        let enhanced = weights[n] * exp(gaze.alpha * saliency[batch * image_keys + first + n]);
        sum += vec4f(weights[n], enhanced, 0.0, 0.0);
      }
    }
  }
  for (var first = gaze.question_begin + thread * KEYS; first < gaze.question_end; first += THREADS * KEYS) {
    var keys = Keys();
    for (var n = 0u; n < KEYS; n++) {
      keys[n] = min(first + n, gaze.question_end - 1u);
    }
    let weights = weights_of(row, &held, keys);
    for (var n = 0u; n < KEYS; n++) {
      sum.z += select(0.0, weights[n], first + n < gaze.question_end);
    }
  }
  sums[thread] = sum;
  workgroupBarrier();
  if (thread == 0u) {
    for (var n = 1u; n < THREADS; n++) {
      sum += sums[n];
    }
    masses[index] = select(sum, vec4f(), row.lse <= ANY_KEY);
  }
}

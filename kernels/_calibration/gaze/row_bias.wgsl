// What is added to the scores of the last row: alpha saliency on the image's keys in the half of the heads that looks at the image most, ln r on
// the question's in the half that looks at the question most, with r by how much the former weigh their image more. On top of the
// application's bias, if any. A workgroup has a batch entry.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::logits::HAS_BIAS;
import package::softmax::params::params;
import super::gaze_params::gaze;
import super::top_half::{ TOTALS, in_top_half, totals };

const THREADS: u32 = 64u;

@group(0) @binding(7) var<storage, read> bias: array<f32>;
/// [batches, image keys]
@group(0) @binding(21) var<storage, read> saliency: array<f32>;
/// [batches, heads] image, enhanced image, question
@group(0) @binding(22) var<storage, read> masses: array<vec4f>;
/// [batches, heads, 1, tokens_k]
@group(0) @binding(23) var<storage, read_write> row_bias: array<f32>;

var<workgroup> flags: array<vec2u, TOTALS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let batch = params.first_group + workgroup_index(group_id, group_counts);
  if (batch >= params.first_group + params.groups) {
    return;
  }
  let image_keys = gaze.image_end - gaze.image_begin;
  for (var head = thread; head < params.heads; head += THREADS) {
    totals[min(head, TOTALS - 1u)] = masses[batch * params.heads + head].x;
  }
  workgroupBarrier();
  for (var head = thread; head < params.heads; head += THREADS) {
    flags[min(head, TOTALS - 1u)].x = select(0u, 1u, in_top_half(head));
  }
  workgroupBarrier();
  for (var head = thread; head < params.heads; head += THREADS) {
    totals[min(head, TOTALS - 1u)] = masses[batch * params.heads + head].z;
  }
  workgroupBarrier();
  for (var head = thread; head < params.heads; head += THREADS) {
    flags[min(head, TOTALS - 1u)].y = select(0u, 1u, in_top_half(head));
  }
  workgroupBarrier();

  var image = vec2f();
  for (var head = 0u; head < params.heads; head++) {
    image += select(vec2f(), masses[batch * params.heads + head].xy, flags[head].x == 1u);
  }
  // Without weight on the image there is nothing to keep in proportion.
  let question_bias = select(0.0, log(image.y / image.x), image.x > 0.0 && gaze.alpha > 0.0);
  for (var n = thread; n < params.heads * params.tokens_k; n += THREADS) {
    let head = n / params.tokens_k;
    let key = n % params.tokens_k;
    var value = 0.0;
    if (HAS_BIAS) {
      value = bias[params.base_bias + dot(vec4u(batch, head, params.tokens_q - 1u, key), params.strides_bias)];
    }
    if (flags[head].x == 1u && key >= gaze.image_begin && key < gaze.image_end) {
      value += gaze.alpha * saliency[batch * image_keys + key - gaze.image_begin];
    }
    if (flags[head].y == 1u && key >= gaze.question_begin && key < gaze.question_end) {
      value += question_bias;
    }
    row_bias[batch * params.heads * params.tokens_k + n] = value;
  }
}

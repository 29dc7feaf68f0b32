// What of an image matters, from gaze shifts: their average over the half of the heads with the largest totals and over content words,
// clamped to 3 standard deviations (n - 1) around the mean, scaled to [0, 1]; 0 where all keys are alike. A workgroup has a batch entry.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::gaze_params::gaze;
import super::top_half::{ TOTALS, in_top_half, totals };

const THREADS: u32 = 64u;
const DEVIATIONS = 3.0;

/// [batches, heads, image keys]
@group(0) @binding(21) var<storage, read> gaze_shifts: array<f32>;
/// [batches, image keys]
@group(0) @binding(22) var<storage, read_write> averages: array<f32>;
@group(0) @binding(23) var<storage, read_write> saliency: array<f32>;

var<workgroup> chosen: array<u32, TOTALS>;
var<workgroup> sums: array<f32, THREADS>;
var<workgroup> bounds: array<vec2f, THREADS>;

fn sum_of_all() -> f32 {
  var sum = 0.0;
  for (var n = 0u; n < THREADS; n++) {
    sum += sums[n];
  }
  return sum;
}

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
  let keys = gaze.image_end - gaze.image_begin;

  // 1. the heads whose gaze moves most
  for (var head = thread; head < params.heads; head += THREADS) {
    var total = 0.0;
    for (var j = 0u; j < keys; j++) {
      total += gaze_shifts[(batch * params.heads + head) * keys + j];
    }
    totals[min(head, TOTALS - 1u)] = total;
  }
  workgroupBarrier();
  for (var head = thread; head < params.heads; head += THREADS) {
    chosen[min(head, TOTALS - 1u)] = select(0u, 1u, in_top_half(head));
  }
  workgroupBarrier();

  // 2. their average, and its mean
  let norm = 1.0 / (f32(max(params.heads / 2u, 1u)) * f32(gaze.rows));
  var own = 0.0;
  for (var j = thread; j < keys; j += THREADS) {
    var sum = 0.0;
    for (var head = 0u; head < params.heads; head++) {
      if (chosen[min(head, TOTALS - 1u)] == 1u) {
        sum += gaze_shifts[(batch * params.heads + head) * keys + j];
      }
    }
    averages[batch * keys + j] = sum * norm;
    own += sum * norm;
  }
  sums[thread] = own;
  workgroupBarrier();
  let mean = sum_of_all() / f32(keys);
  workgroupBarrier();

  // 3. its standard deviation, and the range that is left
  var squares = 0.0;
  for (var j = thread; j < keys; j += THREADS) {
    let distance = averages[batch * keys + j] - mean;
    squares += distance * distance;
  }
  sums[thread] = squares;
  workgroupBarrier();
  let spread = DEVIATIONS * sqrt(sum_of_all() / f32(max(keys, 2u) - 1u));
  var range = vec2f(3e38, -3e38);
  for (var j = thread; j < keys; j += THREADS) {
    let value = clamp(averages[batch * keys + j], mean - spread, mean + spread);
    range = vec2f(min(range.x, value), max(range.y, value));
  }
  bounds[thread] = range;
  workgroupBarrier();
  for (var n = 0u; n < THREADS; n++) {
    range = vec2f(min(range.x, bounds[n].x), max(range.y, bounds[n].y));
  }
  for (var j = thread; j < keys; j += THREADS) {
    let value = clamp(averages[batch * keys + j], mean - spread, mean + spread);
    saliency[batch * keys + j] = select(0.0, (value - range.x) / (range.y - range.x), range.y > range.x);
  }
}

// φ(x) = max over some channels of |x_d| / RMS(x) of hidden states (VAR, arXiv 2503.03321): LANES threads a token, each of which
// squares every LANES-th vec4.
import package::_shared::storage::{ Word, four, one, word_of };
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::softmax::params::{ params, terms };
import super::operations::shift;

const THREADS: u32 = 64u;
const LANES: u32 = 16u;
const EPSILON = 1e-6;

@group(0) @binding(21) var<storage, read> hidden: array<Word>;
/// [probes, batches, tokens_k]
@group(0) @binding(22) var<storage, read_write> scores: array<f32>;

var<workgroup> lane_sums: array<f32, THREADS>;

@if(vec4) fn hidden_square(row: u32, c: u32) -> f32 {
  let channels = four(hidden[word_of(row + 4u * c)]);
  return dot(channels, channels);
}
@if(!vec4) fn hidden_square(row: u32, c: u32) -> f32 {
  var sum = 0.0;
  for (var channel = 4u * c; channel < min(4u * c + 4u, shift.channels); channel++) {
    let value = hidden_channel(row, channel);
    sum += value * value;
  }
  return sum;
}

@if(vec4) fn hidden_channel(row: u32, channel: u32) -> f32 {
  return four(hidden[word_of(row + channel / 4u * 4u)])[channel % 4u];
}
@if(!vec4) fn hidden_channel(row: u32, channel: u32) -> f32 {
  let place = row + channel * shift.strides_hidden.w;
  return one(hidden[word_of(place)], place);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let tokens = params.batches * params.tokens_k;
  let lane = thread % LANES;
  let index = group * (THREADS / LANES) + thread / LANES;
  let token = min(index, tokens - 1u);
  let row = shift.base_hidden + dot(vec2u(token / params.tokens_k, token % params.tokens_k), shift.strides_hidden.xy);

  var squares = 0.0;
  for (var c = lane; c < ceil_div(shift.channels, 4u); c += LANES) {
    squares += hidden_square(row, c);
  }
  if (LANES > 1u) {
    lane_sums[thread] = squares;
    workgroupBarrier();
    squares = 0.0;
    for (var other = 0u; other < LANES; other++) {
      squares += lane_sums[thread - lane + other];
    }
  }
  if (lane > 0u || index >= tokens) {
    return;
  }
  let scale = inverseSqrt(squares / f32(shift.channels) + EPSILON);
  for (var probe = 0u; probe < shift.probes; probe++) {
    let first = terms[shift.probes_at + 2u * probe];
    var largest = 0.0;
    for (var n = first; n < first + terms[shift.probes_at + 2u * probe + 1u]; n++) {
      largest = max(largest, abs(hidden_channel(row, terms[shift.probes_at + n])));
    }
    scores[probe * tokens + index] = largest * scale;
  }
}

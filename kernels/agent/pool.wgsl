// Adaptive average pooling of queries seen as an image (torch's AdaptiveAvgPool2d): bin a of an axis of length n cut into p bins
// averages places floor(a n / p) to ceil((a + 1) n / p) - 1, so bins overlap where p does not divide n.
//
// A workgroup owns one bin of one head: LANES threads side by side over the channels, PARTS of them for lines of the bin in turn.
import package::_shared::storage::{ Word, four, one, word_of };
import package::_shared::workgroup_index::workgroup_index;
import super::windows::tensor_place;

const HEAD_DIM: u32 = 64u;
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
/// Channels of an output row that are written; those past HEAD_DIM are zero.
const OUT_DIM: u32 = 64u;
const LANES: u32 = 16u;
const PARTS: u32 = 4u;
const THREADS = LANES * PARTS;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_agents: vec4u,
  /// Windows side by side, rows and columns of a window, columns of the whole image.
  windows: vec4u,
  windows_per_image: u32,
  base_x: u32,
  base_agents: u32,
  heads: u32,
  /// Tokens before the image.
  class_tokens: u32,
  rows: u32,
  columns: u32,
  bin_rows: u32,
  bin_columns: u32,
  /// This dispatch's share of the problem: first workgroup, and how many.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> agents: array<f32>;

var<workgroup> part_sum: array<vec4f, THREADS>; // [PARTS, LANES]

@if(!vec4) fn x_channel(row: u32, channel: u32) -> f32 {
  let place = row + min(channel, HEAD_DIM - 1u) * params.strides_x.w;
  return select(0.0, one(x[word_of(place)], place), channel < HEAD_DIM);
}

@if(vec4) fn load_x(row: u32, c: u32) -> vec4f { return four(x[row / 4u + c]); }
@if(!vec4) fn load_x(row: u32, c: u32) -> vec4f {
  return vec4f(x_channel(row, 4u * c), x_channel(row, 4u * c + 1u), x_channel(row, 4u * c + 2u), x_channel(row, 4u * c + 3u));
}

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
  let bins = params.bin_rows * params.bin_columns;
  let bin = index % bins;
  let head = index / bins % params.heads;
  let entry = index / (bins * params.heads);
  let bin_place = vec2u(bin / params.bin_columns, bin % params.bin_columns);
  let size = vec2u(params.rows, params.columns);
  let bin_counts = vec2u(params.bin_rows, params.bin_columns);
  let first = bin_place * size / bin_counts;
  let end = ((bin_place + 1u) * size + bin_counts - 1u) / bin_counts;
  let count = (end.x - first.x) * (end.y - first.y);
  let lane = thread % LANES;
  let part = thread / LANES;

  for (var first_c = 0u; first_c < HEAD_DIM4; first_c += LANES) {
    let c = min(first_c + lane, HEAD_DIM4 - 1u);
    var sum = vec4f();
    for (var line = first.x + part; line < end.x; line += PARTS) {
      // Neighbours of a line are neighbours in the tensor, in windows too.
      let token = params.class_tokens + line * params.columns + first.y;
      let place = tensor_place(entry, token, params.windows_per_image, params.windows);
      var row = params.base_x + dot(vec3u(place, head), params.strides_x.xyz);
      for (var column = first.y; column < end.y; column++) {
        sum += load_x(row, c);
        row += params.strides_x.y;
      }
    }
    if (PARTS > 1u) {
      part_sum[thread] = sum;
      workgroupBarrier();
      for (var p = 1u; p < PARTS; p++) {
        sum += part_sum[min(p * LANES + lane, THREADS - 1u)];
      }
      workgroupBarrier();
    }
    if (part == 0u && first_c + lane < HEAD_DIM4) {
      let mean = sum / f32(count);
      let row = params.base_agents + dot(vec3u(entry, bin, head), params.strides_agents.xyz);
      for (var i = 0u; i < min(4u, OUT_DIM - 4u * c); i++) {
        agents[row + (4u * c + i) * params.strides_agents.w] = mean[i];
      }
    }
  }
}

// Mean over the first lengths[b] tokens of each batch entry; zeros where there are none. A thread owns a channel.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };

const THREADS = 64u;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_out: vec4u,
  base_x: u32,
  base_out: u32,
  batches: u32,
  tokens: u32,
  dim: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
/// [batches]
@group(0) @binding(2) var<storage, read> lengths: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let blocks = ceil_div(params.dim, THREADS);
  let index = workgroup_index(group_id, group_counts);
  let batch = index / blocks;
  let channel = index % blocks * THREADS + thread;
  if (batch >= params.batches || channel >= params.dim) {
    return;
  }
  let length = min(lengths[batch], params.tokens);
  var place = params.base_x + batch * params.strides_x.x + channel * params.strides_x.w;
  var sum = 0.0;
  for (var token = 0u; token < length; token++) {
    sum += x[place];
    place += params.strides_x.y;
  }
  out[params.base_out + batch * params.strides_out.x + channel * params.strides_out.w] = sum / f32(max(length, 1u));
}

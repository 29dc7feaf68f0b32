// Sums of f32 as an output of f16, four channels a thread.
import package::_shared::storage::{ OutWord, word_of };
@if(vec4) import package::_shared::storage::packed;
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_out: vec4u,
  base_out: u32,
  batches: u32,
  tokens: u32,
  outer: u32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

const THREADS: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
/// [batch * tokens, ceil(outer / 4)]
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<OutWord>;

@if(!vec4 && !half_out) fn store_channel(place: u32, value: f32) { out[place] = value; }
@if(!vec4 && half_out) fn store_channel(place: u32, value: f32) {
  let shift = 16u * (place % 2u);
  atomicAnd(&out[place / 2u], ~(0xffffu << shift));
  atomicOr(&out[place / 2u], (pack2x16float(vec2f(value, 0.0)) & 0xffffu) << shift);
}

@if(vec4) fn store_out(row: u32, n: u32, channels: vec4f) {
  out[word_of(row + 4u * n)] = packed(channels);
}

@if(!vec4) fn store_out(row: u32, n: u32, channels: vec4f) {
  for (var i = 0u; i < min(4u, params.outer - 4u * n); i++) {
    store_channel(row + (4u * n + i) * params.strides_out.w, channels[i]);
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  let columns = ceil_div(params.outer, 4u);
  if (group >= params.first_group + params.groups || index >= params.batches * params.tokens * columns) {
    return;
  }
  let row = index / columns;
  let place = params.base_out + dot(vec2u(row / params.tokens, row % params.tokens), params.strides_out.xy);
  store_out(place, index % columns, sums[index]);
}

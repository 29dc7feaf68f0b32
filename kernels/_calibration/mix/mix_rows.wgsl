// The outputs of patterns that mix_terms.wgsl describes, in place of those of the patterns before. A thread takes four channels of a row;
// rows whose pattern is as it was are left alone, and what weighs nothing is not read.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::{ VALUE_DIM, VALUE_DIM4, params };
import package::softmax::tensors::{ load_v, out, row_out, row_v, store_out };
@if(vec4 && half_q) import package::softmax::tensors::unpack4;

const THREADS = 64u;
const HAS_SUMS: bool = false;
const HAS_MEAN: bool = false;
/// `mean_out` has a row for each head instead of each query.
const MEAN_WHOLE: bool = false;

@group(0) @binding(19) var<storage, read> factors: array<vec4u>;
/// Rows [VALUE_DIM4]: sums of values.
@group(0) @binding(15) var<storage, read> value_sums: array<vec4f>;
/// [batches, tokens_q or 1, heads, VALUE_DIM4]
@group(0) @binding(16) var<storage, read> mean_out: array<vec4f>;

@if(vec4 && !half_q) fn load_out(row: u32, c: u32) -> vec4f { return out[row / 4u + c]; }
@if(vec4 && half_q) fn load_out(row: u32, c: u32) -> vec4f { return unpack4(out[row / 4u + c]); }
@if(!vec4 && !half_q) fn out_element(place: u32) -> f32 { return out[place]; }
@if(!vec4 && half_q) fn out_element(place: u32) -> f32 { return unpack2x16float(atomicLoad(&out[place / 2u]))[place % 2u]; }
@if(!vec4) fn load_out(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    channels[i] = out_element(row + (4u * c + i) * params.strides_out.w);
  }
  return channels;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let place = group * THREADS + thread;
  let rows = params.batches * params.heads * params.tokens_q;
  if (group >= params.first_group + params.groups || place >= rows * VALUE_DIM4) {
    return;
  }
  let column = place % VALUE_DIM4;
  let index = place / VALUE_DIM4;
  let first = factors[2u * index];
  let second = factors[2u * index + 1u];
  let base = bitcast<f32>(first.x);
  let own = bitcast<f32>(first.y);
  let best = bitcast<f32>(first.w);
  let seen = bitcast<f32>(second.y);
  let mean = bitcast<f32>(second.w);
  if (base == 1.0 && own == 0.0 && best == 0.0 && seen == 0.0 && mean == 0.0) {
    return;
  }
  let token = index % params.tokens_q;
  let head = index / params.tokens_q % params.heads;
  let batch = index / (params.tokens_q * params.heads);
  let kv_head = head / params.heads_per_kv;
  let row = row_out(batch, token, head);
  var channels = vec4f();
  if (base != 0.0) {
    channels = base * load_out(row, column);
  }
  if (own != 0.0) {
    channels += own * load_v(row_v(batch, first.z, kv_head), column);
  }
  if (best != 0.0) {
    channels += best * load_v(row_v(batch, second.x, kv_head), column);
  }
  if (HAS_SUMS && seen != 0.0) {
    channels += seen * value_sums[second.z * VALUE_DIM4 + column];
  }
  if (HAS_MEAN && mean != 0.0) {
    let mean_row = select((batch * params.tokens_q + token) * params.heads + head, batch * params.heads + head, MEAN_WHOLE);
    channels += mean * mean_out[mean_row * VALUE_DIM4 + column];
  }
  store_out(row, column, channels);
}

// out = x activation(gate) + residual, element by element.
import package::_shared::workgroup_index::workgroup_index;
import super::activation::activation;

const THREADS: u32 = 64u;
const HAS_GATE: bool = true;
const HAS_RESIDUAL: bool = false;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_x: vec4u,
  strides_gate: vec4u,
  strides_residual: vec4u,
  strides_out: vec4u,
  base_x: u32,
  base_gate: u32,
  base_residual: u32,
  base_out: u32,
  batches: u32,
  tokens: u32,
  dim: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> gate: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts) * THREADS + thread;
  let row = index / params.dim;
  if (row >= params.batches * params.tokens) {
    return;
  }
  let place = vec3u(row / params.tokens, row % params.tokens, index % params.dim);
  var value = x[params.base_x + dot(place, params.strides_x.xyw)];
  if (HAS_GATE) {
    value *= activation(vec4f(gate[params.base_gate + dot(place, params.strides_gate.xyw)])).x;
  }
  if (HAS_RESIDUAL) {
    value += residual[params.base_residual + dot(place, params.strides_residual.xyw)];
  }
  out[params.base_out + dot(place, params.strides_out.xyw)] = value;
}

// The state that enters a problem and the one that leaves it: s [B, H, D, Dv] and z [B, H, D, 1], f32, strided.
import super::params::{ HEAD_DIM, NORMALIZE, VALUE_DIM, VALUE_DIM4, params };

const HAS_INITIAL: bool = false;
const HAS_FINAL: bool = false;

@group(0) @binding(8) var<storage, read> initial_s: array<f32>;
@group(0) @binding(9) var<storage, read> initial_z: array<f32>;
@group(0) @binding(10) var<storage, read_write> final_s: array<f32>;
@group(0) @binding(11) var<storage, read_write> final_z: array<f32>;

/// Columns 4c to 4c + 3 of a row of the entering state, in the layout of stored states: z stands past the values.
fn initial_columns(batch: u32, head: u32, row: u32, c: u32) -> vec4f {
  var columns = vec4f();
  if (HAS_INITIAL) {
    if (row < HEAD_DIM) {
      if (c < VALUE_DIM4) {
        let place = params.base_initial_s + dot(vec3u(batch, head, row), params.strides_initial_s.xyz);
        for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
          columns[i] = initial_s[place + (4u * c + i) * params.strides_initial_s.w];
        }
      } else if (NORMALIZE) {
        columns.x = initial_z[params.base_initial_z + dot(vec3u(batch, head, row), params.strides_initial_z.xyz)];
      }
    }
  }
  return columns;
}

fn store_final(batch: u32, head: u32, row: u32, c: u32, columns: vec4f) {
  if (HAS_FINAL) {
    if (row < HEAD_DIM) {
      if (c < VALUE_DIM4) {
        let place = params.base_final_s + dot(vec3u(batch, head, row), params.strides_final_s.xyz);
        for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
          final_s[place + (4u * c + i) * params.strides_final_s.w] = columns[i];
        }
      } else if (NORMALIZE) {
        final_z[params.base_final_z + dot(vec3u(batch, head, row), params.strides_final_z.xyz)] = columns.x;
      }
    }
  }
}

// The log-sum-exp of rows that attention left.
import package::softmax::params::params;

@group(0) @binding(5) var<storage, read> lse: array<f32>;

/// Any number, 0, for a row that sees nothing: whoever asks does not rely on it.
fn row_lse(batch: u32, token: u32, head: u32) -> f32 {
  let value = lse[params.base_lse + dot(vec3u(batch, token, head), params.strides_lse.xyz)];
  // By its bits, since compilers may assume that there are no infinities.
  return select(value, 0.0, bitcast<u32>(value) == 0xff800000u);
}

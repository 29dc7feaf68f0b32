import super::params::params;

const WRITE_LSE: bool = false;

@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

/// lse = row_max + log(row_sum); minus infinity, written as its bits, for a row that saw no key.
fn store_lse(batch: u32, token: u32, head: u32, row_max: f32, row_sum: f32) {
  if (WRITE_LSE) {
    var value = row_max + log(row_sum);
    if (row_sum == 0.0) {
      // Through a variable: a constant expression could not hold an infinity.
      var infinity = 0xff800000u;
      value = bitcast<f32>(infinity);
    }
    lse[params.base_lse + dot(vec3u(batch, token, head), params.strides_lse.xyz)] = value;
  }
}

import package::_calibration::row_terms::{ NO_TERM_KEY, RowTerms };
import package::_calibration::shift::pattern::{ Row, row_of };
import package::_calibration::shift::row_state::finite_lse;
import package::softmax::params::params;

/// Bits of f32, since it may be minus infinity.
@group(0) @binding(5) var<storage, read> lse: array<u32>;

fn plain_row(batch: u32, head: u32, token: u32) -> Row {
  let bits = lse[params.base_lse + dot(vec3u(batch, token, head), params.strides_lse.xyz)];
  return row_of(batch, head, token, finite_lse(bits), RowTerms(1.0, 0.0, 0.0, NO_TERM_KEY));
}

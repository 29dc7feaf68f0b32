// Sets of keys, a bit a key.
import package::_shared::workgroup_index::ceil_div;
import package::softmax::params::{ params, terms };
import super::sweep_params::sweep;

/// Which of four keys from `first` on, a multiple of 4, belong to a set: 1 or 0.
fn members(chosen: u32, first: u32) -> vec4f {
  let words = ceil_div(params.tokens_k, 32u);
  let bits = terms[sweep.sets_at + chosen * words + min(first / 32u, words - 1u)] >> (first % 32u);
  return vec4f((vec4u(bits) >> vec4u(0u, 1u, 2u, 3u)) & vec4u(1u));
}

// Gathers what is known of each row before a shift, so that the kernel that scores binds one buffer for it. A thread a row.
import package::_calibration::row_terms::{ NO_TERM_KEY, row_terms_of };
import package::_shared::online_softmax::NO_KEY;
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::params;
import super::masses::HAS_PART;
import super::operations::{ operation_word, shift };
import super::row_state::{ AT_LSE, AT_TERMS, finite_lse, row_state, state_place };

const THREADS: u32 = 64u;

/// Bits of f32, since it may be minus infinity.
@group(0) @binding(5) var<storage, read> lse: array<u32>;
/// [batches, heads, tokens_q] of attention to the recipients.
@group(0) @binding(23) var<storage, read> part_lse: array<u32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  if (group >= params.first_group + params.groups || index >= shift.operations * params.tokens_q) {
    return;
  }
  let operation = index / params.tokens_q;
  let token = index % params.tokens_q;
  let batch = operation_word(operation, 0u);
  let head = operation_word(operation, 1u);
  let place = state_place(operation, token);
  let total = finite_lse(lse[params.base_lse + dot(vec3u(batch, token, head), params.strides_lse.xyz)]);
  let left = row_terms_of(batch, head, token);
  var part = 0.0;
  if (HAS_PART) {
    let own = finite_lse(part_lse[(batch * params.heads + head) * params.tokens_q + token]);
    part = left.a * select(exp(own - total), 0.0, own == NO_KEY);
  }
  row_state[place + AT_LSE] = vec4f(total, part, 0.0, 0.0);
  row_state[place + AT_TERMS] = vec4f(left.a, left.b, left.c, select(f32(left.key), -1.0, left.key == NO_TERM_KEY));
}

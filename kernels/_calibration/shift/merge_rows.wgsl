// Log-sum-exp of rows that attend to their keys in three parts, and what each part weighs. A thread a row.
import package::_shared::online_softmax::{ ANY_KEY, NO_KEY };
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::lse::store_lse;
import package::softmax::params::{ params, sink_logit };
import super::lists::list_place;
import super::operations::{ operation_of, shift };
import super::row_state::{ AT_LSE, AT_TERMS, HAS_AFTER, HAS_BEFORE, finite_lse, row_state, state_place };
import super::rows_chosen::first_chosen;

const THREADS: u32 = 64u;
const HAS_SINK: bool = false;

@group(0) @binding(24) var<storage, read> lists: array<u32>;
/// [batches, heads, tokens_q] over the recipients, over the keys before and after them. Bits of f32.
@group(0) @binding(21) var<storage, read> part_lse: array<u32>;
@group(0) @binding(22) var<storage, read> lse_before: array<u32>;
@group(0) @binding(23) var<storage, read> lse_after: array<u32>;

fn share(own: f32, largest: f32) -> f32 {
  return select(exp(own - largest), 0.0, own <= ANY_KEY);
}

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
  let token = index % params.tokens_q;
  let operation = operation_of(index / params.tokens_q);
  let sinks = lists[list_place(operation.batch, operation.head, params.tokens_k)];
  if (sinks == 0u || token < first_chosen(operation)) {
    return;
  }
  let row = (operation.batch * params.heads + operation.head) * params.tokens_q + token;
  var parts = vec3f(finite_lse(part_lse[row]), NO_KEY, NO_KEY);
  if (HAS_BEFORE) {
    parts.y = finite_lse(lse_before[row]);
  }
  if (HAS_AFTER) {
    parts.z = finite_lse(lse_after[row]);
  }
  var sink = NO_KEY;
  if (HAS_SINK) {
    sink = sink_logit(operation.head);
  }
  let largest = max(max(parts.x, parts.y), max(parts.z, sink));
  let shares = vec3f(share(parts.x, largest), share(parts.y, largest), share(parts.z, largest));
  let sum = shares.x + shares.y + shares.z + share(sink, largest);
  store_lse(operation.batch, token, operation.head, largest, sum);
  let place = state_place(index / params.tokens_q, token);
  let norm = select(1.0 / sum, 0.0, sum == 0.0);
  row_state[place + AT_LSE] = vec4f(select(largest + log(sum), NO_KEY, sum == 0.0), shares * norm);
  row_state[place + AT_TERMS] = vec4f(1.0, 0.0, 0.0, -1.0);
}

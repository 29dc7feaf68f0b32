// Which rows of each head attend to all keys at once, and which to their three parts: those that a shift may change, in heads that have
// sinks. Lists as softmax attention takes them. A workgroup has a head.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::{ params, terms };
import super::lists::list_place;
import super::operations::{ NONE, operation_of, shift };
import super::rows_chosen::first_chosen;

const THREADS: u32 = 64u;

@group(0) @binding(24) var<storage, read> lists: array<u32>;
/// [batches, heads, 1 + tokens_q]
@group(0) @binding(21) var<storage, read_write> whole_rows: array<u32>;
@group(0) @binding(22) var<storage, read_write> cut_rows: array<u32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let number = terms[shift.heads_at + index];
  var first = params.tokens_q;
  if (number != NONE && lists[list_place(index / params.heads, index % params.heads, params.tokens_k)] > 0u) {
    first = first_chosen(operation_of(number));
  }
  let place = index * (1u + params.tokens_q);
  if (thread == 0u) {
    whole_rows[place] = first;
    cut_rows[place] = params.tokens_q - first;
  }
  for (var token = thread; token < params.tokens_q; token += THREADS) {
    if (token < first) {
      whole_rows[place + 1u + token] = token;
    } else {
      cut_rows[place + 1u + token - first] = token;
    }
  }
}

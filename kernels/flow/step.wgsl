// One token of the causal form, in one dispatch: updates the state and reads the output from it. A workgroup takes one head; a
// thread has a vec4 of the head's channels first, then a column of the matrix for every ROW_GROUPS-th channel.
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::workgroup_index;
import super::flow::{ flow, logistic, logistic4 };
import super::output::{ row_out, store_out };
import super::params::{ BOUNDED, HEAD_DIM, HEAD_DIM4, TILE, VALUE_DIM4, params, query_length };
import super::state::{ STATE_MATRIX, STATE_VECTORS, joined, state_out_place, state_vec4 };
import super::values::{ first_value, load_v };

const WRITE_STATE: bool = false;
/// The smallest power of two that is at least VALUE_DIM4.
const VALUE_THREADS: u32 = 16u;
const ROW_GROUPS = TILE / VALUE_THREADS;
const RUN = 8u;

@group(0) @binding(3) var<storage, read> q: array<Word>;
@group(0) @binding(4) var<storage, read> k: array<Word>;
@group(0) @binding(9) var<storage, read_write> state_out: array<vec4f>;

var<workgroup> thread_flows: array<vec2f, TILE>;
var<workgroup> run_flows: array<vec2f, RUN>;
var<workgroup> thread_sums: array<vec4f, TILE>;
var<workgroup> query_channels: array<vec4f, HEAD_DIM4>;
var<workgroup> key_channels: array<vec4f, HEAD_DIM4>;

/// Channels 4c to 4c + 3 of the head's row that starts at element `row`, zero past its end.
@if(vec4) fn load_q(row: u32, c: u32) -> vec4f { return logistic4(four(q[word_of(row + 4u * c)])); }
@if(vec4) fn load_k(row: u32, c: u32) -> vec4f { return logistic4(four(k[word_of(row + 4u * c)])); }
@if(!vec4) fn load_q(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_q.w;
    channels[i] = one(q[word_of(place)], place);
  }
  return select(vec4f(), logistic4(channels), 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(HEAD_DIM));
}
@if(!vec4) fn load_k(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, HEAD_DIM - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_k.w;
    channels[i] = one(k[word_of(place)], place);
  }
  return select(vec4f(), logistic4(channels), 4u * c + vec4u(0u, 1u, 2u, 3u) < vec4u(HEAD_DIM));
}

/// Sum of every thread's value, the same in every thread. All threads call it together.
fn total_flows(value: vec2f, thread: u32) -> vec2f {
  thread_flows[thread] = value;
  workgroupBarrier();
  if (thread < RUN) {
    var sum = vec2f();
    for (var n = 0u; n < TILE / RUN; n++) {
      sum += thread_flows[thread * (TILE / RUN) + n];
    }
    run_flows[thread] = sum;
  }
  workgroupBarrier();
  var total = vec2f();
  for (var n = 0u; n < RUN; n++) {
    total += run_flows[n];
  }
  return total;
}

fn put_state(head: u32, element: u32, value: vec4f) {
  if (WRITE_STATE) {
    state_out[state_out_place(head) + element] = value;
  }
}

@compute @workgroup_size(TILE)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let head = params.first_group + workgroup_index(group_id, group_counts);
  if (head >= params.first_group + params.groups) {
    return;
  }
  let batch = head / params.heads;
  // Padding leaves the state as it is, and is not read.
  let valid = query_length(batch) > 0u;
  let carried = state_vec4(head, 0u);
  let count = carried.z + 1.0;

  // 1. flows
  var query = vec4f();
  var key = vec4f();
  if (thread < HEAD_DIM4 && valid) {
    query = load_q(params.base_q + batch * params.strides_q.x + head % params.heads * params.strides_q.z, thread);
    key = load_k(params.base_k + batch * params.strides_k.x + head % params.heads * params.strides_k.z, thread);
  }
  var sums = array<vec4f, 4>();
  if (thread < HEAD_DIM4) {
    query_channels[thread] = query;
    key_channels[thread] = key;
    for (var kind = 0u; kind < 4u; kind++) {
      sums[kind] = state_vec4(head, STATE_VECTORS + kind * HEAD_DIM4 + thread);
    }
    sums[0u] += query;
    sums[1u] += key;
  }
  var own = vec2f();
  if (thread < HEAD_DIM4) {
    own = vec2f(flow(query, sums[1u], thread), flow(key, sums[0u], thread));
  }
  let flows = total_flows(own, thread);

  // 2. conserved flows
  if (thread < HEAD_DIM4) {
    sums[2u] += query * (count / flows.x);
    sums[3u] += key * (count / flows.y);
    own = vec2f(flow(query, sums[3u], thread), flow(key, sums[2u], thread));
    for (var kind = 0u; kind < 4u; kind++) {
      put_state(head, STATE_VECTORS + kind * HEAD_DIM4 + thread, sums[kind]);
    }
  }
  let conserved = total_flows(own, thread) / count;

  // 3. competition
  let score = min(conserved.y, params.clamp);
  let most = select(score, 0.0, BOUNDED);
  let competition = joined(carried.xy, vec2f(most, exp(score - most)));
  let share = count * exp(score - competition.x) / competition.y;
  if (thread == 0u) {
    put_state(head, 0u, select(carried, vec4f(competition, count, 0.0), valid));
  }

  // 4. matrix and output
  let column = thread % VALUE_THREADS;
  var sum = vec4f();
  if (column < VALUE_DIM4) {
    var value = vec4f();
    if (valid) {
      value = load_v(first_value(head), column) * share;
    }
    for (var row = thread / VALUE_THREADS; row < 4u * HEAD_DIM4; row += ROW_GROUPS) {
      let element = STATE_MATRIX + row * VALUE_DIM4 + column;
      let updated = state_vec4(head, element) + key_channels[row / 4u][row % 4u] * value;
      put_state(head, element, updated);
      sum += query_channels[row / 4u][row % 4u] * updated;
    }
  }
  thread_sums[thread] = sum;
  workgroupBarrier();
  if (thread < VALUE_DIM4) {
    var total = vec4f();
    for (var group = 0u; group < ROW_GROUPS; group++) {
      total += thread_sums[group * VALUE_THREADS + thread];
    }
    store_out(row_out(head, 0u), thread, total * (logistic(conserved.x) / flows.x));
  }
}

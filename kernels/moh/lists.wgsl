// Which tokens each head is active for: their number, then the tokens in ascending order. A workgroup has a head of one batch entry
// and a thread a run of its tokens: it counts them, finds how many the threads before it have, and writes its own. No atomics, so
// that the order is always the same.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::active::is_active_gate;
import super::router_params::{ params, place_gate, routed_heads };

const THREADS: u32 = 64u;
/// The sums that the load-balance loss is made of are wanted as well.
const WRITE_SHARES: bool = false;

@group(0) @binding(1) var<storage, read> gates: array<f32>;
/// [batch, heads, 1 + tokens]
@group(0) @binding(2) var<storage, read_write> lists: array<u32>;
/// [batch * tokens, routed heads]
@group(0) @binding(3) var<storage, read> probabilities: array<f32>;
/// [batch, routed heads] sum of probabilities, number of tokens that took the head
@group(0) @binding(4) var<storage, read_write> shares: array<vec2f>;

var<workgroup> counts: array<u32, THREADS>;
var<workgroup> sums: array<f32, THREADS>;

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
  let batch = index / params.heads;
  let head = index % params.heads;
  let run = ceil_div(params.tokens, THREADS);
  let begin = min(thread * run, params.tokens);
  let end = min(begin + run, params.tokens);
  let is_routed = head >= params.shared_heads;

  // 1. how many, and how probable
  var count = 0u;
  var sum = 0.0;
  for (var token = begin; token < end; token++) {
    let row = batch * params.tokens + token;
    count += select(0u, 1u, is_active_gate(gates[place_gate(row, head)]));
    if (WRITE_SHARES && is_routed) {
      sum += probabilities[row * routed_heads() + head - params.shared_heads];
    }
  }
  counts[thread] = count;
  sums[thread] = sum;
  workgroupBarrier();

  // 2. how many before
  var before = 0u;
  for (var other = 0u; other < thread; other++) {
    before += counts[other];
  }

  // 3. which
  let first = index * (1u + params.tokens);
  var place = first + 1u + before;
  for (var token = begin; token < end; token++) {
    if (is_active_gate(gates[place_gate(batch * params.tokens + token, head)])) {
      lists[place] = token;
      place++;
    }
  }
  if (thread == THREADS - 1u) {
    lists[first] = before + count;
  }
  if (WRITE_SHARES && is_routed && thread == 0u) {
    var share = vec2f();
    for (var other = 0u; other < THREADS; other++) {
      share += vec2f(sums[other], f32(counts[other]));
    }
    shares[batch * routed_heads() + head - params.shared_heads] = share;
  }
}

// Gates of one token a thread. Which heads are among the top k is a matter of order: the head of rank k - 1 is the last that is
// taken, and all before it are, larger scores first and lower heads first among equals. The order is total, NaN before all others
// as in PyTorch, so that k heads are taken whatever the scores are; a gate made of NaN is NaN.
import package::_shared::workgroup_index::workgroup_index;
import super::router_params::{ params, place_gate, routed_heads, row_scores };

const THREADS: u32 = 64u;
/// Gates are softmaxes of learned logits, else 1.
const LEARNED: bool = true;
/// The shared heads have logits of their own, after the routed ones.
const SHARED_LOGITS: bool = true;
/// The two logits after all others weigh shared against routed heads.
const BALANCED: bool = true;
const WRITE_PROBABILITIES: bool = false;

/// Least sum of probabilities that is divided by: f32's epsilon.
const LEAST_SUM = 1.1920929e-7;
/// An active head's gate is never 0, which says that a head is not: its exponential may be too small for f32.
const LEAST_GATE = 1.1754944e-38;

@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> gates: array<f32>;
/// [batch * tokens, routed heads]
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>;

/// The last head that is taken.
struct Last {
  key: u32,
  head: u32,
}

/// An integer in the order of the scores; both zeros are equal, and NaN is above all.
fn sort_key(score: f32) -> u32 {
  let bits = bitcast<u32>(score);
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return 0xffffffffu;
  }
  return select(0x80000000u + magnitude, 0x80000000u - magnitude, bits != magnitude);
}

fn last_taken(first: u32, count: u32) -> Last {
  var last = Last(0u, 0u);
  for (var head = 0u; head < count; head++) {
    let own = sort_key(scores[first + head]);
    var rank = 0u;
    for (var other = 0u; other < count; other++) {
      let key = sort_key(scores[first + other]);
      rank += select(0u, 1u, key > own || (key == own && other < head));
    }
    if (rank + 1u == params.top_k) {
      last = Last(own, head);
    }
  }
  return last;
}

fn is_taken(last: Last, score: f32, head: u32) -> bool {
  let key = sort_key(score);
  return params.top_k > 0u && (key > last.key || (key == last.key && head <= last.head));
}

/// Not by max, which would take the number where the gate is NaN.
fn at_least(gate: f32) -> f32 {
  return select(gate, LEAST_GATE, gate < LEAST_GATE);
}

fn largest(first: u32, count: u32) -> f32 {
  var most = scores[first];
  for (var i = 1u; i < count; i++) {
    most = max(most, scores[first + i]);
  }
  return most;
}

/// Factors of shared and of routed gates, whose sum is 2.
fn balance(first: u32) -> vec2f {
  let logits = vec2f(scores[first], scores[first + 1u]);
  let powers = exp(logits - max(logits.x, logits.y));
  return 2.0 * powers / (powers.x + powers.y);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let row = group * THREADS + thread;
  if (group >= params.first_group + params.groups || row >= params.batches * params.tokens) {
    return;
  }
  let routed = routed_heads();
  let first = row_scores(row);
  // Heads that nobody can be routed to have no scores.
  let scored = select(0u, routed, params.top_k > 0u);
  let first_shared = first + scored;
  var alpha = vec2f(1.0);
  if (BALANCED) {
    alpha = balance(first_shared + select(0u, params.shared_heads, SHARED_LOGITS));
  }

  var shared_max = 0.0;
  var shared_sum = 0.0;
  if (SHARED_LOGITS) {
    shared_max = largest(first_shared, params.shared_heads);
    for (var head = 0u; head < params.shared_heads; head++) {
      shared_sum += exp(scores[first_shared + head] - shared_max);
    }
  }
  for (var head = 0u; head < params.shared_heads; head++) {
    var gate = alpha.x;
    if (SHARED_LOGITS) {
      gate *= f32(params.shared_heads) * (exp(scores[first_shared + head] - shared_max) / shared_sum);
    }
    gates[place_gate(row, head)] = at_least(gate);
  }

  if (scored == 0u) {
    for (var head = 0u; head < routed; head++) {
      gates[place_gate(row, params.shared_heads + head)] = 0.0;
    }
    return;
  }
  let last = last_taken(first, routed);
  var most = 0.0;
  var all = 1.0;
  var factor = 1.0;
  if (LEARNED) {
    most = largest(first, routed);
    all = 0.0;
    var taken = 0.0;
    for (var head = 0u; head < routed; head++) {
      let score = scores[first + head];
      let power = exp(score - most);
      all += power;
      taken += select(0.0, power, is_taken(last, score, head));
    }
    factor = alpha.y * f32(params.top_k) / max(taken / all, LEAST_SUM);
  }
  for (var head = 0u; head < routed; head++) {
    let score = scores[first + head];
    var gate = 1.0;
    if (LEARNED) {
      let probability = exp(score - most) / all;
      gate = factor * probability;
      if (WRITE_PROBABILITIES) {
        probabilities[row * routed + head] = probability;
      }
    }
    gates[place_gate(row, params.shared_heads + head)] = select(0.0, at_least(gate), is_taken(last, score, head));
  }
}

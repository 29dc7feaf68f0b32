// Takes the steps of each head's program on each of its rows, as far as numbers go: afterwards the row's pattern is
// base A + own I + best E + seen S + mean M, with A the pattern before, I all weight on its own position, E on the key with the
// largest score, S a weight of 1 on every visible key, M the pattern of the mean query. A thread takes a row.
import package::_shared::online_softmax::ANY_KEY;
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::{ params, sink_logit };
import package::softmax::visibility::{ query_position, visible_range };
import super::arcs::slerp_weights;
import super::path::path_term;
import super::programs::{
  NEEDS_MEAN,
  Program, STEP_ARGMAX, STEP_FISHER_RAO, STEP_GAIN, STEP_IDENTITY, STEP_MEAN, STEP_UNIFORM, TAKES_PATH, WITHOUT_TERMS, program_of, step_of
};
import package::_calibration::row_terms::NO_TERM_KEY;

const THREADS = 64u;
const HAS_SINK: bool = false;
/// A step bends the way to the identity, so that it depends on what the weights are.
const CURVED: bool = false;
/// `mean_lse` has a value for each head instead of each row.
const MEAN_WHOLE: bool = false;
/// Sums of values are given up to each key instead of for each row.
const RUNNING: bool = false;
/// Leave `row_terms` for what comes after.
const WRITE_TERMS: bool = false;

/// As row_facts.wgsl leaves them.
@group(0) @binding(15) var<storage, read> facts: array<vec4u>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
/// [batches, heads, tokens_q or 1]
@group(0) @binding(17) var<storage, read> mean_lse: array<f32>;
/// [batches, heads, tokens_q]
@group(0) @binding(18) var<storage, read> path_lse: array<f32>;
/// [batches, heads, tokens_q, 2]: (base, own, own key, best), (best key, factor of the sum of values, its row, mean)
@group(0) @binding(19) var<storage, read_write> factors: array<vec4u>;
/// As row_terms.wgsl reads it.
@group(0) @binding(20) var<storage, read_write> row_terms: array<vec4u>;

struct Pattern {
  base: f32,
  own: f32,
  best: f32,
  seen: f32,
  mean: f32,
}

fn scaled(pattern: Pattern, factor: f32) -> Pattern {
  return Pattern(
    pattern.base * factor, pattern.own * factor, pattern.best * factor, pattern.seen * factor, pattern.mean * factor
  );
}

/// What a sink logit leaves of a row's sum; 0 for a row that sees nothing.
fn row_total(head: u32, row_lse: f32) -> f32 {
  if (row_lse <= ANY_KEY) {
    return 0.0;
  }
  if (HAS_SINK) {
    return 1.0 - exp(sink_logit(head) - row_lse);
  }
  return 1.0;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  if (group >= params.first_group + params.groups || index >= params.batches * params.heads * params.tokens_q) {
    return;
  }
  let token = index % params.tokens_q;
  let head = index / params.tokens_q % params.heads;
  let batch = index / (params.tokens_q * params.heads);
  let program = program_of(batch, head);
  let fact = facts[index];
  let own_score = bitcast<f32>(fact.x);
  let count = fact.y;
  let best_key = fact.z;
  let sees_itself = own_score > ANY_KEY;
  let own_key = u32(max(query_position(batch, token), 0));
  let on_path = (program.needs & TAKES_PATH) != 0u;

  var pattern = Pattern(1.0, 0.0, 0.0, 0.0, 0.0);
  // Of A: its weight on the own position, its sum. Those of M likewise.
  var own_weight = 0.0;
  var total = 1.0;
  var mean_own = 0.0;
  var mean_total = 1.0;
  if (CURVED || (HAS_SINK && on_path)) {
    let row_lse = lse[params.base_lse + dot(vec3u(batch, token, head), params.strides_lse.xyz)];
    total = row_total(head, row_lse);
    own_weight = exp(own_score - row_lse);
    if (on_path) {
      // The path starts without the sink logit, whose share is taken off here.
      pattern.base = total;
      total = 1.0;
    }
    if (CURVED) {
      // Heads that have none are not in their attentions, whose memory may hold anything there.
      if (on_path) {
        let path = path_term(program.path, count);
        own_weight = exp(path.x * own_score + path.y - path_lse[index]);
      }
      own_weight = select(0.0, own_weight, sees_itself);
      if ((program.needs & NEEDS_MEAN) != 0u) {
        let of_mean = mean_lse[select(index, batch * params.heads + head, MEAN_WHOLE)];
        mean_total = row_total(head, of_mean);
        mean_own = select(0.0, exp(bitcast<f32>(fact.w) - of_mean), sees_itself);
      }
    }
  }

  for (var n = 0u; n < program.steps; n++) {
    let step = step_of(program, n);
    let rest = scaled(pattern, 1.0 - step.u);
    if (step.kind == STEP_GAIN) {
      pattern = scaled(pattern, step.u);
    } else if (step.kind == STEP_IDENTITY && sees_itself) {
      pattern = rest;
      pattern.own += step.u;
    } else if (step.kind == STEP_UNIFORM && count > 0u) {
      pattern = rest;
      pattern.seen += step.u / f32(count);
    } else if (step.kind == STEP_ARGMAX && best_key != NO_TERM_KEY) {
      pattern = rest;
      pattern.best += step.u;
    } else if (step.kind == STEP_MEAN) {
      pattern = rest;
      pattern.mean += step.u;
    } else if (step.kind >= STEP_FISHER_RAO && CURVED && sees_itself) {
      let weight = max(
        pattern.base * own_weight + pattern.own + pattern.seen + select(0.0, pattern.best, best_key == own_key) +
          pattern.mean * mean_own,
        0.0
      );
      let sum = pattern.base * total + pattern.own + pattern.seen * f32(count) + pattern.best + pattern.mean * mean_total;
      // (to_identity I + to_pattern √A)², and its sum
      var to = vec2f(step.u, 1.0 - step.u);
      if (step.kind > STEP_FISHER_RAO) {
        to = slerp_weights(weight, step.u);
      }
      let others = to.y * to.y;
      let root = to.x + to.y * sqrt(weight);
      let moved = others * (sum - weight) + root * root;
      if (moved > 0.0) {
        pattern = scaled(pattern, others * sum / moved);
        pattern.own += (root * root - others * weight) * sum / moved;
      }
    }
  }

  var sum_factor = pattern.seen * f32(count);
  var sum_row = (batch * params.tokens_q + token) * params.heads + head;
  if (RUNNING) {
    let end = visible_range(batch, token).y;
    sum_factor = pattern.seen;
    sum_row = ((batch * params.tokens_k + max(end, 1u) - 1u) * params.heads + head) / params.heads_per_kv;
  }
  factors[2u * index] =
    vec4u(bitcast<u32>(pattern.base), bitcast<u32>(pattern.own), own_key, bitcast<u32>(pattern.best));
  factors[2u * index + 1u] =
    vec4u(best_key, bitcast<u32>(sum_factor), sum_row, bitcast<u32>(pattern.mean));
  if (WRITE_TERMS) {
    // Terms have room for one key: heads with steps to two are without. So a reader shows NaN rather than another pattern.
    let has_terms = (program.needs & WITHOUT_TERMS) == 0u;
    let at_best = pattern.own == 0.0;
    row_terms[index] = vec4u(
      select(0x7fc00000u, bitcast<u32>(pattern.base), has_terms),
      bitcast<u32>(pattern.own + pattern.best),
      bitcast<u32>(pattern.seen),
      select(own_key, best_key, at_best)
    );
  }
}

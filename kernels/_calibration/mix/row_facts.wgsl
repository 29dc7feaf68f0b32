// What mixes have to know of each query row: the score of its own position, how many keys it sees, and which of them has the largest
// score. A thread takes a row; only heads that need the latter two walk over keys, over a range of them in each dispatch.
import package::_shared::online_softmax::{ ANY_KEY, NO_KEY };
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::logits::{ HAS_BIAS, HAS_MASK_MOD, logit };
import package::softmax::params::{ HEAD_DIM4, params };
import package::softmax::rotary::{ ROTARY, key_channels, query_channels };
import package::softmax::tensors::{ load_q, row_k, row_q };
import package::softmax::visibility::{ HAS_KEY_MASK, query_position, visible_range };
import package::_calibration::row_terms::NO_TERM_KEY;
import super::path::path_term;
import super::programs::{ NEEDS_BEST, NEEDS_COUNT, program_of };

const THREADS = 64u;
/// A score may hide its key, so that keys cannot be counted without scores.
const SCORED: bool = false;
/// The rows' own scores alone, for mean queries in the place of others: beside what is known of these.
const OWN_ONLY: bool = false;

const HELD_QUERY = select(1u, HEAD_DIM4, ROTARY);
/// Keys are counted one by one.
const COUNTS_KEYS = HAS_KEY_MASK || HAS_MASK_MOD || HAS_BIAS || SCORED;

/// Some heads take a log-linear path.
const HAS_PATH: bool = false;

struct Walk {
  /// Keys of this dispatch, [begin, end).
  begin: u32,
  end: u32,
}

@group(0) @binding(17) var<uniform> walk: Walk;
/// [batches, heads, tokens_q]: bits of the own score (NO_KEY where it is hidden), visible keys, best key, bits of the best score so far and
/// later of the mean query's own.
@group(0) @binding(15) var<storage, read_write> facts: array<vec4u>;
/// [batches, heads, tokens_q]: what scores on a log-linear path are multiplied by, and what the own score gets besides.
@group(0) @binding(16) var<storage, read_write> path_terms: array<vec2f>;

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
  let kv_head = head / params.heads_per_kv;
  let position = query_position(batch, token);
  let range = visible_range(batch, token);
  let q_row = row_q(batch, token, head);
  // Rotated queries are worth keeping; others are as near in their tensor.
  var held_query = array<vec4f, HELD_QUERY>();
  if (ROTARY) {
    for (var c = 0u; c < HEAD_DIM4; c++) {
      held_query[min(c, HELD_QUERY - 1u)] = query_channels(q_row, c, position);
    }
  }

  var own_score = NO_KEY;
  if (position >= i32(range.x) && position < i32(range.y)) {
    let own = u32(position);
    let k_row = row_k(batch, own, kv_head);
    var product = 0.0;
    for (var c = 0u; c < HEAD_DIM4; c++) {
      var query = vec4f();
      if (ROTARY) {
        query = held_query[min(c, HELD_QUERY - 1u)];
      } else {
        query = load_q(q_row, c);
      }
      product += dot(query, key_channels(k_row, c, position));
    }
    own_score = logit(product, batch, head, token, own, range);
  }

  if (OWN_ONLY) {
    facts[index].w = bitcast<u32>(own_score);
    return;
  }
  let program = program_of(batch, head);
  let wants_count = (program.needs & NEEDS_COUNT) != 0u;
  let wants_best = (program.needs & NEEDS_BEST) != 0u;
  let walks = wants_best || (wants_count && COUNTS_KEYS);
  if (walk.begin > 0u && !walks) {
    return;
  }
  var count = max(range.x, range.y) - range.x;
  var best_score = NO_KEY;
  var best = NO_TERM_KEY;
  if (walks) {
    count = 0u;
    if (walk.begin > 0u) {
      let before = facts[index];
      count = before.y;
      best = before.z;
      best_score = bitcast<f32>(before.w);
    }
    for (var key = max(range.x, walk.begin); key < min(range.y, walk.end); key++) {
      var product = 0.0;
      if (SCORED || wants_best) {
        let k_row = row_k(batch, key, kv_head);
        for (var c = 0u; c < HEAD_DIM4; c++) {
          var query = vec4f();
          if (ROTARY) {
            query = held_query[min(c, HELD_QUERY - 1u)];
          } else {
            query = load_q(q_row, c);
          }
          product += dot(query, key_channels(k_row, c, i32(key)));
        }
      }
      let score = logit(product, batch, head, token, key, range);
      if (score > ANY_KEY) {
        count++;
        if (score > best_score) {
          best_score = score;
          best = key;
        }
      }
    }
  }
  facts[index] = vec4u(bitcast<u32>(own_score), count, best, bitcast<u32>(best_score));
  if (HAS_PATH) {
    path_terms[index] = select(vec2f(1.0, 0.0), path_term(program.path, count), own_score > ANY_KEY);
  }
}

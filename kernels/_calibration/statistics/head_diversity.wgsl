// How much the heads of a group differ: the standard deviation over heads of A_ij, summed over the pairs that all of them see, with
// how many these are. A workgroup takes a tile of rows and a range of keys; a thread has rows of its own and walks the keys, and for
// each tile of keys the heads, with a running mean and sum of squares of each pair.
import package::_shared::online_softmax::{ ANY_KEY, softmax_weight };
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::softmax::logits::logit;
import package::softmax::params::{ HEAD_DIM4, params, terms };
import package::softmax::rotary::{ key_channels, query_channels };
import package::softmax::tensors::{ row_k, row_q };
import package::softmax::visibility::{ query_position, visible_range };
import super::row_lse::row_lse;
import package::_calibration::row_terms::{ pattern_weight, row_terms_of };
import super::statistic_output::group_range;
import super::sweep_params::{ sweep, swept_head };

const THREADS: u32 = 32u;
/// Keys of a tile.
const KEYS: u32 = 8u;

/// [batch, groups, splits, tokens_q, 2]
@group(0) @binding(15) var<storage, read_write> partials: array<f32>;

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
  let tiles = ceil_div(params.tokens_q, THREADS);
  let token = index % tiles * THREADS + thread;
  let split = index / tiles % sweep.splits;
  let group = index / (tiles * sweep.splits) % sweep.groups;
  let batch = index / (tiles * sweep.splits * sweep.groups);
  if (token >= params.tokens_q) {
    return;
  }
  let own = visible_range(batch, token);
  let begin = max(own.x, split * sweep.split_keys);
  let end = min(own.y, (split + 1u) * sweep.split_keys);
  let position = query_position(batch, token);
  let heads = group_range(group);
  var deviation = 0.0;
  var pairs = 0.0;
  for (var tile = begin; tile < end; tile += KEYS) {
    var seen = array<bool, KEYS>();
    var mean = array<f32, KEYS>();
    var spread = array<f32, KEYS>();
    for (var n = 0u; n < KEYS; n++) {
      seen[n] = tile + n < end;
    }
    for (var m = heads.x; m < heads.y; m++) {
      let head = swept_head(terms[sweep.groups_at + sweep.groups + 1u + m]);
      let q_row = row_q(batch, token, head);
      var products = array<f32, KEYS>();
      for (var c = 0u; c < HEAD_DIM4; c++) {
        let query = query_channels(q_row, c, position);
        for (var n = 0u; n < KEYS; n++) {
          let key = min(tile + n, end - 1u);
          products[n] += dot(query, key_channels(row_k(batch, key, head / params.heads_per_kv), c, i32(key)));
        }
      }
      let logarithm = row_lse(batch, token, head);
      let terms_of = row_terms_of(batch, head, token);
      for (var n = 0u; n < KEYS; n++) {
        let key = min(tile + n, end - 1u);
        let score = logit(products[n], batch, head, token, key, own);
        let hidden = score <= ANY_KEY;
        let weight = select(pattern_weight(softmax_weight(score, logarithm), terms_of, key), 0.0, hidden);
        seen[n] = seen[n] & !hidden;
        // Welford's update: no difference of large sums.
        let off = weight - mean[n];
        mean[n] += off / f32(m - heads.x + 1u);
        spread[n] += off * (weight - mean[n]);
      }
    }
    for (var n = 0u; n < KEYS; n++) {
      deviation += select(0.0, sqrt(max(spread[n], 0.0) / f32(heads.y - heads.x)), seen[n]);
      pairs += select(0.0, 1.0, seen[n]);
    }
  }
  let at = 2u * (((batch * sweep.groups + group) * sweep.splits + split) * params.tokens_q + token);
  partials[at] = deviation;
  partials[at + 1u] = pairs;
}

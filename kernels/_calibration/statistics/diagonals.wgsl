// Single weights of each row: on the key so many places before its own position. Averaged over the heads of a group.
import package::_shared::online_softmax::{ ANY_KEY, softmax_weight };
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::logits::logit;
import package::softmax::params::{ HEAD_DIM4, params, terms };
import package::softmax::rotary::{ key_channels, query_channels };
import package::softmax::tensors::{ row_k, row_q };
import package::softmax::visibility::{ query_position, visible_range };
import super::row_lse::row_lse;
import package::_calibration::row_terms::{ pattern_weight, row_terms_of };
import super::statistic_output::{ group_range, place_of, store };
import super::sweep_params::{ sweep, swept_head };

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let place = place_of(workgroup_index(group_id, group_counts) * THREADS + thread);
  if (place.batch >= params.batches) {
    return;
  }
  let position = query_position(place.batch, place.token);
  let key = position - bitcast<i32>(terms[sweep.diagonals_at + place.value]);
  let seen_range = visible_range(place.batch, place.token);
  let heads = group_range(place.group);
  var total = 0.0;
  if (key >= i32(seen_range.x) && key < i32(seen_range.y)) {
    for (var n = heads.x; n < heads.y; n++) {
      let head = swept_head(terms[sweep.groups_at + sweep.groups + 1u + n]);
      let q_row = row_q(place.batch, place.token, head);
      let k_row = row_k(place.batch, u32(key), head / params.heads_per_kv);
      var product = 0.0;
      for (var c = 0u; c < HEAD_DIM4; c++) {
        product += dot(query_channels(q_row, c, position), key_channels(k_row, c, key));
      }
      let score = logit(product, place.batch, head, place.token, u32(key), seen_range);
      let weight = softmax_weight(score, row_lse(place.batch, place.token, head));
      let now = pattern_weight(weight, row_terms_of(place.batch, head, place.token), u32(key));
      total += select(now, 0.0, score <= ANY_KEY);
    }
  }
  store(place, total / f32(heads.y - heads.x));
}

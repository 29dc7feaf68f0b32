// What keys receive: over the parts of the rows in which a sweep took them, then averaged over the heads of a group.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::{ params, terms };
import package::softmax::visibility::{ BOUND_LEFT, BOUND_RIGHT, key_count, key_kept, query_position };
import super::statistic_output::{ group_range, output, pair_of, place_of, result, store };
import super::sweep_params::{ column_at, part_count, sweep };

const THREADS: u32 = 64u;
/// 0: sum; 1: mean over the queries that see the key; 2: maximum; 3: how many queries see it; 4: mean over those that look back.
const KIND: u32 = 0u;
/// Which of the sums counts the queries that see a key, if one does; else ranges and key mask say how many they are.
const COUNTED: bool = false;
const COUNT_SUM: u32 = 0u;
/// Earlier queries' sums and counts are added.
const CARRIED: bool = false;

@group(0) @binding(15) var<storage, read> partials: array<f32>;
@group(0) @binding(18) var<storage, read> carried_sum: array<f32>;
@group(0) @binding(19) var<storage, read> carried_count: array<f32>;

struct CarriedParams {
  strides_sum: vec4u,
  strides_count: vec4u,
  base_sum: u32,
  base_count: u32,
}

@group(0) @binding(20) var<uniform> carried: CarriedParams;

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
  let key = place.token;
  let range = group_range(place.group);
  var before = vec2f();
  if (CARRIED) {
    let at = vec3u(place.batch, key, place.group);
    before = vec2f(
      carried_sum[carried.base_sum + dot(at, carried.strides_sum.xyz)],
      carried_count[carried.base_count + dot(at, carried.strides_count.xyz)],
    );
  }
  var total = 0.0;
  for (var n = range.x; n < range.y; n++) {
    let pair = pair_of(place.batch, n);
    if (KIND == 0u) {
      total += before.x + summed(output.sum, pair, key);
    } else if (KIND == 1u) {
      let count = before.y + seen_by(place.batch, pair, key);
      total += select((before.x + summed(output.sum, pair, key)) / count, 0.0, count == 0.0);
    } else if (KIND == 2u) {
      total += largest(pair, key);
    } else if (KIND == 3u) {
      total += before.y + seen_by(place.batch, pair, key);
    } else {
      let count = lookers(place.batch, key);
      total += select(summed(output.sum, pair, key) / count, 0.0, count == 0.0);
    }
  }
  store(place, total / f32(range.y - range.x));
}

fn summed(sum: u32, pair: u32, key: u32) -> f32 {
  var total = 0.0;
  for (var part = 0u; part < part_count(); part++) {
    total += partials[column_at(sum, pair, part) + key];
  }
  return total;
}

fn largest(pair: u32, key: u32) -> f32 {
  var most = 0.0;
  for (var part = 0u; part < part_count(); part++) {
    most = max(most, partials[column_at(output.sum, pair, part) + key]);
  }
  return most;
}

/// How many queries see a key.
fn seen_by(batch: u32, pair: u32, key: u32) -> f32 {
  if (COUNTED) {
    return summed(COUNT_SUM, pair, key);
  }
  if (key < terms[batch] || key >= key_count(batch) || !key_kept(batch, key)) {
    return 0.0;
  }
  // Rows whose position p has p - window_left <= key <= p + window_right.
  var first = query_position(batch, 0u);
  var last = query_position(batch, params.tokens_q - 1u);
  if (BOUND_RIGHT) {
    first = max(first, i32(key) - params.window_right);
  }
  if (BOUND_LEFT) {
    last = min(last, i32(key) + params.window_left);
  }
  return f32(max(last - first + 1, 0));
}

/// How many queries stand `low` to `high` positions behind a key, seen or not.
fn lookers(batch: u32, key: u32) -> f32 {
  let first = max(max(query_position(batch, 0u), i32(key) + sweep.low), sweep.look_from);
  let last = min(query_position(batch, params.tokens_q - 1u), i32(key) + sweep.high);
  return f32(max(last - first + 1, 0));
}

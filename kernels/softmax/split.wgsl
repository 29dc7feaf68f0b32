// Split decode ("flash decoding"): few query rows, many keys. The keys are cut into `splits` ranges, a workgroup takes one
// range for up to ROWS query rows that share a key head, and merge.wgsl joins the ranges by log-sum-exp.
import package::_shared::online_softmax::{ NO_KEY, rescale, sink_state, softmax_weight };
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::logits::logit;
import super::params::{ HEAD_DIM4, VALUE_DIM4, params, sink_logit };
import super::partials::{ block_range, partial_place, partial_out, partial_state };
import super::rotary::{ key_channels, query_channels };
import super::tensors::{ load_v, row_k, row_q, row_v };
import super::visibility::{ key_kept, kept_value, query_position, tile_hidden, visible_range };

const HAS_SINK: bool = false;
/// Query rows of a workgroup: tokens of the query heads that share one key head.
const ROWS: u32 = 1u;
/// Threads side by side over the value columns, a power of two; the others share out the keys of a tile.
const COLUMN_THREADS: u32 = 16u;
const SPLITS: u32 = 1u;
/// A power of two from 16 on, and at least VALUE_DIM4: a thread sums one value column.
const THREADS: u32 = 64u;

const PARTS = THREADS / COLUMN_THREADS;
/// Maxima are found in two steps, over runs of RUN keys first.
const RUN = 8u;
const RUNS = THREADS / RUN;

var<workgroup> queries: array<vec4f, ROWS * HEAD_DIM4>;  // [ROWS, HEAD_DIM4]
var<workgroup> weights: array<f32, ROWS * THREADS>;      // [ROWS, THREADS], logits first
var<workgroup> run_value: array<f32, ROWS * RUNS>;       // [ROWS, RUNS]
var<workgroup> part_acc: array<vec4f, THREADS>;          // [PARTS, COLUMN_THREADS]

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let rows = params.heads_per_kv * params.tokens_q;
  let blocks = ceil_div(rows, ROWS);
  let kv_heads = params.heads / params.heads_per_kv;
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let split = index % SPLITS;
  let first_row = index / SPLITS % blocks * ROWS;
  let kv_head = index / (SPLITS * blocks) % kv_heads;
  let batch = index / (SPLITS * blocks * kv_heads);

  for (var n = thread; n < ROWS * HEAD_DIM4; n += THREADS) {
    let row = min(first_row + n / HEAD_DIM4, rows - 1u);
    let token = row % params.tokens_q;
    let place = row_q(batch, token, kv_head * params.heads_per_kv + row / params.tokens_q);
    queries[n] = query_channels(place, n % HEAD_DIM4, query_position(batch, token));
  }
  workgroupBarrier();

  // Equal ranges of whole tiles over what the rows may see between them.
  let visible = block_range(batch, first_row, ROWS);
  let visible_begin = visible.x;
  let visible_end = visible.y;
  let range = ceil_div(ceil_div(visible_end - visible_begin, SPLITS), THREADS) * THREADS;
  let begin = min(visible_begin + split * range, visible_end);
  let end = min(begin + range, visible_end);

  let column = min(thread % COLUMN_THREADS, VALUE_DIM4 - 1u);
  let part = thread / COLUMN_THREADS;
  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  var acc = array<vec4f, ROWS>();
  var ranges = array<vec2u, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    let row = min(first_row + r, rows - 1u);
    row_max[r] = NO_KEY;
    if (HAS_SINK) {
      // The first split has the sink, and its first thread sums it.
      let state = sink_state(sink_logit(kv_head * params.heads_per_kv + row / params.tokens_q));
      row_max[r] = select(NO_KEY, state.x, split == 0u);
      row_sum[r] = select(0.0, state.y, split == 0u && thread == 0u);
    }
    ranges[r] = visible_range(batch, row % params.tokens_q);
  }

  for (var tile = begin; tile < end; tile += THREADS) {
    if (tile_hidden(batch, tile, min(tile + THREADS, end))) {
      continue;
    }
    // 1. scores of the thread's own key
    let key = tile + thread;
    let safe_key = min(key, params.tokens_k - 1u);
    let key_row = row_k(batch, safe_key, kv_head);
    var scores = array<f32, ROWS>();
    for (var c = 0u; c < HEAD_DIM4; c++) {
      let channels = key_channels(key_row, c, i32(safe_key));
      for (var r = 0u; r < ROWS; r++) {
        scores[r] += dot(queries[r * HEAD_DIM4 + c], channels);
      }
    }
    for (var r = 0u; r < ROWS; r++) {
      let row = min(first_row + r, rows - 1u);
      let head = kv_head * params.heads_per_kv + row / params.tokens_q;
      let masked = logit(scores[r], batch, head, row % params.tokens_q, key, ranges[r]);
      scores[r] = select(NO_KEY, masked, key < end);
      weights[r * THREADS + thread] = scores[r];
    }
    workgroupBarrier();
    if (thread < ROWS * RUNS) {
      var highest = NO_KEY;
      for (var n = 0u; n < RUN; n++) {
        highest = max(highest, weights[thread * RUN + n]);
      }
      run_value[thread] = highest;
    }
    workgroupBarrier();

    // 2. fold into the running (max, sum); a thread sums its own keys only
    for (var r = 0u; r < ROWS; r++) {
      var new_max = row_max[r];
      for (var n = 0u; n < RUNS; n++) {
        new_max = max(new_max, run_value[r * RUNS + n]);
      }
      let factor = rescale(row_max[r], new_max);
      let weight = softmax_weight(scores[r], new_max);
      row_max[r] = new_max;
      row_sum[r] = row_sum[r] * factor + weight;
      acc[r] *= factor;
      weights[r * THREADS + thread] = weight;
    }
    workgroupBarrier();

    // 3. acc += weights v over the thread's own column and share of the keys
    for (var n = part; n < min(THREADS, end - tile); n += PARTS) {
      let value = kept_value(load_v(row_v(batch, tile + n, kv_head), column), key_kept(batch, tile + n));
      for (var r = 0u; r < ROWS; r++) {
        acc[r] += weights[r * THREADS + n] * value;
      }
    }
    workgroupBarrier();
  }

  for (var r = 0u; r < ROWS; r++) {
    weights[r * THREADS + thread] = row_sum[r];
  }
  for (var r = 0u; r < ROWS; r++) {
    part_acc[thread] = acc[r];
    workgroupBarrier();
    if (first_row + r < rows) {
      let row = first_row + r;
      let place = partial_place(batch, row % params.tokens_q, kv_head * params.heads_per_kv + row / params.tokens_q) * SPLITS + split;
      if (thread < VALUE_DIM4) {
        var sum = vec4f();
        for (var n = 0u; n < PARTS; n++) {
          sum += part_acc[n * COLUMN_THREADS + thread];
        }
        partial_out[place * VALUE_DIM4 + thread] = sum;
      }
      if (thread == 0u) {
        var sum = 0.0;
        for (var n = 0u; n < THREADS; n++) {
          sum += weights[r * THREADS + n];
        }
        partial_state[place] = vec2f(row_max[r], sum);
      }
    }
    workgroupBarrier();
  }
}

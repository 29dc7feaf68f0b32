// One walk over the weights A_ij = e^(s_ij - lse_i), which sums them by rows, by keys and by cells of a small map, all of it in
// partial sums that other passes add in a fixed order. No weight is stored.
//
// A workgroup takes a part of one head's rows and a range of the keys: it walks tiles of rows, and for each of them the keys. Rows
// belong to threads, which keep their sums in registers. Sums of keys belong to the part: after each tile of keys the threads' sums
// are added up and go to the part's own line of `partials`, where a key has always the same thread, so that nothing else writes
// there. All of them add: `clear.wgsl` comes before, and further dispatches go on where the one before ended.
//
// As in softmax attention's `rows.wgsl`, with subgroups a workgroup is one quad of threads, which read a quarter of the keys each
// and pass them round; that is for drivers that run on a CPU. Without, threads' sums of keys meet in workgroup memory.
import package::_shared::online_softmax::{ ANY_KEY, NO_KEY };
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::logits::{ HAS_MASK_MOD, mask_mod, open_logit, tile_open };
import package::softmax::params::{ HEAD_DIM4, params };
import package::softmax::rotary::{ ROTARY, key_channels, query_channels };
import package::softmax::tensors::{ load_q, row_k, row_q };
import package::softmax::visibility::{ kept_keys, key_seen, query_position, tile_hidden, visible_range };
import super::key_sets::members;
import super::row_lse::row_lse;
import package::_calibration::row_terms::{ HAS_ROW_TERMS, RowTerms, pattern_weight, row_terms_of };
import super::column_sums::{ COUNT_SEEN, KeySums, LOOK_BACK, MAP, RECEIVED, RECEIVED_MAX, add_columns };
import super::sweep_params::{ TOP, cell_begin, map_at, part_count, row_at, sweep, swept_head, top_at };
import super::sweep_tile::{ KEYS, KEY_QUADS, THREADS, partials };
import super::tile_order::{ keep_top, largest, place_of_first };

/// Query rows of a thread.
const ROWS: u32 = 8u;

const ENTROPY: bool = false;
const SQUARES: bool = false;
const DISTANCE: bool = false;
const WINDOWED_DISTANCE: bool = false;
/// Sets of keys whose weight rows sum.
const SETS: u32 = 0u;

const TILE_Q = THREADS * ROWS;
@if(subgroups) const OWN_KEYS = KEY_QUADS;
@if(!subgroups) const OWN_KEYS = KEYS;
const HELD_QUERIES = select(1u, ROWS * HEAD_DIM4, ROTARY);
const MASSES = ROWS * max(SETS, 1u);
/// e^LEAST is 0 in f32.
const LEAST = -104.0;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) invocation: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  @if(subgroups) let lane = invocation % 4u;
  @if(!subgroups) let lane = thread;
  let part = index % part_count();
  let split = index / part_count() % sweep.splits;
  let pair = index / (part_count() * sweep.splits);
  let batch = pair / sweep.heads;
  let head = swept_head(pair % sweep.heads);
  let kv_head = head / params.heads_per_kv;
  let begin_key = split * sweep.split_keys;
  let end_key = min(begin_key + sweep.split_keys, params.tokens_k);

  for (var turn = 0u; turn < sweep.rounds; turn++) {
    let step = sweep.first_round + turn;
    let cell = part / sweep.per_cell + step / sweep.cell_rounds * sweep.cell_step;
    let end_row = cell_begin(min(cell, sweep.cells - 1u) + 1u);
    let first_row = cell_begin(cell) + (step % sweep.cell_rounds * sweep.per_cell + part % sweep.per_cell) * TILE_Q;
    if (first_row >= end_row) {
      continue;
    }
    let last_row = min(first_row + TILE_Q, end_row) - 1u;
    let first_range = within(visible_range(batch, first_row), begin_key, end_key);
    let last_range = within(visible_range(batch, last_row), begin_key, end_key);
    let whole = first_row + TILE_Q <= end_row;

    var tokens = array<u32, ROWS>();
    var positions = array<i32, ROWS>();
    var ranges = array<vec2u, ROWS>();
    var q_rows = array<u32, ROWS>();
    var lses = array<f32, ROWS>();
    var terms_of = array<RowTerms, ROWS>();
    var worst = array<f32, ROWS>();
    var best_keys = array<f32, ROWS>();
    for (var r = 0u; r < ROWS; r++) {
      let row = first_row + thread * ROWS + r;
      let token = min(row, last_row);
      tokens[r] = token;
      positions[r] = query_position(batch, token);
      // Rows past the end see nothing.
      ranges[r] = select(vec2u(), within(visible_range(batch, token), begin_key, end_key), row <= last_row);
      q_rows[r] = row_q(batch, token, head);
      lses[r] = row_lse(batch, token, head);
      terms_of[r] = row_terms_of(batch, head, token);
      worst[r] = NO_KEY;
      if (TOP > 1u && row <= last_row) {
        for (var n = 0u; n < 2u * TOP; n++) {
          partials[top_at(split, pair, token) + n] = NO_KEY;
        }
      }
    }
    var held_queries = array<vec4f, HELD_QUERIES>(); // [HEAD_DIM4, ROWS]
    if (ROTARY) {
      for (var c = 0u; c < HEAD_DIM4; c++) {
        for (var r = 0u; r < ROWS; r++) {
          held_queries[min(c * ROWS + r, HELD_QUERIES - 1u)] = query_channels(q_rows[r], c, positions[r]);
        }
      }
    }

    var entropies = array<f32, ROWS>();
    var squares = array<f32, ROWS>();
    var distances = array<f32, ROWS>();
    var windowed = array<f32, ROWS>();
    var masses = array<f32, MASSES>(); // [max(SETS, 1), ROWS]
    // Tiles begin at multiples of KEYS: a key has the same place in each.
    for (var tile = first_range.x / KEYS * KEYS; tile < last_range.y; tile += KEYS) {
      if (tile_hidden(batch, max(tile, first_range.x), min(tile + KEYS, last_range.y))) {
        continue;
      }
      // 1. scores = q kᵀ
      var own_keys = array<u32, OWN_KEYS>();
      var key_rows = array<u32, OWN_KEYS>();
      for (var n = 0u; n < OWN_KEYS; n++) {
        // Never outside of what the rows may see: the memory there may hold anything.
        @if(subgroups) let key = clamp(tile + 4u * n + lane, first_range.x, last_range.y - 1u);
        @if(!subgroups) let key = clamp(tile + n, first_range.x, last_range.y - 1u);
        own_keys[n] = key;
        key_rows[n] = row_k(batch, key, kv_head);
      }
      var scores = array<vec4f, ROWS * KEY_QUADS>(); // [ROWS, KEY_QUADS]
      for (var c = 0u; c < HEAD_DIM4; c++) {
        var keys = array<vec4f, KEYS>();
        @if(subgroups) {
          for (var quad = 0u; quad < KEY_QUADS; quad++) {
            let own = key_channels(key_rows[quad], c, i32(own_keys[quad]));
            keys[4u * quad] = quadBroadcast(own, 0u);
            keys[4u * quad + 1u] = quadBroadcast(own, 1u);
            keys[4u * quad + 2u] = quadBroadcast(own, 2u);
            keys[4u * quad + 3u] = quadBroadcast(own, 3u);
          }
        }
        @if(!subgroups) {
          for (var n = 0u; n < KEYS; n++) {
            keys[n] = key_channels(key_rows[n], c, i32(own_keys[n]));
          }
        }
        for (var r = 0u; r < ROWS; r++) {
          var query = vec4f();
          if (ROTARY) {
            query = held_queries[min(c * ROWS + r, HELD_QUERIES - 1u)];
          } else {
            query = load_q(q_rows[r], c);
          }
          for (var quad = 0u; quad < KEY_QUADS; quad++) {
            scores[r * KEY_QUADS + quad] += vec4f(
              dot(query, keys[4u * quad]),
              dot(query, keys[4u * quad + 1u]),
              dot(query, keys[4u * quad + 2u]),
              dot(query, keys[4u * quad + 3u]),
            );
          }
        }
      }

      // 2. weights, and the rows' and the keys' sums of them
      let open = whole && tile_open(tile, tile + KEYS, first_range, last_range, HAS_MASK_MOD);
      let kept = kept_keys(batch, tile, KEYS);
      var sums = KeySums();
      for (var r = 0u; r < ROWS; r++) {
        var order = array<vec4f, KEY_QUADS>();
        for (var quad = 0u; quad < KEY_QUADS; quad++) {
          let key = vec4u(tile + 4u * quad) + vec4u(0u, 1u, 2u, 3u);
          var score = logits(scores[r * KEY_QUADS + quad], batch, head, tokens[r], key);
          if (!open) {
            score = select(vec4f(NO_KEY), score, seen(batch, head, tokens[r], key, ranges[r], kept >> (4u * quad)));
          }
          let hidden = score <= vec4f(ANY_KEY);
          let logarithm = max(score - lses[r], vec4f(LEAST));
          let weight = select(weights(exp(logarithm), terms_of[r], key), vec4f(), hidden);
          if (ENTROPY && HAS_ROW_TERMS) {
            entropies[r] -= dot(weight, log(max(weight, vec4f(1e-37))));
          } else if (ENTROPY) {
            entropies[r] -= dot(weight, logarithm);
          }
          if (SQUARES) {
            squares[r] += dot(weight, weight);
          }
          let ahead = vec4i(positions[r]) - vec4i(key);
          let distance = vec4f(abs(ahead));
          if (DISTANCE) {
            distances[r] += dot(weight, distance);
          }
          if (WINDOWED_DISTANCE) {
            windowed[r] += dot(weight, min(distance, vec4f(sweep.distance_window)));
          }
          for (var m = 0u; m < SETS; m++) {
            masses[m * ROWS + r] += dot(weight, members(m, tile + 4u * quad));
          }
          if (RECEIVED || MAP) {
            sums.sum[quad] += weight;
          }
          if (RECEIVED_MAX) {
            sums.most[quad] = max(sums.most[quad], weight);
          }
          if (COUNT_SEEN) {
            sums.count[quad] += select(vec4f(1.0), vec4f(), hidden);
          }
          if (LOOK_BACK) {
            let looks = (ahead >= vec4i(sweep.low)) & (ahead <= vec4i(sweep.high)) & vec4<bool>(positions[r] >= sweep.look_from);
            sums.look[quad] += select(vec4f(), weight, looks);
          }
          if (TOP > 0u && HAS_ROW_TERMS) {
            order[quad] = select(weight, vec4f(NO_KEY), hidden);
          } else if (TOP > 0u) {
            order[quad] = select(score, vec4f(NO_KEY), hidden);
          }
        }
        if (TOP == 1u) {
          let most = largest(order);
          if (most > worst[r]) {
            best_keys[r] = f32(tile) + place_of_first(order, most);
            worst[r] = most;
          }
        } else if (TOP > 1u) {
          worst[r] = keep_top(order, tile, top_at(split, pair, tokens[r]), worst[r]);
        }
      }

      // 3. the keys' sums go to the part's line
      add_columns(sums, pair, part, map_at(split, pair, cell, part % sweep.per_cell), lane, tile, end_key);
    }

    for (var r = 0u; r < ROWS; r++) {
      if (first_row + thread * ROWS + r <= last_row) {
        var at = row_at(split, pair, tokens[r]);
        if (ENTROPY) {
          partials[at] = entropies[r];
        }
        at += u32(ENTROPY);
        if (SQUARES) {
          partials[at] = squares[r];
        }
        at += u32(SQUARES);
        if (DISTANCE) {
          partials[at] = distances[r];
        }
        at += u32(DISTANCE);
        if (WINDOWED_DISTANCE) {
          partials[at] = windowed[r];
        }
        at += u32(WINDOWED_DISTANCE);
        for (var m = 0u; m < SETS; m++) {
          partials[at + m] = masses[m * ROWS + r];
        }
        if (TOP == 1u) {
          partials[top_at(split, pair, tokens[r])] = worst[r];
          partials[top_at(split, pair, tokens[r]) + 1u] = best_keys[r];
        }
      }
    }
  }
}

fn within(range: vec2u, begin: u32, end: u32) -> vec2u {
  return vec2u(max(range.x, begin), min(range.y, end));
}

fn logits(product: vec4f, batch: u32, head: u32, token: u32, key: vec4u) -> vec4f {
  return vec4f(
    open_logit(product.x, batch, head, token, key.x),
    open_logit(product.y, batch, head, token, key.y),
    open_logit(product.z, batch, head, token, key.z),
    open_logit(product.w, batch, head, token, key.w),
  );
}

/// Not &&, as `key_seen`.
fn seen(batch: u32, head: u32, token: u32, key: vec4u, range: vec2u, kept: u32) -> vec4<bool> {
  return vec4<bool>(
    key_seen(key.x, range, kept, 0u) & mask_mod(batch, head, token, key.x),
    key_seen(key.y, range, kept, 1u) & mask_mod(batch, head, token, key.y),
    key_seen(key.z, range, kept, 2u) & mask_mod(batch, head, token, key.z),
    key_seen(key.w, range, kept, 3u) & mask_mod(batch, head, token, key.w),
  );
}

fn weights(weight: vec4f, terms: RowTerms, key: vec4u) -> vec4f {
  if (HAS_ROW_TERMS) {
    return vec4f(
      pattern_weight(weight.x, terms, key.x),
      pattern_weight(weight.y, terms, key.y),
      pattern_weight(weight.z, terms, key.z),
      pattern_weight(weight.w, terms, key.w),
    );
  }
  return weight;
}

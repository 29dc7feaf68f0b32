// Sums of keys, of a sweep: after each tile of keys those of the threads' rows are added up and go to the part's own line of `partials`.
import super::sweep_params::{ column_at, sweep };
import super::sweep_tile::{ KEYS, KEY_QUADS, THREADS, partials };
import package::softmax::params::params;

const RECEIVED: bool = false;
const RECEIVED_MAX: bool = false;
/// Count the queries that see a key, where ranges and key mask do not say it.
const COUNT_SEEN: bool = false;
const LOOK_BACK: bool = false;
const MAP: bool = false;

/// Which of a key's sums is which.
const MAX_SUM = u32(RECEIVED);
const COUNT_SUM = MAX_SUM + u32(RECEIVED_MAX);
const LOOK_SUM = COUNT_SUM + u32(COUNT_SEEN);

/// What the threads' rows have for each key of a tile.
struct KeySums {
  sum: array<vec4f, KEY_QUADS>,
  most: array<vec4f, KEY_QUADS>,
  count: array<vec4f, KEY_QUADS>,
  look: array<vec4f, KEY_QUADS>,
}

@if(!subgroups) const KINDS = 4u;
/// [KINDS, KEYS, THREADS]
@if(!subgroups) var<workgroup> thread_sums: array<f32, KINDS * KEYS * THREADS>;
@if(!subgroups) var<workgroup> tile_sums: array<f32, KEYS>;

fn add_column(sum: u32, pair: u32, part: u32, key: u32, end_key: u32, value: f32) {
  if (key < end_key) {
    partials[column_at(sum, pair, part) + key] += value;
  }
}

fn add_cell(line: u32, key: u32, end_key: u32, value: f32) {
  if (key < end_key) {
    partials[line + key * sweep.columns / params.tokens_k] += value;
  }
}

@if(subgroups) fn quad_sum(own: vec4f) -> vec4f {
  let two = own + quadSwapX(own);
  return two + quadSwapY(two);
}

@if(subgroups) fn quad_max(own: vec4f) -> vec4f {
  let two = max(own, quadSwapX(own));
  return max(two, quadSwapY(two));
}

/// A lane's share of four keys.
@if(subgroups) fn share(values: vec4f, lane: u32) -> f32 {
  return select(
    select(values.x, values.y, lane == 1u),
    select(values.z, values.w, lane == 3u),
    lane >= 2u,
  );
}

@if(subgroups) fn add_columns(sums: KeySums, pair: u32, part: u32, line: u32, lane: u32, tile: u32, end_key: u32) {
  for (var quad = 0u; quad < KEY_QUADS; quad++) {
    let key = tile + 4u * quad + lane;
    if (RECEIVED || MAP) {
      let total = quad_sum(sums.sum[quad]);
      if (RECEIVED) {
        add_column(0u, pair, part, key, end_key, share(total, lane));
      }
      if (MAP && lane == 0u) {
        add_cell(line, tile + 4u * quad, end_key, total.x);
        add_cell(line, tile + 4u * quad + 1u, end_key, total.y);
        add_cell(line, tile + 4u * quad + 2u, end_key, total.z);
        add_cell(line, tile + 4u * quad + 3u, end_key, total.w);
      }
    }
    if (RECEIVED_MAX) {
      let most = share(quad_max(sums.most[quad]), lane);
      if (key < end_key) {
        let at = column_at(MAX_SUM, pair, part) + key;
        partials[at] = max(partials[at], most);
      }
    }
    if (COUNT_SEEN) {
      add_column(COUNT_SUM, pair, part, key, end_key, share(quad_sum(sums.count[quad]), lane));
    }
    if (LOOK_BACK) {
      add_column(LOOK_SUM, pair, part, key, end_key, share(quad_sum(sums.look[quad]), lane));
    }
  }
}

@if(!subgroups) fn put_sums(kind: u32, thread: u32, sums: array<vec4f, KEY_QUADS>) {
  var held = sums;
  for (var n = 0u; n < KEYS; n++) {
    thread_sums[(kind * KEYS + n) * THREADS + thread] = held[n / 4u][n % 4u];
  }
}

@if(!subgroups) fn sum_of_threads(kind: u32, key: u32) -> f32 {
  var sum = 0.0;
  for (var t = 0u; t < THREADS; t++) {
    sum += thread_sums[(kind * KEYS + key) * THREADS + t];
  }
  return sum;
}

@if(!subgroups) fn add_columns(sums: KeySums, pair: u32, part: u32, line: u32, thread: u32, tile: u32, end_key: u32) {
  if (!(RECEIVED || RECEIVED_MAX || COUNT_SEEN || LOOK_BACK || MAP)) {
    return;
  }
  put_sums(0u, thread, sums.sum);
  put_sums(1u, thread, sums.most);
  put_sums(2u, thread, sums.count);
  put_sums(3u, thread, sums.look);
  workgroupBarrier();
  let key = tile + thread;
  if (thread < KEYS) {
    if (RECEIVED || MAP) {
      tile_sums[thread] = sum_of_threads(0u, thread);
    }
    if (RECEIVED) {
      add_column(0u, pair, part, key, end_key, tile_sums[thread]);
    }
    if (RECEIVED_MAX && key < end_key) {
      let at = column_at(MAX_SUM, pair, part) + key;
      for (var t = 0u; t < THREADS; t++) {
        partials[at] = max(partials[at], thread_sums[(KEYS + thread) * THREADS + t]);
      }
    }
    if (COUNT_SEEN) {
      add_column(COUNT_SUM, pair, part, key, end_key, sum_of_threads(2u, thread));
    }
    if (LOOK_BACK) {
      add_column(LOOK_SUM, pair, part, key, end_key, sum_of_threads(3u, thread));
    }
  }
  workgroupBarrier();
  if (MAP && thread == 0u) {
    for (var n = 0u; n < KEYS; n++) {
      add_cell(line, tile + n, end_key, tile_sums[n]);
    }
  }
}

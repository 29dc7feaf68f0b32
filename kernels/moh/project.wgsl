// out[token] (+)= sum over heads of gate · W_head · o[token, head], as a product tiled in registers: a thread owns ROWS tokens and two
// vec4 columns and walks over the channels of heads. Which tokens are a tile, and which heads it goes through, is one of three:
//
// Neither ORDERED nor LISTED: neighbours, and all of the pass's heads, which are active for all tokens.
// ORDERED: tokens with nearly the same active heads (`order.wgsl`), and the heads that they have among them.
// LISTED: the tokens that the pass's one head is active for, gathered from its list. What earlier passes left in their places of
// `out` is added to. Heads come one after another, so that no two threads add to one place at once and the order of the sum is
// always the same.
//
// The layout of the product, and its `subgroups` variant for software adapters, are those of the linear layer.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::active::is_active_gate;
import super::project_params::{
  HAS_BIAS, VALUE_DIM4, gate_of, load_bias, load_head, load_out, load_weight, params, row_heads, row_out, store_out, weight_place
};

const LISTED: bool = false;
const ORDERED: bool = false;
/// Gates of the pass's heads may be 0.
const GATED: bool = false;

/// Threads of a workgroup side by side over columns, and over groups of rows; of these there is one where quads share rows.
const COLUMN_THREADS: u32 = 16u;
const ROW_THREADS: u32 = 4u;
const THREADS = COLUMN_THREADS * ROW_THREADS;

/// Rows of a thread.
@if(!subgroups) const ROWS = 8u;
@if(subgroups) const ROWS = 16u;

/// LISTED: [batch, heads, 1 + tokens] how many tokens a head is active for, and which, ascending. ORDERED: [batch, tokens] tokens.
@group(0) @binding(1) var<storage, read> rows: array<u32>;
/// ORDERED: [batch, tiles of ROWS, 1 + heads] how many heads a tile goes through, and which
@group(0) @binding(7) var<storage, read> tile_heads: array<u32>;

/// First word of this pass's list.
fn list_of(batch: u32) -> u32 {
  return (batch * params.heads + params.first_head) * (1u + params.tokens);
}

fn row_count(batch: u32) -> u32 {
  if (LISTED) {
    return min(rows[list_of(batch)], params.tokens);
  }
  return params.tokens;
}

/// Token of a row; rows past the end repeat the last one and are not stored.
fn token_of(batch: u32, row: u32, count: u32) -> u32 {
  let last = min(row, count - 1u);
  if (LISTED) {
    return min(rows[list_of(batch) + 1u + last], params.tokens - 1u);
  }
  if (ORDERED) {
    return rows[batch * params.tokens + last];
  }
  return last;
}

/// First word of the heads of the tile that starts with `row`.
fn heads_of(batch: u32, row: u32) -> u32 {
  return (batch * ceil_div(params.tokens, ROWS) + row / ROWS) * (1u + params.heads);
}

fn tokens_of(batch: u32, row: u32, count: u32) -> vec4u {
  return vec4u(
    token_of(batch, row, count),
    token_of(batch, row + 1u, count),
    token_of(batch, row + 2u, count),
    token_of(batch, row + 3u, count),
  );
}

/// What the sums begin with: a matrix column is a row.
fn begin_rows(batch: u32, tokens: vec4u, n: u32) -> mat4x4f {
  if (LISTED) {
    return mat4x4f(
      load_out(row_out(batch, tokens.x), n),
      load_out(row_out(batch, tokens.y), n),
      load_out(row_out(batch, tokens.z), n),
      load_out(row_out(batch, tokens.w), n),
    );
  }
  if (HAS_BIAS) {
    let channels = load_bias(n);
    return mat4x4f(channels, channels, channels, channels);
  }
  return mat4x4f();
}

fn finish_rows(batch: u32, tokens: vec4u, row: u32, count: u32, n: u32, sums: mat4x4f) {
  if (4u * n >= params.outer) {
    return;
  }
  if (row < count) {
    store_out(row_out(batch, tokens.x), n, sums[0]);
  }
  if (row + 1u < count) {
    store_out(row_out(batch, tokens.y), n, sums[1]);
  }
  if (row + 2u < count) {
    store_out(row_out(batch, tokens.z), n, sums[2]);
  }
  if (row + 3u < count) {
    store_out(row_out(batch, tokens.w), n, sums[3]);
  }
}

/// The four rows of a block; with quads, the one that this thread loads for its quad.
@if(!subgroups) alias Four = vec4u;
@if(!subgroups) alias Gates = vec4f;
@if(subgroups) alias Four = u32;
@if(subgroups) alias Gates = f32;

@if(!subgroups) fn rows_of(batch: u32, tokens: vec4u, thread: u32) -> Four {
  return vec4u(
    row_heads(batch, tokens.x),
    row_heads(batch, tokens.y),
    row_heads(batch, tokens.z),
    row_heads(batch, tokens.w),
  );
}

@if(subgroups) fn rows_of(batch: u32, tokens: vec4u, thread: u32) -> Four {
  return row_heads(batch, tokens[thread % 4u]);
}

@if(!subgroups) fn gates_of(batch: u32, tokens: vec4u, head: u32, thread: u32) -> Gates {
  return vec4f(
    gate_of(batch, tokens.x, head),
    gate_of(batch, tokens.y, head),
    gate_of(batch, tokens.z, head),
    gate_of(batch, tokens.w, head),
  );
}

@if(subgroups) fn gates_of(batch: u32, tokens: vec4u, head: u32, thread: u32) -> Gates {
  return gate_of(batch, tokens[thread % 4u], head);
}

/// What a head that is not active left in its place may be anything, and zero times NaN is NaN.
fn gated(gate: f32, channels: vec4f) -> vec4f {
  if (GATED) {
    return select(vec4f(), gate * channels, is_active_gate(gate));
  }
  return gate * channels;
}

/// Gated channels 4c to 4c + 3 of four rows, a row to a matrix column.
@if(!subgroups) fn load_rows(places: Four, gates: Gates, shift: u32, c: u32) -> mat4x4f {
  return mat4x4f(
    gated(gates.x, load_head(places.x + shift, c)),
    gated(gates.y, load_head(places.y + shift, c)),
    gated(gates.z, load_head(places.z + shift, c)),
    gated(gates.w, load_head(places.w + shift, c)),
  );
}

@if(subgroups) fn load_rows(place: Four, gate: Gates, shift: u32, c: u32) -> mat4x4f {
  let own = gated(gate, load_head(place + shift, c));
  return mat4x4f(quadBroadcast(own, 0u), quadBroadcast(own, 1u), quadBroadcast(own, 2u), quadBroadcast(own, 3u));
}

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
  let column_tiles = ceil_div(params.outer, 8u * COLUMN_THREADS);
  @if(!subgroups) let row_tiles = ceil_div(params.tokens, ROWS * ROW_THREADS);
  @if(subgroups) let row_tiles = ceil_div(params.tokens, ROWS);
  let batch = index / (column_tiles * row_tiles);
  // With quads all threads of a workgroup have the same rows, so that none leaves which another waits for.
  @if(!subgroups) let row = (index / column_tiles % row_tiles * ROW_THREADS + thread / COLUMN_THREADS) * ROWS;
  @if(subgroups) let row = index / column_tiles % row_tiles * ROWS;
  let count = row_count(batch);
  if (row >= count) {
    return;
  }
  let n0 = index % column_tiles * 2u * COLUMN_THREADS + thread % COLUMN_THREADS;
  let n1 = n0 + COLUMN_THREADS;
  // Columns past the end repeat the last ones and are not stored.
  let last = (params.outer - 1u) / 4u;
  let column0 = min(n0, last);
  let column1 = min(n1, last);

  let tokens0 = tokens_of(batch, row, count);
  let tokens1 = tokens_of(batch, row + 4u, count);
  @if(subgroups) let tokens2 = tokens_of(batch, row + 8u, count);
  @if(subgroups) let tokens3 = tokens_of(batch, row + 12u, count);
  let rows0 = rows_of(batch, tokens0, thread);
  let rows1 = rows_of(batch, tokens1, thread);
  @if(subgroups) let rows2 = rows_of(batch, tokens2, thread);
  @if(subgroups) let rows3 = rows_of(batch, tokens3, thread);
  var p00 = begin_rows(batch, tokens0, column0);
  var p01 = begin_rows(batch, tokens0, column1);
  var p10 = begin_rows(batch, tokens1, column0);
  var p11 = begin_rows(batch, tokens1, column1);
  @if(subgroups) var p20 = begin_rows(batch, tokens2, column0);
  @if(subgroups) var p21 = begin_rows(batch, tokens2, column1);
  @if(subgroups) var p30 = begin_rows(batch, tokens3, column0);
  @if(subgroups) var p31 = begin_rows(batch, tokens3, column1);
  let own_heads = heads_of(batch, row);
  var head_count = params.head_count;
  if (ORDERED) {
    head_count = tile_heads[own_heads];
  }
  for (var n = 0u; n < head_count; n++) {
    var head = params.first_head + n;
    if (ORDERED) {
      head = tile_heads[own_heads + 1u + n];
    }
    let shift = head * params.strides_heads.z;
    let weights0 = weight_place(head, column0);
    let weights1 = weight_place(head, column1);
    let gates0 = gates_of(batch, tokens0, head, thread);
    let gates1 = gates_of(batch, tokens1, head, thread);
    @if(subgroups) let gates2 = gates_of(batch, tokens2, head, thread);
    @if(subgroups) let gates3 = gates_of(batch, tokens3, head, thread);
    for (var c = 0u; c < VALUE_DIM4; c++) {
      let w0 = load_weight(weights0, c, column0);
      let w1 = load_weight(weights1, c, column1);
      let x0 = load_rows(rows0, gates0, shift, c);
      p00 += w0 * x0;
      p01 += w1 * x0;
      let x1 = load_rows(rows1, gates1, shift, c);
      p10 += w0 * x1;
      p11 += w1 * x1;
      @if(subgroups) let x2 = load_rows(rows2, gates2, shift, c);
      @if(subgroups) p20 += w0 * x2;
      @if(subgroups) p21 += w1 * x2;
      @if(subgroups) let x3 = load_rows(rows3, gates3, shift, c);
      @if(subgroups) p30 += w0 * x3;
      @if(subgroups) p31 += w1 * x3;
    }
  }

  finish_rows(batch, tokens0, row, count, n0, p00);
  finish_rows(batch, tokens0, row, count, n1, p01);
  finish_rows(batch, tokens1, row + 4u, count, n0, p10);
  finish_rows(batch, tokens1, row + 4u, count, n1, p11);
  @if(subgroups) finish_rows(batch, tokens2, row + 8u, count, n0, p20);
  @if(subgroups) finish_rows(batch, tokens2, row + 8u, count, n1, p21);
  @if(subgroups) finish_rows(batch, tokens3, row + 12u, count, n0, p30);
  @if(subgroups) finish_rows(batch, tokens3, row + 12u, count, n1, p31);
}

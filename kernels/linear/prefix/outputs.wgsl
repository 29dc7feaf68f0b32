// o_i = sum over j <= i of e^(s_j) v_j / sum over j <= i of e^(s_j), from what the tokens before the chunk left. A thread takes COLUMNS
// vec4 columns through the tokens of one chunk; those of the last leave the state.
import package::_shared::storage::{ OutWord, word_of };
@if(vec4) import package::_shared::storage::packed;
import package::_shared::workgroup_index::workgroup_index;
import super::chunks::{ PREFIX, VALUES, chunk_place, sums };
import super::params::{
  COLUMN_GROUPS, COLUMNS, THREADS, VALUE_DIM, VALUE_DIM4, chunk_range, key_length, params,
};
import super::running::{ Running, add_key, nothing, own_column };
import super::state::{ entering, state_vec4 };
import super::values::first_value;

const WRITE_STATE: bool = false;

@group(0) @binding(8) var<storage, read_write> state_out: array<vec4f>;
@group(0) @binding(9) var<storage, read_write> out: array<OutWord>;

@if(!vec4 && !half_out) fn store_channel(place: u32, value: f32) { out[place] = value; }
@if(!vec4 && half_out) fn store_channel(place: u32, value: f32) {
  let shift = 16u * (place % 2u);
  atomicAnd(&out[place / 2u], ~(0xffffu << shift));
  atomicOr(&out[place / 2u], (pack2x16float(vec2f(value, 0.0)) & 0xffffu) << shift);
}

/// Writes channels 4c to 4c + 3 of the row that starts at element `row`, as far as there are so many.
@if(vec4) fn store_out(row: u32, c: u32, channels: vec4f) { out[word_of(row + 4u * c)] = packed(channels); }
@if(!vec4) fn store_out(row: u32, c: u32, channels: vec4f) {
  let first = 4u * c;
  let stride = params.strides_out.w;
  // As in `values.wgsl`, not in a loop.
  store_channel(row + first * stride, channels.x);
  if (first + 1u < VALUE_DIM) {
    store_channel(row + (first + 1u) * stride, channels.y);
  }
  if (first + 2u < VALUE_DIM) {
    store_channel(row + (first + 2u) * stride, channels.z);
  }
  if (first + 3u < VALUE_DIM) {
    store_channel(row + (first + 3u) * stride, channels.w);
  }
}

/// What the tokens before a chunk left.
fn before(own: u32, chunk: u32, first: u32) -> Running {
  let head = params.first_head + own;
  var running = nothing();
  if (chunk == 0u) {
    let carried = entering(head);
    running.most = carried.x;
    running.sum = carried.y;
    for (var n = 0u; n < COLUMNS; n++) {
      running.values[n] = state_vec4(head, 1u + own_column(first, n));
    }
  } else {
    let place = chunk_place(own, chunk - 1u);
    let prefix = sums[place + PREFIX];
    running.most = prefix.x;
    running.sum = prefix.y;
    for (var n = 0u; n < COLUMNS; n++) {
      running.values[n] = sums[place + VALUES + own_column(first, n)];
    }
  }
  return running;
}

fn store_state(head: u32, first: u32, running: ptr<function, Running>) {
  let batch_place = head / params.heads * params.strides_state_out.x;
  let place = (params.base_state_out + batch_place + head % params.heads * params.strides_state_out.z) / 4u;
  if (first == 0u) {
    let totals = vec4f((*running).most, (*running).sum, 0.0, 0.0);
    state_out[place] = select(totals, vec4f(), (*running).sum == 0.0);
  }
  for (var n = 0u; n < COLUMNS; n++) {
    if (first + n < VALUE_DIM4) {
      state_out[place + 1u + first + n] = (*running).values[n];
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  let own = index / (params.chunks * COLUMN_GROUPS);
  if (group >= params.first_group + params.groups || own >= params.head_count) {
    return;
  }
  let first = index % COLUMN_GROUPS * COLUMNS;
  let chunk = index / COLUMN_GROUPS % params.chunks;
  let head = params.first_head + own;
  let range = chunk_range(chunk);
  let length = key_length(head);
  let rows = first_value(head);
  let row_out =
    params.base_out + head / params.heads * params.strides_out.x + head % params.heads * params.strides_out.z;
  var running = before(own, chunk, first);
  for (var token = range.x; token < range.y; token++) {
    if (token < length) {
      add_key(&running, own * params.tokens + token, rows + token * params.strides_v.y, first);
    }
    // A row without a key has no values either.
    let share = 1.0 / select(running.sum, 1.0, running.sum == 0.0);
    for (var n = 0u; n < COLUMNS; n++) {
      if (first + n < VALUE_DIM4) {
        store_out(row_out + token * params.strides_out.y, first + n, running.values[n] * share);
      }
    }
  }
  if (WRITE_STATE) {
    if (chunk == params.chunks - 1u) {
      store_state(head, first, &running);
    }
  }
}

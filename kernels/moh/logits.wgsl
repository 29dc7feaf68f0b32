// Logits of a learned router: x times one of its matrices, a few columns wide. A thread has eight tokens and four columns; LANES
// threads share out the channels of one such block, so that few tokens still keep a GPU busy, and the first adds up.
//
// `vec4`: channels of x and of the matrix's columns are neighbours ([out, in] row-major).
import package::_shared::storage::{ Word, word_of };
@if(vec4) import package::_shared::storage::four;
@if(!vec4) import package::_shared::storage::one;
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::router_params::{ params, row_scores };

const THREADS: u32 = 64u;
const LANES: u32 = 16u;
const BLOCKS = THREADS / LANES;

@group(0) @binding(1) var<storage, read> x: array<Word>;
@if(vec4) @group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@if(!vec4) @group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;

var<workgroup> partials: array<array<mat4x4f, 2>, THREADS>;

/// First element of a token's channels; tokens past the end repeat the last one and are not stored.
fn row_input(row: u32) -> u32 {
  let last = min(row, params.batches * params.tokens - 1u);
  return params.base_input + dot(vec2u(last / params.tokens, last % params.tokens), params.strides_input.xy);
}

fn rows_input(row: u32) -> vec4u {
  return vec4u(row_input(row), row_input(row + 1u), row_input(row + 2u), row_input(row + 3u));
}

/// Channels 4c to 4c + 3 of the row that starts at element `row`, zero past its end.
@if(vec4) fn load_x(row: u32, c: u32) -> vec4f {
  return four(x[word_of(row + 4u * c)]);
}

@if(!vec4) fn load_x(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, params.inner - 4u * c); i++) {
    let place = row + (4u * c + i) * params.strides_input.w;
    channels[i] = one(x[word_of(place)], place);
  }
  return channels;
}

/// Channels 4c to 4c + 3 of the column that starts at element `column`, zero past its end.
@if(vec4) fn load_weight(column: u32, c: u32) -> vec4f {
  return weight[column / 4u + c];
}

@if(!vec4) fn load_weight(column: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, params.inner - 4u * c); i++) {
    channels[i] = weight[column + (4u * c + i) * params.stride_weight_inner];
  }
  return channels;
}

/// Columns past the end repeat the last one and are not stored.
fn column_weight(column: u32) -> u32 {
  return params.base_weight + min(column, params.columns - 1u) * params.stride_weight_outer;
}

fn load_tokens(rows: vec4u, c: u32) -> mat4x4f {
  return mat4x4f(load_x(rows.x, c), load_x(rows.y, c), load_x(rows.z, c), load_x(rows.w, c));
}

fn store(row: u32, column: u32, sums: mat4x4f) {
  var logits = sums;
  for (var r = 0u; r < 4u && row + r < params.batches * params.tokens; r++) {
    let first = row_scores(row + r) + params.first_column + column;
    for (var i = 0u; i < min(4u, params.columns - column); i++) {
      scores[first + i] = logits[r][i];
    }
  }
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
  let column_blocks = ceil_div(params.columns, 4u);
  let column = 4u * (index % column_blocks);
  let row = 8u * (index / column_blocks * BLOCKS + thread / LANES);
  let rows0 = rows_input(row);
  let rows1 = rows_input(row + 4u);
  let columns = vec4u(
    column_weight(column),
    column_weight(column + 1u),
    column_weight(column + 2u),
    column_weight(column + 3u),
  );
  // A matrix column is a token.
  var sums0 = mat4x4f();
  var sums1 = mat4x4f();
  for (var c = thread % LANES; c < ceil_div(params.inner, 4u); c += LANES) {
    let weights = transpose(mat4x4f(
      load_weight(columns.x, c),
      load_weight(columns.y, c),
      load_weight(columns.z, c),
      load_weight(columns.w, c),
    ));
    sums0 += weights * load_tokens(rows0, c);
    sums1 += weights * load_tokens(rows1, c);
  }
  if (LANES > 1u) {
    partials[thread][0] = sums0;
    partials[thread][1] = sums1;
    workgroupBarrier();
    if (thread % LANES != 0u) {
      return;
    }
    for (var lane = 1u; lane < LANES; lane++) {
      sums0 += partials[thread + lane][0];
      sums1 += partials[thread + lane][1];
    }
  }
  store(row, column, sums0);
  store(row + 4u, column, sums1);
}

// A product of many rows without barriers: a thread owns ROWS rows of x and two groups of four outputs, all in registers, and walks
// over the columns four at a time. A block of 4 x 4 weights is dequantised once for all its rows.
//
// For software adapters: with `subgroups` there are twice the rows, and the threads of a quad load them for each other, since a load
// costs as much as a dozen multiplications. Blocks are matrices whose columns are channels, so that weights * x is the block of
// products, a row of x to a column; they are written out one by one, since drivers on a CPU keep indexed arrays in memory.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::product_io::{ GATED, NORM, finish, load_weights, normal_x, params, statistics, weight_row, x_place };

const OUT_THREADS: u32 = 16u;
const ROW_THREADS: u32 = 4u;
const THREADS = OUT_THREADS * ROW_THREADS;
/// Groups of four outputs of a workgroup; gated, a thread's second group is of the second matrix.
const TILE = select(2u * OUT_THREADS, OUT_THREADS, GATED);

/// Rows of a thread.
@if(!subgroups) const ROWS = 8u;
@if(subgroups) const ROWS = 16u;

fn row_stats(row: u32) -> vec2f {
  if (NORM == 0u) {
    return vec2f();
  }
  return statistics[min(row, params.rows - 1u)];
}

/// Weights of outputs 4n to 4n + 3 at columns 4c to 4c + 3, a column of weights to a matrix column.
fn load_block(up: bool, rows: vec4u, c: u32) -> mat4x4f {
  return transpose(mat4x4f(
    load_weights(up, rows.x, c),
    load_weights(up, rows.y, c),
    load_weights(up, rows.z, c),
    load_weights(up, rows.w, c),
  ));
}

fn block_rows(up: bool, n: u32) -> vec4u {
  return vec4u(weight_row(up, 4u * n), weight_row(up, 4u * n + 1u), weight_row(up, 4u * n + 2u), weight_row(up, 4u * n + 3u));
}

/// Rows of x that a thread loads: four, or of its quad's four the one that it loads for all; where each begins, and its statistics.
struct OwnRows {
  rows: vec4u,
  places: vec4u,
  means: vec4f,
  factors: vec4f,
}

fn own_rows(row: u32, thread: u32) -> OwnRows {
  @if(!subgroups) let rows = vec4u(row, row + 1u, row + 2u, row + 3u);
  @if(subgroups) let rows = vec4u(row + thread % 4u);
  let places = vec4u(x_place(rows.x), x_place(rows.y), x_place(rows.z), x_place(rows.w));
  let stats = transpose(mat4x2f(row_stats(rows.x), row_stats(rows.y), row_stats(rows.z), row_stats(rows.w)));
  return OwnRows(rows, places, stats[0], stats[1]);
}

/// Channels 4c to 4c + 3 of four rows, a row to a matrix column.
@if(!subgroups) fn load_rows(own: OwnRows, c: u32) -> mat4x4f {
  return mat4x4f(
    normal_x(own.rows.x, own.places.x, c, vec2f(own.means.x, own.factors.x)),
    normal_x(own.rows.y, own.places.y, c, vec2f(own.means.y, own.factors.y)),
    normal_x(own.rows.z, own.places.z, c, vec2f(own.means.z, own.factors.z)),
    normal_x(own.rows.w, own.places.w, c, vec2f(own.means.w, own.factors.w)),
  );
}

@if(subgroups) fn load_rows(own: OwnRows, c: u32) -> mat4x4f {
  let one = normal_x(own.rows.x, own.places.x, c, vec2f(own.means.x, own.factors.x));
  return mat4x4f(quadBroadcast(one, 0u), quadBroadcast(one, 1u), quadBroadcast(one, 2u), quadBroadcast(one, 3u));
}

/// Sums of four rows and a thread's two groups of outputs.
fn finish_rows(row: u32, n0: u32, n1: u32, first: mat4x4f, second: mat4x4f) {
  var sums = first;
  var other = second;
  for (var r = 0u; r < 4u; r++) {
    for (var o = 0u; o < 4u; o++) {
      finish(row + r, 4u * n0 + o, sums[r][o], other[r][o]);
      if (!GATED) {
        finish(row + r, 4u * n1 + o, other[r][o], 0.0);
      }
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
  let tiles = ceil_div(params.outputs, 4u * TILE);
  let row = (index / tiles * ROW_THREADS + thread / OUT_THREADS) * ROWS;
  let n0 = index % tiles * TILE + thread % OUT_THREADS;
  let n1 = n0 + OUT_THREADS;
  // Quads exchange rows, so with them every thread stays to the end.
  @if(!subgroups) {
    if (row >= params.rows || 4u * n0 >= params.outputs) {
      return;
    }
  }
  let block0 = block_rows(false, n0);
  let block1 = block_rows(true, select(n1, n0, GATED));

  let rows0 = own_rows(row, thread);
  let rows1 = own_rows(row + 4u, thread);
  @if(subgroups) let rows2 = own_rows(row + 8u, thread);
  @if(subgroups) let rows3 = own_rows(row + 12u, thread);
  var p00 = mat4x4f();
  var p01 = mat4x4f();
  var p10 = mat4x4f();
  var p11 = mat4x4f();
  @if(subgroups) var p20 = mat4x4f();
  @if(subgroups) var p21 = mat4x4f();
  @if(subgroups) var p30 = mat4x4f();
  @if(subgroups) var p31 = mat4x4f();
  for (var c = 0u; c < ceil_div(params.inner, 4u); c++) {
    let w0 = load_block(false, block0, c);
    let w1 = load_block(true, block1, c);
    let x0 = load_rows(rows0, c);
    p00 += w0 * x0;
    p01 += w1 * x0;
    let x1 = load_rows(rows1, c);
    p10 += w0 * x1;
    p11 += w1 * x1;
    @if(subgroups) let x2 = load_rows(rows2, c);
    @if(subgroups) p20 += w0 * x2;
    @if(subgroups) p21 += w1 * x2;
    @if(subgroups) let x3 = load_rows(rows3, c);
    @if(subgroups) p30 += w0 * x3;
    @if(subgroups) p31 += w1 * x3;
  }

  finish_rows(row, n0, n1, p00, p01);
  finish_rows(row + 4u, n0, n1, p10, p11);
  @if(subgroups) finish_rows(row + 8u, n0, n1, p20, p21);
  @if(subgroups) finish_rows(row + 12u, n0, n1, p30, p31);
}

// A product of many rows through workgroup memory: 16 x 8 threads own a tile of 64 outputs by 32 * ROW_QUADS rows, four outputs by
// 4 * ROW_QUADS rows each. DEPTH columns of both sides are read once for the tile, in blocks of 4 x 4 that are dequantised or
// normalised in registers and stored with the columns outermost, so that a column of either side is whole vec4f.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::product_io::{ GATED, NORM, finish, load_weights, normal_x, params, statistics, weight_row, x_place };

/// Groups of four rows of a thread.
const ROW_QUADS: u32 = 2u;

const OUT_THREADS = 16u;
const ROW_THREADS = 8u;
const THREADS = OUT_THREADS * ROW_THREADS;
const TILE_QUADS = ROW_THREADS * ROW_QUADS;
/// Groups of four columns.
const DEPTH = 4u;
/// Outputs of four rows of weights; gated, two of each matrix.
const QUAD_OUTPUTS = select(4u, 2u, GATED);

/// [4 DEPTH, OUT_THREADS], four outputs each
var<workgroup> weight_tile: array<vec4f, 4u * DEPTH * OUT_THREADS>;
/// [4 DEPTH, TILE_QUADS], four rows each
var<workgroup> x_tile: array<vec4f, 4u * DEPTH * TILE_QUADS>;

/// Row j of a quad of weights from output `first` on, at columns 4c to 4c + 3.
fn quad_weights(first: u32, j: u32, c: u32) -> vec4f {
  let up = GATED && j >= 2u;
  return load_weights(up, weight_row(up, first + j % QUAD_OUTPUTS), c);
}

fn row_channels(row: u32, c: u32) -> vec4f {
  var stats = vec2f();
  if (NORM != 0u) {
    stats = statistics[min(row, params.rows - 1u)];
  }
  return normal_x(row, x_place(row), c, stats);
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
  let tiles = ceil_div(params.outputs, QUAD_OUTPUTS * OUT_THREADS);
  let first_output = index % tiles * QUAD_OUTPUTS * OUT_THREADS;
  let first_row = index / tiles * 4u * TILE_QUADS;
  let out_thread = thread % OUT_THREADS;
  let row_thread = thread / OUT_THREADS;

  var sums = array<vec4f, 4u * ROW_QUADS>();
  for (var c = 0u; c < params.columns / 4u; c += DEPTH) {
    workgroupBarrier();
    // 1. the tiles: blocks of weights, then blocks of x
    for (var n = thread; n < DEPTH * (OUT_THREADS + TILE_QUADS); n += THREADS) {
      let column = n % DEPTH;
      let quad = n / DEPTH;
      if (quad < OUT_THREADS) {
        let output = first_output + QUAD_OUTPUTS * quad;
        let columns = transpose(mat4x4f(
          quad_weights(output, 0u, c + column),
          quad_weights(output, 1u, c + column),
          quad_weights(output, 2u, c + column),
          quad_weights(output, 3u, c + column),
        ));
        let place = 4u * column * OUT_THREADS + quad;
        weight_tile[place] = columns[0];
        weight_tile[place + OUT_THREADS] = columns[1];
        weight_tile[place + 2u * OUT_THREADS] = columns[2];
        weight_tile[place + 3u * OUT_THREADS] = columns[3];
      } else {
        let row = first_row + 4u * (quad - OUT_THREADS);
        let columns = transpose(mat4x4f(
          row_channels(row, c + column),
          row_channels(row + 1u, c + column),
          row_channels(row + 2u, c + column),
          row_channels(row + 3u, c + column),
        ));
        let place = 4u * column * TILE_QUADS + quad - OUT_THREADS;
        x_tile[place] = columns[0];
        x_tile[place + TILE_QUADS] = columns[1];
        x_tile[place + 2u * TILE_QUADS] = columns[2];
        x_tile[place + 3u * TILE_QUADS] = columns[3];
      }
    }
    workgroupBarrier();
    // 2. products
    for (var k = 0u; k < 4u * DEPTH; k++) {
      let weights = weight_tile[k * OUT_THREADS + out_thread];
      for (var q = 0u; q < ROW_QUADS; q++) {
        let rows = x_tile[k * TILE_QUADS + row_thread * ROW_QUADS + q];
        sums[4u * q] += weights * rows.x;
        sums[4u * q + 1u] += weights * rows.y;
        sums[4u * q + 2u] += weights * rows.z;
        sums[4u * q + 3u] += weights * rows.w;
      }
    }
  }

  // 3. out
  for (var r = 0u; r < 4u * ROW_QUADS; r++) {
    let row = first_row + 4u * row_thread * ROW_QUADS + r;
    for (var o = 0u; o < QUAD_OUTPUTS; o++) {
      let output = first_output + QUAD_OUTPUTS * out_thread + o;
      finish(row, output, sums[r][o], sums[r][(o + 2u) % 4u]);
    }
  }
}

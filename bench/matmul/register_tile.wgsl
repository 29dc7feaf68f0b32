// C = A B in f32, all three [SIZE, SIZE] row-major. An invocation keeps ROWS x 4 COLUMNS elements of C in registers and
// walks along the inner dimension by itself: no workgroup memory, no barrier.
const SIZE: u32 = 512u;
const THREADS: u32 = 16u;
const ROWS: u32 = 16u;
// In vec4.
const COLUMNS: u32 = 8u;
// Components of a vec4.
const PARTS: u32 = 4u;

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = SIZE / 4u;
  let column_tiles = width / COLUMNS;
  let row = id.x / column_tiles * ROWS;
  let column = id.x % column_tiles * COLUMNS;
  if (row >= SIZE) {
    return;
  }

  var sums = array<vec4f, ROWS * COLUMNS>();
  for (var inner = 0u; inner < width; inner++) {
    var a_rows = array<vec4f, ROWS>();
    for (var i = 0u; i < ROWS; i++) {
      a_rows[i] = a[(row + i) * width + inner];
    }
    for (var part = 0u; part < PARTS; part++) {
      let b_row = (4u * inner + part) * width + column;
      for (var j = 0u; j < COLUMNS; j++) {
        let b_columns = b[b_row + j];
        for (var i = 0u; i < ROWS; i++) {
          sums[i * COLUMNS + j] = a_rows[i][part] * b_columns + sums[i * COLUMNS + j];
        }
      }
    }
  }

  for (var i = 0u; i < ROWS; i++) {
    for (var j = 0u; j < COLUMNS; j++) {
      c[(row + i) * width + column + j] = sums[i * COLUMNS + j];
    }
  }
}

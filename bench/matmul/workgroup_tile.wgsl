// C = A B in f32, all three [SIZE, SIZE] row-major, as GPUs like it: 16 x 16 threads share a 64 x 64 tile of C, pass
// 64 x STEP of A and STEP x 64 of B through workgroup memory, and keep 4 x 4 elements each in registers.
const SIZE: u32 = 512u;
const STEP: u32 = 16u;

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

// [STEP, 64], transposed so that a thread's four rows are neighbours.
var<workgroup> a_tile: array<f32, STEP * 64u>;
// [STEP, 16] vec4
var<workgroup> b_tile: array<vec4f, STEP * 16u>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let width = SIZE / 4u;
  let x = thread % 16u;
  let y = thread / 16u;
  let row = group.y * 64u;
  let column = group.x * 16u;

  var sum_0 = vec4f();
  var sum_1 = vec4f();
  var sum_2 = vec4f();
  var sum_3 = vec4f();
  for (var inner = 0u; inner < SIZE; inner += STEP) {
    let a_row = thread / 4u;
    let a_columns = a[(row + a_row) * width + inner / 4u + thread % 4u];
    for (var part = 0u; part < 4u; part++) {
      a_tile[(thread % 4u * 4u + part) * 64u + a_row] = a_columns[part];
    }
    b_tile[thread] = b[(inner + y) * width + column + x];
    workgroupBarrier();
    for (var k = 0u; k < STEP; k++) {
      let b_columns = b_tile[k * 16u + x];
      let a_rows = k * 64u + 4u * y;
      sum_0 = a_tile[a_rows] * b_columns + sum_0;
      sum_1 = a_tile[a_rows + 1u] * b_columns + sum_1;
      sum_2 = a_tile[a_rows + 2u] * b_columns + sum_2;
      sum_3 = a_tile[a_rows + 3u] * b_columns + sum_3;
    }
    workgroupBarrier();
  }

  let out = (row + 4u * y) * width + column + x;
  c[out] = sum_0;
  c[out + width] = sum_1;
  c[out + 2u * width] = sum_2;
  c[out + 3u * width] = sum_3;
}

// Lists the blocks that a mask leaves, a thread a row of blocks: first how many there are, then, where there is room for them, which.
import package::_shared::workgroup_index::workgroup_index;

const THREADS: u32 = 64u;
/// Places are known: write entries. Otherwise count them.
const LIST: bool = false;

struct Params {
  rows: u32,
  key_blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> states: array<u32>; // [rows, key blocks]
@group(0) @binding(2) var<storage, read_write> block_list: array<u32>; // as block-mask.ts describes it

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroup_index(group_id, group_counts) * THREADS + thread;
  if (row >= params.rows) {
    return;
  }
  var count = 0u;
  for (var key_tile = 0u; key_tile < params.key_blocks; key_tile++) {
    let state = states[row * params.key_blocks + key_tile];
    if (state != 0u) {
      if (LIST) {
        block_list[block_list[2u * row] + count] = 2u * key_tile + select(0u, 1u, state == 1u);
      }
      count++;
    }
  }
  if (!LIST) {
    block_list[2u * row + 1u] = count;
  }
}

// What a mask leaves of each block of query rows by keys: nothing (0), a part (1) or all (2). A thread a block, which ends at the
// first pair unlike those before.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };

const THREADS: u32 = 64u;
const BLOCK_Q: u32 = 64u;
const BLOCK_K: u32 = 64u;

struct Params {
  tokens_q: u32,
  tokens_k: u32,
  /// Of the mask, 1 where all share it.
  batches: u32,
  heads: u32,
  query_offset: i32,
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> states: array<u32>; // [batches, heads, row blocks, key blocks]

fn query_position(batch: u32, token: u32) -> i32 {
  return i32(token) + params.query_offset;
}

fn first_key(batch: u32) -> u32 {
  return 0u;
}

/// Slot: whether query row i may see key j.
fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  return query_position(b, i) >= i32(first_key(b));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = workgroup_index(group_id, group_counts);
  let row_blocks = ceil_div(params.tokens_q, BLOCK_Q);
  let key_blocks = ceil_div(params.tokens_k, BLOCK_K);
  let index = (params.first_group + group) * THREADS + thread;
  if (group >= params.groups || index >= params.batches * params.heads * row_blocks * key_blocks) {
    return;
  }
  let first_key = index % key_blocks * BLOCK_K;
  let first_row = index / key_blocks % row_blocks * BLOCK_Q;
  let head = index / (key_blocks * row_blocks) % params.heads;
  let batch = index / (key_blocks * row_blocks * params.heads);
  let rows = min(BLOCK_Q, params.tokens_q - first_row);
  let keys = min(BLOCK_K, params.tokens_k - first_key);
  let first = mask_mod(batch, head, first_row, first_key);
  var state = select(0u, 2u, first);
  for (var n = 1u; n < rows * keys; n++) {
    if (mask_mod(batch, head, first_row + n / keys, first_key + n % keys) != first) {
      state = 1u;
      break;
    }
  }
  states[index] = state;
}

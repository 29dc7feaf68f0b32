// The kept blocks of each query block in ascending order, as block-sparse softmax attention takes them: block 0, the accepted
// candidates, the local blocks. A thread takes a query block.
import package::_shared::workgroup_index::workgroup_index;
import super::blocks::{ candidate_blocks, causal_blocks };
import super::params::{ BLOCK_K, BLOCK_Q, THREADS, is_dense, params, query_blocks };

@group(0) @binding(1) var<storage, read> thresholds: array<f32>;
/// [query heads, query blocks, hit_words]
@group(0) @binding(2) var<storage, read> hits: array<u32>;
/// [query heads, query blocks] of (first word of the row's entries, their number), then the entries
@group(0) @binding(3) var<storage, read_write> lists: array<u32>;

/// Words before a query block's entries, counted within its head: room for all causal blocks of those before it.
fn entries_before(query_block: u32) -> u32 {
  return (BLOCK_Q / BLOCK_K) * (query_block * (query_block + 1u) / 2u);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (params.first_group + workgroup_index(group_id, group_counts)) * THREADS + thread;
  let rows = params.batches * params.heads * query_blocks();
  if (index >= min((params.first_group + params.groups) * THREADS, rows)) {
    return;
  }
  let query_block = index % query_blocks();
  let head = index / query_blocks();
  let head_entries = entries_before(query_blocks() - 1u) + causal_blocks(query_blocks() - 1u);
  let first = 2u * rows + head * head_entries + entries_before(query_block);
  let dense = is_dense(thresholds[head % params.heads]);
  let candidates = select(candidate_blocks(query_block), 0u, dense);

  var next = first;
  lists[next] = 0u;
  next++;
  for (var word = 0u; word * 32u <= candidates; word++) {
    // Bit 0 of the first word is block 0; a query block without candidates has no hits.
    var bits = 0u;
    if (candidates > 0u) {
      bits = hits[index * params.hit_words + word];
    }
    while (bits != 0u) {
      lists[next] = 2u * (word * 32u + firstTrailingBit(bits));
      next++;
      bits &= bits - 1u;
    }
  }
  for (var key_block = candidates + 1u; key_block < causal_blocks(query_block); key_block++) {
    lists[next] = 2u * key_block;
    next++;
  }
  lists[2u * index] = first;
  lists[2u * index + 1u] = next - first;
}

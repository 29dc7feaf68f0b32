// Which key blocks a query block has: block 0, then candidates 1 to n, then the local ones up to and with the diagonal.
import package::_shared::workgroup_index::ceil_div;
import super::params::{ BLOCK_K, BLOCK_Q, params };

/// Key blocks that causal rows of this query block see.
fn causal_blocks(query_block: u32) -> u32 {
  return min(ceil_div(params.tokens, BLOCK_K), (query_block + 1u) * (BLOCK_Q / BLOCK_K));
}

/// Whole segments that lie before the local window, in blocks. All of them end before the diagonal.
fn candidate_blocks(query_block: u32) -> u32 {
  let reserved = 1u + params.local_blocks;
  let blocks = causal_blocks(query_block);
  let before = blocks - min(blocks, reserved);
  return before / params.segment_blocks * params.segment_blocks;
}

// Specialisation constants and uniforms that all passes of SALE's selection share.

const HEAD_DIM: u32 = 64u;

/// Keys of a block: 16, 32 or 64.
const BLOCK_K: u32 = 32u;

/// Widths of a row in vec4 and in words of eight 4-bit channels; zero past its end.
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
const WORDS = (HEAD_DIM + 7u) / 8u;

/// Words from row to row: rows start at multiples of four words, so that four are one load.
const WORD_STRIDE = (WORDS + 3u) / 4u * 4u;

/// Query rows that share a list of key blocks.
const BLOCK_Q = 64u;

/// Threads of a workgroup that share nothing.
const THREADS = 64u;

/// A threshold below this keeps every block of its head.
const DENSE_BELOW = 1e-5;

/// The limit of a row that no score exceeds: one past the end.
const NEVER = 3e38;

/// Whether a head keeps every block: by its threshold, or because that is no number. As bits, since compilers may take for granted
/// that all numbers are finite.
fn is_dense(threshold: f32) -> bool {
  let bits = bitcast<u32>(threshold);
  return (bits >= 0x7f800000u) | (threshold < DENSE_BELOW);
}

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_q: vec4u,
  strides_k: vec4u,
  base_q: u32,
  base_k: u32,
  batches: u32,
  heads: u32,
  kv_heads: u32,
  tokens: u32,
  /// Tokens in whole query blocks: rows of a head in scratch.
  rows: u32,
  /// Runs of CHUNK tokens, each summed by a thread.
  chunks: u32,
  /// Words of 32 blocks that a query block's hits take.
  hit_words: u32,
  /// Key blocks of a segment and of the local window.
  segment_blocks: u32,
  local_blocks: u32,
  /// Factor of q · k in the logits.
  scale: f32,
  /// 0 for a pass over queries, 1 over keys.
  side: u32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

fn query_blocks() -> u32 {
  return params.rows / BLOCK_Q;
}

/// Key head of a query head, both counted over all batch entries.
fn key_head(head: u32) -> u32 {
  return head / params.heads * params.kv_heads + head % params.heads / (params.heads / params.kv_heads);
}

/// Heads of this pass's side, over all batch entries.
fn side_heads() -> u32 {
  return params.batches * select(params.kv_heads, params.heads, params.side == 0u);
}

/// First element of a token's row in the tensor of this pass's side; `head` counts over all batch entries.
fn side_row(head: u32, token: u32) -> u32 {
  if (params.side == 0u) {
    return query_row(head, token);
  }
  return key_row(head, token);
}

fn side_stride() -> u32 {
  return select(params.strides_k.w, params.strides_q.w, params.side == 0u);
}

fn query_row(head: u32, token: u32) -> u32 {
  return params.base_q + dot(vec3u(head / params.heads, token, head % params.heads), params.strides_q.xyz);
}

fn key_row(kv_head: u32, token: u32) -> u32 {
  return params.base_k + dot(vec3u(kv_head / params.kv_heads, token, kv_head % params.kv_heads), params.strides_k.xyz);
}

/// Where a head's mean stands among the means: query heads first. `head` counts over all batch entries.
fn mean_of_query(head: u32) -> u32 {
  return head * HEAD_DIM4;
}

fn mean_of_key(kv_head: u32) -> u32 {
  return (params.batches * params.heads + kv_head) * HEAD_DIM4;
}

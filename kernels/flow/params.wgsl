// Specialisation constants and uniforms that all passes of flow attention share.

const HEAD_DIM: u32 = 64u;
const VALUE_DIM: u32 = 64u;

/// Widths in vec4. Scratch and states hold rows of whole vec4, zero past their end.
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;

/// Threads of a workgroup, and tokens that it takes at a time.
const TILE = 64u;

/// A thread's block of a product: ROWS rows, of which a vec4 holds DEPTH, times COLUMNS vec4 columns.
const ROWS = 8u;
const COLUMNS = 2u;
const DEPTH = 4u;

/// [ROWS, COLUMNS]
alias Sums = array<vec4f, ROWS * COLUMNS>;

/// Scores are so small that e^score may be summed as it is: no maximum is taken off.
const BOUNDED: bool = true;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_q: vec4u,
  strides_k: vec4u,
  strides_v: vec4u,
  strides_out: vec4u,
  strides_state: vec4u,
  strides_state_out: vec4u,
  base_q: u32,
  base_k: u32,
  base_v: u32,
  base_out: u32,
  base_state: u32,
  base_state_out: u32,
  batches: u32,
  heads: u32,
  tokens_q: u32,
  tokens_k: u32,
  /// The heads of this dispatch's scratch, of batch * heads + head.
  first_head: u32,
  head_count: u32,
  /// 0 for a pass over queries, 1 over keys.
  side: u32,
  /// Chunks that a head's tokens of this side are cut into, and tokens of a chunk, whole tiles.
  chunks: u32,
  chunk_tokens: u32,
  /// Chunks of the other side, and the larger of the two numbers.
  other_chunks: u32,
  chunk_stride: u32,
  epsilon: f32,
  /// Added to each flow once more: epsilon in the variant of the vision models, else 0.
  flow_epsilon: f32,
  clamp: f32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// [2, batches] tokens that are no padding, of queries and of keys.
@group(0) @binding(1) var<storage, read> lengths: array<u32>;

fn query_length(batch: u32) -> u32 {
  return min(lengths[batch], params.tokens_q);
}

fn key_length(batch: u32) -> u32 {
  return min(lengths[params.batches + batch], params.tokens_k);
}

/// Tokens of this pass's side that are no padding.
fn side_length(batch: u32) -> u32 {
  return select(key_length(batch), query_length(batch), params.side == 0u);
}

/// Rows of a head in the scratch of this side.
fn side_rows() -> u32 {
  return params.chunks * params.chunk_tokens;
}

// Specialisation constants and uniforms that the passes of prefix softmax share. Run time gives the constants their values.

const HEAD_DIM: u32 = 64u;
const VALUE_DIM: u32 = 64u;

/// Widths in vec4: rows are read and written four channels at a time, zero past their end.
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;

const THREADS = 64u;

/// vec4 columns of a thread, which share its exponentials, and such groups of columns of a head.
const COLUMNS: u32 = 1u;
const COLUMN_GROUPS = (VALUE_DIM4 + COLUMNS - 1u) / COLUMNS;

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
  tokens: u32,
  heads: u32,
  /// Heads that share keys and values.
  group: u32,
  /// The heads of this dispatch's scratch, of batch * heads + head.
  first_head: u32,
  head_count: u32,
  /// Chunks that the tokens are cut into, and tokens of one. The last may be short.
  chunks: u32,
  chunk_tokens: u32,
  scale: f32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// [batches] keys that are no padding.
@group(0) @binding(1) var<storage, read> lengths: array<u32>;

fn key_length(head: u32) -> u32 {
  return min(lengths[head / params.heads], params.tokens);
}

/// Which batch entry, and which head of keys and values, a head of the problem has.
fn shared_head(head: u32) -> vec2u {
  return vec2u(head / params.heads, head % params.heads / params.group);
}

/// Tokens [x, y) of a chunk.
fn chunk_range(chunk: u32) -> vec2u {
  let begin = chunk * params.chunk_tokens;
  return vec2u(begin, min(begin + params.chunk_tokens, params.tokens));
}

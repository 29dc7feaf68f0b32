// Specialisation constants and uniforms that all softmax passes share. Run time gives the constants their values.

const HEAD_DIM: u32 = 64u;
const VALUE_DIM: u32 = 64u;

/// Widths in vec4: rows are read and written four channels at a time, zero past their end.
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;

struct Params {
  // [batch, tokens, heads, dim] of tensors and [batch, heads, query, key] of the bias, in elements
  strides_q: vec4u,
  strides_k: vec4u,
  strides_v: vec4u,
  strides_out: vec4u,
  strides_lse: vec4u,
  strides_bias: vec4u,
  // [batch, heads, blocks of query rows] of the block mask, in rows of blocks
  strides_blocks: vec4u,
  base_q: u32,
  base_k: u32,
  base_v: u32,
  base_out: u32,
  base_lse: u32,
  base_bias: u32,
  batches: u32,
  tokens_q: u32,
  tokens_k: u32,
  heads: u32,
  /// Query heads per key head: head h reads key head h / heads_per_kv.
  heads_per_kv: u32,
  /// Position of query row 0 among the keys.
  query_offset: i32,
  /// Keys visible before and after a query's position, where the constants below bound them.
  window_left: i32,
  window_right: i32,
  scale: f32,
  /// The c of c tanh(s / c).
  softcap: f32,
  /// This dispatch's share of the problem: first workgroup, and how many.
  first_group: u32,
  groups: u32,
  /// Where `terms` holds the query offsets of packed sequences.
  sequences_at: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// Small data of the plan's: [batches] first visible key, [batches] one past the last, then as f32 bits [heads] sink logits,
/// [heads] ALiBi slopes, [rotary pairs, 2] rotary frequencies, and [sequences + 1] query offsets of packed sequences, which are
/// the batch entries then.
@group(0) @binding(6) var<storage, read> terms: array<u32>;

fn sink_logit(head: u32) -> f32 {
  return bitcast<f32>(terms[2u * params.batches + head]);
}

fn alibi_slope(head: u32) -> f32 {
  return bitcast<f32>(terms[2u * params.batches + params.heads + head]);
}

/// Frequency of a rotary pair: 2^-32 turns per token, modulo one turn, and what that leaves out, in turns per token.
fn rotary_step(pair: u32) -> u32 {
  return terms[2u * (params.batches + params.heads + pair)];
}

fn rotary_rest(pair: u32) -> f32 {
  return bitcast<f32>(terms[2u * (params.batches + params.heads + pair) + 1u]);
}

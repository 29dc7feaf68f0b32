// Uniforms that all passes of the router share.

struct Params {
  // [batch, tokens, heads, dim], in elements; of x or of q
  strides_input: vec4u,
  strides_gates: vec4u,
  base_input: u32,
  base_gates: u32,
  base_scores: u32,
  /// Elements between the scores of neighbouring tokens of one batch entry, and of neighbouring entries.
  stride_scores: u32,
  stride_scores_batch: u32,
  base_weight: u32,
  stride_weight_inner: u32,
  stride_weight_outer: u32,
  /// Of the matrix of this pass: its columns, and where they stand among the scores.
  columns: u32,
  first_column: u32,
  inner: u32,
  batches: u32,
  tokens: u32,
  heads: u32,
  shared_heads: u32,
  top_k: u32,
  base_loss: u32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

fn routed_heads() -> u32 {
  return params.heads - params.shared_heads;
}

/// First score of a token, `row` = batch * tokens + token.
fn row_scores(row: u32) -> u32 {
  let batch = row / params.tokens;
  return params.base_scores + batch * params.stride_scores_batch + row % params.tokens * params.stride_scores;
}

fn place_gate(row: u32, head: u32) -> u32 {
  return params.base_gates + dot(vec3u(row / params.tokens, row % params.tokens, head), params.strides_gates.xyz);
}

// Specialisation constants and uniforms that the passes of linear attention share. Run time gives the constants their values.

const HEAD_DIM: u32 = 64u;
const VALUE_DIM: u32 = 64u;
/// Whether the output is divided by scale q · z + epsilon, with z the decayed sum of keys.
const NORMALIZE: bool = false;

/// Widths in vec4: rows are read and written four channels at a time, zero past their end.
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;
/// Rows of a stored state; those past HEAD_DIM are zero.
const STATE_ROWS = 4u * HEAD_DIM4;
/// vec4 columns of a stored state. z is one column more: keys times a value of 1.
const STATE_COLUMNS = VALUE_DIM4 + select(0u, 1u, NORMALIZE);

/// Tokens of a block.
const BLOCK: u32 = 64u;

struct Params {
  // [batch, tokens, heads, dim] of tensors and [batch, head, row, column] of states, in elements. A tensor that is walked
  // through from its end has the negative stride, modulo 2^32.
  strides_q: vec4u,
  strides_k: vec4u,
  strides_v: vec4u,
  strides_out: vec4u,
  strides_raw: vec4u,
  strides_initial_s: vec4u,
  strides_initial_z: vec4u,
  strides_final_s: vec4u,
  strides_final_z: vec4u,
  base_q: u32,
  base_k: u32,
  base_v: u32,
  base_out: u32,
  base_raw: u32,
  base_initial_s: u32,
  base_initial_z: u32,
  base_final_s: u32,
  base_final_z: u32,
  batches: u32,
  tokens: u32,
  heads: u32,
  /// Blocks whose states are held at once, and the first of them.
  blocks: u32,
  first_block: u32,
  /// Factors of q · k inside a block, of q times the state that enters it, and of what a block adds to the state.
  scale_pairs: f32,
  scale_read: f32,
  scale_state: f32,
  epsilon: f32,
  /// This dispatch's share of the problem: first workgroup, and how many.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

/// [2, heads, BLOCK + 1]: powers of each head's decay factor, λ^n = exp(-rate n), then λ^n - 1, found in float64: a factor of the distance between two
/// tokens of a block is at most 1, and none is ever made of two that are not.
@group(0) @binding(5) var<storage, read> powers: array<f32>;

fn power(head: u32, distance: u32) -> f32 {
  return powers[head * (BLOCK + 1u) + distance];
}

/// λ^n - 1, for `decayed.wgsl`.
fn power_loss(head: u32, distance: u32) -> f32 {
  return powers[(params.heads + head) * (BLOCK + 1u) + distance];
}

/// Tokens of a block; the last one may be short.
fn block_size(index: u32) -> u32 {
  return min(BLOCK, params.tokens - index * BLOCK);
}

// Specialisation constants and uniforms that the passes of agent attention share. Run time gives the constants their values.

const HEAD_DIM: u32 = 64u;
const VALUE_DIM: u32 = 64u;

/// Widths in vec4: rows are read and written four channels at a time, zero past their end.
const HEAD_DIM4 = (HEAD_DIM + 3u) / 4u;
const VALUE_DIM4 = (VALUE_DIM + 3u) / 4u;

struct Params {
  // [batch, tokens, heads, dim] of tensors and [batch, heads, row, column] of biases, in elements
  strides_q: vec4u,
  strides_k: vec4u,
  strides_v: vec4u,
  strides_out: vec4u,
  strides_agent_bias: vec4u,
  strides_query_bias: vec4u,
  /// Windows side by side, rows and columns of a window, columns of the whole image.
  windows: vec4u,
  windows_per_image: u32,
  base_q: u32,
  base_k: u32,
  base_v: u32,
  base_out: u32,
  base_agent_bias: u32,
  base_query_bias: u32,
  /// Images, or windows of images.
  entries: u32,
  heads: u32,
  tokens_q: u32,
  tokens_k: u32,
  agents: u32,
  scale: f32,
  second_scale: f32,
  shortcut: f32,
  // The image that the convolution sees, in tokens after the class token.
  class_tokens: u32,
  grid_rows: u32,
  grid_columns: u32,
  /// The grid that the values lie on, and the distance of its rows in tokens of v.
  value_rows: u32,
  value_columns: u32,
  value_pitch: u32,
  /// This dispatch's share of the problem: first workgroup, and how many.
  first_group: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

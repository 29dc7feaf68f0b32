import super::params::params;

// What split.wgsl hands to merge.wgsl.

/// [batch, head, token, split, VALUE_DIM4]: weighted sums of values, relative to the split's own maximum.
@group(0) @binding(9) var<storage, read_write> partial_out: array<vec4f>;

/// [batch, head, token, split]: the split's (max, sum of weights).
@group(0) @binding(10) var<storage, read_write> partial_state: array<vec2f>;

fn partial_place(batch: u32, token: u32, head: u32) -> u32 {
  return (batch * params.heads + head) * params.tokens_q + token;
}

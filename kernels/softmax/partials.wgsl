import super::params::params;
import super::visibility::visible_range;

// What split.wgsl hands to merge.wgsl.

/// [batch, head, token, split, VALUE_DIM4]: weighted sums of values, relative to the split's own maximum.
@group(0) @binding(9) var<storage, read_write> partial_out: array<vec4f>;

/// [batch, head, token, split]: the split's (max, sum of weights).
@group(0) @binding(10) var<storage, read_write> partial_state: array<vec2f>;

fn partial_place(batch: u32, token: u32, head: u32) -> u32 {
  return (batch * params.heads + head) * params.tokens_q + token;
}

/// The keys [x, y) that a block of rows of one key head may see between them; y is at least x. Row r is token r % tokens_q of
/// query head r / tokens_q, so a block that goes on into the next head has the first and the last token in it.
fn block_range(batch: u32, first_row: u32, rows: u32) -> vec2u {
  let first = first_row % params.tokens_q;
  let last = first + rows - 1u;
  let whole = last >= params.tokens_q;
  let begin = visible_range(batch, select(first, 0u, whole)).x;
  let end = visible_range(batch, select(last, params.tokens_q - 1u, whole)).y;
  return vec2u(begin, max(begin, end));
}

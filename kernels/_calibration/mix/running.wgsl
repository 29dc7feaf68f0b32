// Rows of values, or of queries, that are summed over tokens.
import package::softmax::params::{ HEAD_DIM4, VALUE_DIM4, params, terms };
import package::softmax::tensors::{ load_q, load_v, row_q, row_v };
import package::softmax::visibility::{ key_count, key_kept };

/// Queries instead of values. All of them count; of the values, those that the key range and the key mask leave.
const OF_QUERIES: bool = false;
/// Tokens of a chunk.
const CHUNK: u32 = 32u;

const DIM4 = select(VALUE_DIM4, HEAD_DIM4, OF_QUERIES);

fn summed_tokens() -> u32 {
  return select(params.tokens_k, params.tokens_q, OF_QUERIES);
}

fn summed_heads() -> u32 {
  return select(params.heads / params.heads_per_kv, params.heads, OF_QUERIES);
}

/// Channels 4c to 4c + 3 of a token, zero where it does not count, whose memory may hold anything.
fn summand(batch: u32, token: u32, head: u32, c: u32) -> vec4f {
  if (OF_QUERIES) {
    return load_q(row_q(batch, token, head), c);
  }
  if (token < terms[batch] || token >= key_count(batch) || !key_kept(batch, token)) {
    return vec4f();
  }
  return load_v(row_v(batch, token, head), c);
}

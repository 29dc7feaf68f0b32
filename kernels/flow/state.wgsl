// What the causal form carries from one call to the next, as `state.ts` describes it: for each head, in vec4, the totals (maximum
// and sum of the competition, tokens seen), four vectors in the order of vectors.wgsl, and the matrix [4 * HEAD_DIM4, VALUE_DIM4].
import super::params::{ HEAD_DIM4, params };

const HAS_STATE: bool = false;

const STATE_VECTORS = 1u;
const STATE_MATRIX = 1u + 4u * HEAD_DIM4;

@group(0) @binding(8) var<storage, read> state: array<vec4f>;

fn state_place(head: u32) -> u32 {
  let batch_place = head / params.heads * params.strides_state.x;
  return (params.base_state + batch_place + head % params.heads * params.strides_state.z) / 4u;
}

fn state_out_place(head: u32) -> u32 {
  let batch_place = head / params.heads * params.strides_state_out.x;
  return (params.base_state_out + batch_place + head % params.heads * params.strides_state_out.z) / 4u;
}

fn state_vec4(head: u32, element: u32) -> vec4f {
  if (HAS_STATE) {
    return state[state_place(head) + element];
  }
  return vec4f();
}

/// Tokens seen before this call.
fn tokens_seen(head: u32) -> f32 {
  return state_vec4(head, 0u).z;
}

/// Joins (maximum, sum relative to it) of two sets of tokens.
fn joined(a: vec2f, b: vec2f) -> vec2f {
  let most = max(a.x, b.x);
  return vec2f(most, a.y * exp(a.x - most) + b.y * exp(b.x - most));
}

// Documents behind each other in one sequence: a token sees those of its own. documents: a number for each token, [tokens] or [B, tokens].
import super::super::visibility::query_position;

/// Tokens between batch entries; 0 where they share one list.
const stride: u32 = 0u;
@group(0) @binding(0) var<storage, read> documents: array<u32>;

fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  let position = query_position(b, i);
  return (position >= 0) & (documents[b * stride + u32(max(position, 0))] == documents[b * stride + j]);
}

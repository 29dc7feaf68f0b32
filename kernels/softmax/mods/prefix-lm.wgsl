// Prefix language model (arXiv 1910.10683, section 3.2.1): the prefix sees all of itself, the rest is causal. prefixes: [B] lengths.
import super::super::visibility::{ first_key, query_position };

@group(0) @binding(0) var<storage, read> prefixes: array<u32>;

fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  return (j - first_key(b) < prefixes[b]) | (i32(j) <= query_position(b, i));
}

// What the chunks before the last leave: for each, (maximum, sum) of its own weights, the same of all tokens up to its end, and the sum of
// its weighted values, which the scan turns into one over all tokens up to its end as well.
import super::params::{ VALUE_DIM4, params };

const OWN = 0u;
const PREFIX = 1u;
const VALUES = 2u;

/// [heads of the scratch, chunks - 1, VALUES + VALUE_DIM4]
@group(0) @binding(6) var<storage, read_write> sums: array<vec4f>;

fn chunk_place(own_head: u32, chunk: u32) -> u32 {
  return (own_head * (params.chunks - 1u) + chunk) * (VALUES + VALUE_DIM4);
}

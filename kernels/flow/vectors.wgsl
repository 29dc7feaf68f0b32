// Sums of rows over chunks of tokens, the four of them [4, heads of the scratch, chunk_stride, GROUPS, HEAD_DIM4]: a workgroup's
// threads take a row's columns side by side, and each of GROUPS groups of threads leaves a sum of its own.
import super::params::{ HEAD_DIM4, TILE, params };

/// The smallest power of two that is at least HEAD_DIM4.
const COLUMN_THREADS: u32 = 16u;
const GROUPS = TILE / COLUMN_THREADS;

/// Sums over queries and keys themselves, and, CONSERVED further on, over queries by their incoming and keys by their outgoing flow.
const QUERIES = 0u;
const KEYS = 1u;
const CONSERVED = 2u;

@group(0) @binding(2) var<storage, read_write> vectors: array<vec4f>;

/// Where the first group's sum begins; that of the next lies HEAD_DIM4 further on.
fn vector_place(kind: u32, head: u32, chunk: u32) -> u32 {
  return ((kind * params.head_count + head) * params.chunk_stride + chunk) * GROUPS * HEAD_DIM4;
}

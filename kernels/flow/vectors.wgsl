// Sums of rows over chunks of tokens, the four of them [4, heads of the scratch, chunk_stride, HEAD_DIM4].
import super::columns::{ COLUMN_THREADS, GROUPS, column_sum };
import super::params::{ HEAD_DIM4, params };

/// Sums over queries and keys themselves, and, CONSERVED further on, over queries by their incoming and keys by their outgoing flow.
const QUERIES = 0u;
const KEYS = 1u;
const CONSERVED = 2u;

@group(0) @binding(2) var<storage, read_write> vectors: array<vec4f>;

fn vector_place(kind: u32, head: u32, chunk: u32) -> u32 {
  return ((kind * params.head_count + head) * params.chunk_stride + chunk) * HEAD_DIM4;
}

/// Column `thread` of the sum over all chunks, for the threads of the first group. All threads call it together.
fn vector_total(kind: u32, head: u32, chunks: u32, thread: u32) -> vec4f {
  let column = thread % COLUMN_THREADS;
  var sum = vec4f();
  if (column < HEAD_DIM4) {
    for (var chunk = thread / COLUMN_THREADS; chunk < chunks; chunk += GROUPS) {
      sum += vectors[vector_place(kind, head, chunk) + column];
    }
  }
  return column_sum(sum, thread);
}

// Sums of values over the tokens up to each, or means of queries, from those of chunks. A thread takes a column of four channels of a
// chunk; or, for the mean of all, of the sequence.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::softmax::params::params;
import super::running::{ CHUNK, DIM4, OF_QUERIES, summand, summed_heads, summed_tokens };

const THREADS = 64u;
/// The mean of all tokens, once.
const WHOLE: bool = false;

/// [batches, chunks, heads, DIM4]
@group(0) @binding(15) var<storage, read> chunk_sums: array<vec4f>;
/// [batches, tokens (1 for the mean of all), heads, DIM4]
@group(0) @binding(16) var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  let tokens = summed_tokens();
  let heads = summed_heads();
  let chunks = ceil_div(tokens, CHUNK);
  let parts = select(chunks, 1u, WHOLE);
  if (group >= params.first_group + params.groups || index >= params.batches * parts * heads * DIM4) {
    return;
  }
  let column = index % DIM4;
  let head = index / DIM4 % heads;
  let part = index / (DIM4 * heads) % parts;
  let batch = index / (DIM4 * heads * parts);
  var sum = vec4f();
  for (var chunk = 0u; chunk < select(part, chunks, WHOLE); chunk++) {
    sum += chunk_sums[((batch * chunks + chunk) * heads + head) * DIM4 + column];
  }
  if (WHOLE) {
    sums[index] = sum / f32(tokens);
    return;
  }
  for (var token = part * CHUNK; token < min((part + 1u) * CHUNK, tokens); token++) {
    sum += summand(batch, token, head, column);
    sums[((batch * tokens + token) * heads + head) * DIM4 + column] = sum / select(1.0, f32(token + 1u), OF_QUERIES);
  }
}

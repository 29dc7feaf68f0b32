// Sums of values or queries over chunks of tokens. A thread takes a column of four channels of a chunk.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::softmax::params::params;
import super::running::{ CHUNK, DIM4, summand, summed_heads, summed_tokens };

const THREADS = 64u;

/// [batches, chunks, heads, DIM4]
@group(0) @binding(15) var<storage, read_write> chunk_sums: array<vec4f>;

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
  if (group >= params.first_group + params.groups || index >= params.batches * chunks * heads * DIM4) {
    return;
  }
  let column = index % DIM4;
  let head = index / DIM4 % heads;
  let chunk = index / (DIM4 * heads) % chunks;
  let batch = index / (DIM4 * heads * chunks);
  var sum = vec4f();
  for (var token = chunk * CHUNK; token < min((chunk + 1u) * CHUNK, tokens); token++) {
    sum += summand(batch, token, head, column);
  }
  chunk_sums[index] = sum;
}

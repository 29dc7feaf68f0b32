// The way of many projected rows [rows, outputs] out: a workgroup owns a head of a row.
import package::_shared::workgroup_index::workgroup_index;
import super::head_store::{ OWNED, heads, held, store_held };
import super::product_io::params;
import super::row_sum::THREADS;

/// [rows, (heads + 2 kv_heads) * head_dim]
@group(0) @binding(16) var<storage, read> projected: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts);
  let all_heads = heads.heads + 2u * heads.kv_heads;
  if (index >= params.rows * all_heads) {
    return;
  }
  for (var o = thread; o < OWNED; o += THREADS) {
    held[o] = projected[index * OWNED + o];
  }
  workgroupBarrier();
  store_held(0u, index / all_heads, index % all_heads * OWNED, all_heads * OWNED, thread, THREADS);
}

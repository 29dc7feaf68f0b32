// Allocation: out_i = logistic(Î_i L / S) / I_i · Q_i (S sum_j softmax_j(Ô) K_jᵀ v_j). A workgroup takes a tile of sinks of one head
// and up to COLUMN_BLOCKS blocks of columns; a thread has a token first, then a block.
import package::_shared::workgroup_index::workgroup_index;
import super::flow::{ flow, logistic };
import super::output::{ row_out, store_out };
import super::params::{ COLUMNS, HEAD_DIM4, ROWS, TILE, VALUE_DIM4, key_length, params, query_length, side_rows };
import super::product::{ PARTS, product_of, block_column, block_row, queries };
import super::vectors::{ CONSERVED, KEYS };

/// [4, heads of the scratch, HEAD_DIM4]
@group(0) @binding(2) var<storage, read> totals: array<vec4f>;

/// logistic(Î L / S) / I of the tile's sinks.
var<workgroup> factors: array<f32, TILE>;

@compute @workgroup_size(TILE)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let tiles = (params.tokens_q + TILE - 1u) / TILE;
  let part = index % PARTS;
  let tile = index / PARTS % tiles * TILE;
  let head = index / (PARTS * tiles);
  let batch = (params.first_head + head) / params.heads;
  let sinks = query_length(batch);
  let sources = key_length(batch);

  // Sums of keys, and of keys over their outgoing flows.
  let key_sum = (KEYS * params.head_count + head) * HEAD_DIM4;
  let conserved_sum = ((CONSERVED + KEYS) * params.head_count + head) * HEAD_DIM4;
  let first = head * side_rows() + tile;
  var incoming = params.flow_epsilon;
  var conserved = params.flow_epsilon;
  for (var c = 0u; c < HEAD_DIM4; c++) {
    let query = queries[(first + thread) * HEAD_DIM4 + c];
    incoming += flow(query, totals[key_sum + c], c);
    conserved += flow(query, totals[conserved_sum + c], c);
  }
  factors[thread] = logistic(conserved * f32(sinks) / f32(max(sources, 1u))) / incoming;
  workgroupBarrier();

  let column = block_column(part, thread);
  if (column >= VALUE_DIM4) {
    return;
  }
  let row = block_row(thread);
  var sums = product_of(first + row, head * 4u * HEAD_DIM4 * VALUE_DIM4, column);
  for (var r = 0u; r < ROWS; r++) {
    let token = tile + row + r;
    if (token < params.tokens_q) {
      let out_row = row_out(params.first_head + head, token);
      for (var n = 0u; n < COLUMNS; n++) {
        if (column + n < VALUE_DIM4) {
          store_out(out_row, column + n, sums[r * COLUMNS + n] * factors[row + r]);
        }
      }
    }
  }
}

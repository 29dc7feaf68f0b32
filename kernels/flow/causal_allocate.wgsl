// Allocation of the causal form, out_t = logistic(Î_t) / I_t · Q_t sum over j <= t of K_jᵀ (c_j v_j): what earlier tiles add is a
// product with their scanned matrix, what this tile adds its products Q Kᵀ up to the diagonal, times c v. A workgroup takes a tile of
// one head and up to COLUMN_BLOCKS blocks of columns.
import package::_shared::workgroup_index::workgroup_index;
import super::output::{ row_out, store_out };
import super::params::{ COLUMNS, DEPTH, HEAD_DIM4, ROWS, TILE, VALUE_DIM4, key_length, params };
import super::product::{ PARTS, product_of, block_column, block_row };
import super::triangle::TILE_PRODUCTS;
import super::values::{ first_value, load_v };

/// As triangle.wgsl, causal_conserve.wgsl and causal_aggregate.wgsl describe them.
@group(0) @binding(6) var<storage, read> products: array<vec4f>;
@group(0) @binding(7) var<storage, read> conserved: array<vec2f>;
@group(0) @binding(8) var<storage, read> shares: array<vec4f>;

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
  let part = index % PARTS;
  let tile = index / PARTS % params.chunks;
  let head = index / (PARTS * params.chunks);
  let first = (head * params.chunks + tile) * TILE;
  let begin = tile * TILE;
  let column = block_column(part, thread);
  let length = key_length((params.first_head + head) / params.heads);
  if (column >= VALUE_DIM4) {
    return;
  }
  let row = block_row(thread);
  var sums = product_of(first + row, (head * params.chunks + tile) * 4u * HEAD_DIM4 * VALUE_DIM4, column);

  // Four sources at a time, up to the last one that the block's last row sees; past the end of the sequence stands its last token
  // again, with a share of 0.
  let second_column = min(column + 1u, VALUE_DIM4 - 1u);
  let values = first_value(params.first_head + head);
  let product_row = (head * params.chunks + tile) * TILE_PRODUCTS + row * TILE / 4u;
  for (var source = 0u; source < row + ROWS && begin + source < length; source += DEPTH) {
    let share = shares[(first + source) / 4u];
    var right = array<vec4f, DEPTH * COLUMNS>(); // [DEPTH, COLUMNS]
    for (var i = 0u; i < DEPTH; i++) {
      let value_row = values + min(begin + source + i, length - 1u) * params.strides_v.y;
      right[i * COLUMNS] = load_v(value_row, column) * share[i];
      right[i * COLUMNS + 1u] = load_v(value_row, second_column) * share[i];
    }
    for (var r = 0u; r < ROWS; r++) {
      let all = products[product_row + r * TILE / 4u + source / 4u];
      let left = select(vec4f(), all, source + vec4u(0u, 1u, 2u, 3u) <= vec4u(row + r));
      for (var n = 0u; n < COLUMNS; n++) {
        sums[r * COLUMNS + n] += left.x * right[n] + left.y * right[COLUMNS + n] + left.z * right[2u * COLUMNS + n]
          + left.w * right[3u * COLUMNS + n];
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    let token = begin + row + r;
    if (token < params.tokens_q) {
      let factor = conserved[first + row + r].x;
      let out_row = row_out(params.first_head + head, token);
      for (var n = 0u; n < COLUMNS; n++) {
        if (column + n < VALUE_DIM4) {
          store_out(out_row, column + n, sums[r * COLUMNS + n] * factor);
        }
      }
    }
  }
}

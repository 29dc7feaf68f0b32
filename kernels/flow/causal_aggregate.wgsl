// Competition of a tile of tokens of the causal form, c_t = n_t e^(Ô_t) / sum over j <= t of e^(Ô_j), and the tile's share of the
// aggregation, sum of K_jᵀ (c_j v_j). Without a bound on the scores, numerator and sum are taken relative to the largest so far,
// which leaves their quotient as it is. A workgroup takes a tile of one head and up to TILE blocks of the matrix.
import package::_shared::workgroup_index::workgroup_index;
import super::outer::{ PARTS, add_outer_products, block_of, store_block, weights };
import super::params::{ BOUNDED, COLUMNS, ROWS, TILE, Sums, key_length, params };
import super::state::{ joined, state_vec4 };
import super::values::first_value;

/// [heads of the scratch, rows] factor of the output, score
@group(0) @binding(2) var<storage, read> conserved: array<vec2f>;
/// [heads of the scratch, tiles] maximum and sum
@group(0) @binding(6) var<storage, read> competition: array<vec2f>;
/// [heads of the scratch, rows] c_t, zero for padding
@group(0) @binding(7) var<storage, read_write> shares: array<f32>;

/// Competition of the tiles before, as far as each thread has joined them.
var<workgroup> joined_before: array<vec2f, TILE>;

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
  let length = key_length((params.first_head + head) / params.heads);
  let count = min(max(length, begin) - begin, TILE);

  var before = vec2f();
  for (var other = thread; other < tile; other += TILE) {
    before = joined(before, competition[head * params.chunks + other]);
  }
  joined_before[thread] = before;
  weights[thread] = conserved[first + thread].y;
  workgroupBarrier();
  if (thread == 0u) {
    let carried = state_vec4(params.first_head + head, 0u);
    var sum = carried.xy;
    for (var t = 0u; t < min(tile, TILE); t++) {
      sum = joined(sum, joined_before[t]);
    }
    for (var t = 0u; t < TILE; t++) {
      let score = weights[t];
      let most = select(max(sum.x, score), sum.x, BOUNDED);
      let own = exp(score - most);
      sum = vec2f(most, sum.y * exp(sum.x - most) + own);
      let share = (carried.z + f32(begin + t + 1u)) * own / sum.y;
      weights[t] = select(share, 0.0, t >= count);
    }
  }
  workgroupBarrier();
  if (part == 0u) {
    shares[first + thread] = weights[thread];
  }

  let corner = block_of(part, thread);
  var sums = Sums();
  let value_row = first_value(params.first_head + head) + begin * params.strides_v.y;
  add_outer_products(&sums, corner, first, value_row, count);
  store_block(&sums, corner, part, thread, head * params.chunks + tile);
}

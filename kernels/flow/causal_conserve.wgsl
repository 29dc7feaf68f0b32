// Conserved flows of a tile of tokens of the causal form, from scanned sums and the tile's products as in causal_flows.wgsl:
// Î_t as the factor logistic(Î_t) / I_t of the output, and the score Ô_t = min(<K_t, sum over j <= t of Q_j n_j / I_j> / n_t, clamp)
// with the tile's share of the competition. A workgroup takes a tile of one head; a thread has a token, then a block of products.
import package::_shared::workgroup_index::workgroup_index;
import super::flow::{ flow, logistic };
import super::params::{ BOUNDED, COLUMNS, HEAD_DIM4, ROWS, Sums, TILE, params };
import super::state::tokens_seen;
import super::triangle::{ block_place, past_flows, products, put_parts, tokens };
import super::vectors::{ CONSERVED, KEYS, QUERIES, vectors, vector_place };

/// [heads of the scratch, rows, HEAD_DIM4]
@group(0) @binding(3) var<storage, read> queries: array<vec4f>;
@group(0) @binding(4) var<storage, read> keys: array<vec4f>;
/// [heads of the scratch, rows] factor of the output, score
@group(0) @binding(7) var<storage, read_write> conserved: array<vec2f>;
/// [heads of the scratch, tiles] maximum and sum
@group(0) @binding(9) var<storage, read_write> competition: array<vec2f>;

var<workgroup> scores: array<f32, TILE>;

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
  let tile = index % params.chunks;
  let head = index / params.chunks;
  let first = index * TILE;

  let own = tokens[first + thread];
  var flows = vec2f();
  let query_sum = vector_place(CONSERVED + QUERIES, head, tile);
  let key_sum = vector_place(CONSERVED + KEYS, head, tile);
  for (var c = 0u; c < HEAD_DIM4; c++) {
    let query = queries[(first + thread) * HEAD_DIM4 + c];
    let key = keys[(first + thread) * HEAD_DIM4 + c];
    flows += vec2f(flow(query, vectors[key_sum + c], c), flow(key, vectors[query_sum + c], c));
  }

  let place = block_place(index, thread);
  var own_products = Sums(); // [ROWS, COLUMNS], a product to a component
  for (var r = 0u; r < ROWS; r++) {
    for (var n = 0u; n < COLUMNS; n++) {
      own_products[r * COLUMNS + n] = products[place + r * TILE / 4u + n];
    }
  }
  put_parts(&own_products, index, thread);
  storageBarrier();

  flows += past_flows(index, thread);
  let count = tokens_seen(params.first_head + head) + f32(tile * TILE + thread + 1u);
  // Padding has weight 0. Flows are positive, so the clamp's lower end changes nothing, nor does 0 as the least maximum.
  let valid = own.y > 0.0;
  let score = select(0.0, min(flows.y / count, params.clamp), valid);
  conserved[first + thread] = vec2f(logistic(flows.x / count) * own.x / count, score);
  var most = 0.0;
  if (!BOUNDED) {
    scores[thread] = score;
    workgroupBarrier();
    for (var t = 0u; t < TILE; t++) {
      most = max(most, scores[t]);
    }
    workgroupBarrier();
  }
  scores[thread] = select(0.0, exp(score - most), valid);
  workgroupBarrier();
  if (thread == 0u) {
    var sum = 0.0;
    for (var t = 0u; t < TILE; t++) {
      sum += scores[t];
    }
    competition[index] = vec2f(most, sum);
  }
}

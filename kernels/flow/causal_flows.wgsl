// Flows of a tile of tokens of the causal form, I_t = <Q_t, sum over j <= t of K_j> and O_t likewise: what earlier tiles add comes
// from the scanned sums, what this tile adds from its products Q Kᵀ, which later passes read too. Then the tile's sums of K n / O
// and Q n / I. A workgroup takes a tile of one head; a thread has a token, a block of products, a token again, then a column.
import package::_shared::workgroup_index::workgroup_index;
import super::columns::{ COLUMN_THREADS, GROUPS, column_sum };
import super::flow::{ flow, shift4 };
import super::params::{ HEAD_DIM4, ROWS, TILE, params, query_length };
import super::state::tokens_seen;
import super::triangle::{ Products, block_key, block_query, past_flows, put_parts, tile_tokens };
import super::vectors::{ CONSERVED, KEYS, QUERIES, vectors, vector_place };

/// [heads of the scratch, rows, HEAD_DIM4]
@group(0) @binding(3) var<storage, read> queries: array<vec4f>;
@group(0) @binding(4) var<storage, read> keys: array<vec4f>;
/// [heads of the scratch, tiles, TILE, TILE / 4] products of a tile's queries with its keys
@group(0) @binding(5) var<storage, read_write> products: array<vec4f>;
/// [heads of the scratch, rows] n / I, n / O, and epsilon times the sums of the row of Q and of K; zeros for padding
@group(0) @binding(6) var<storage, read_write> tokens: array<vec4f>;

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

  // 1. what earlier tiles add
  var flows = vec2f();
  var row_sums = vec2f();
  let query_sum = vector_place(QUERIES, head, tile);
  let key_sum = vector_place(KEYS, head, tile);
  for (var c = 0u; c < HEAD_DIM4; c++) {
    let query = queries[(first + thread) * HEAD_DIM4 + c];
    let key = keys[(first + thread) * HEAD_DIM4 + c];
    flows += vec2f(flow(query, vectors[key_sum + c], c), flow(key, vectors[query_sum + c], c));
    let shift = shift4(c);
    row_sums += vec2f(dot(query, shift), dot(key, shift));
  }
  tile_tokens[thread] = vec4f(1.0, 1.0, row_sums);
  workgroupBarrier();

  // 2. products = Q Kᵀ
  let query_row = (first + block_query(thread)) * HEAD_DIM4;
  let key_row = (first + block_key(thread)) * HEAD_DIM4;
  var own_products = Products();
  for (var c = 0u; c < HEAD_DIM4; c++) {
    var sources = array<vec4f, ROWS>();
    for (var n = 0u; n < ROWS; n++) {
      sources[n] = keys[key_row + n * HEAD_DIM4 + c];
    }
    for (var r = 0u; r < ROWS; r++) {
      let query = queries[query_row + r * HEAD_DIM4 + c];
      for (var n = 0u; n < ROWS; n++) {
        own_products[r * ROWS + n] += dot(query, sources[n]);
      }
    }
  }
  put_parts(&own_products, thread);
  let place = ((first + block_query(thread)) * TILE + block_key(thread)) / 4u;
  for (var r = 0u; r < ROWS; r++) {
    let at = r * ROWS;
    products[place + r * TILE / 4u] = vec4f(own_products[at], own_products[at + 1u], own_products[at + 2u], own_products[at + 3u]);
    products[place + r * TILE / 4u + 1u] = vec4f(own_products[at + 4u], own_products[at + 5u], own_products[at + 6u], own_products[at + 7u]);
  }
  workgroupBarrier();

  // 3. flows, as n / I and n / O
  flows += past_flows(thread);
  let token = tile * TILE + thread;
  let count = tokens_seen(params.first_head + head) + f32(token + 1u);
  let valid = token < query_length((params.first_head + head) / params.heads);
  let weights = select(vec2f(), count / flows, valid);
  tile_tokens[thread] = vec4f(weights, row_sums);
  tokens[first + thread] = vec4f(weights, row_sums);
  workgroupBarrier();

  // 4. sums of Q n / I and K n / O
  let column = thread % COLUMN_THREADS;
  var query_total = vec4f();
  var key_total = vec4f();
  if (column < HEAD_DIM4) {
    for (var t = thread / COLUMN_THREADS; t < TILE; t += GROUPS) {
      let place = (first + t) * HEAD_DIM4 + column;
      query_total += queries[place] * tile_tokens[t].x;
      key_total += keys[place] * tile_tokens[t].y;
    }
  }
  query_total = column_sum(query_total, thread);
  key_total = column_sum(key_total, thread);
  if (thread < HEAD_DIM4) {
    vectors[vector_place(CONSERVED + QUERIES, head, tile) + thread] = query_total;
    vectors[vector_place(CONSERVED + KEYS, head, tile) + thread] = key_total;
  }
}

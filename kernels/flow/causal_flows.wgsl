// Flows of a tile of tokens of the causal form, I_t = <Q_t, sum over j <= t of K_j> and O_t likewise: what earlier tiles add comes
// from the scanned sums, what this tile adds from its products Q Kᵀ, which later passes read too. Then the tile's sums of K n / O
// and Q n / I. A workgroup takes a tile of one head; a thread has a token, a block of products, a token again, then a column.
import package::_shared::workgroup_index::workgroup_index;
import super::flow::{ flow, shift4 };
import super::params::{ COLUMNS, HEAD_DIM4, ROWS, Sums, TILE, params, query_length };
import super::state::tokens_seen;
import super::triangle::{ block_key, block_place, block_query, past_flows, products, put_parts, tokens };
import super::vectors::{ COLUMN_THREADS, CONSERVED, GROUPS, KEYS, QUERIES, vectors, vector_place };

/// [heads of the scratch, rows, HEAD_DIM4]
@group(0) @binding(3) var<storage, read> queries: array<vec4f>;
@group(0) @binding(4) var<storage, read> keys: array<vec4f>;

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
  tokens[first + thread] = vec4f(1.0, 1.0, row_sums);
  storageBarrier();

  // 2. products = Q Kᵀ
  let query_row = (first + block_query(thread)) * HEAD_DIM4;
  let key_row = (first + block_key(thread)) * HEAD_DIM4;
  var own_products = Sums(); // [ROWS, COLUMNS], a product to a component
  for (var c = 0u; c < HEAD_DIM4; c++) {
    var sources = array<vec4f, ROWS>();
    for (var n = 0u; n < ROWS; n++) {
      sources[n] = keys[key_row + n * HEAD_DIM4 + c];
    }
    for (var r = 0u; r < ROWS; r++) {
      let query = queries[query_row + r * HEAD_DIM4 + c];
      for (var n = 0u; n < COLUMNS; n++) {
        own_products[r * COLUMNS + n] += vec4f(
          dot(query, sources[4u * n]),
          dot(query, sources[4u * n + 1u]),
          dot(query, sources[4u * n + 2u]),
          dot(query, sources[4u * n + 3u]),
        );
      }
    }
  }
  put_parts(&own_products, index, thread);
  let place = block_place(index, thread);
  for (var r = 0u; r < ROWS; r++) {
    for (var n = 0u; n < COLUMNS; n++) {
      products[place + r * TILE / 4u + n] = own_products[r * COLUMNS + n];
    }
  }
  storageBarrier();

  // 3. flows, as n / I and n / O
  flows += past_flows(index, thread);
  let token = tile * TILE + thread;
  let count = tokens_seen(params.first_head + head) + f32(token + 1u);
  let valid = token < query_length((params.first_head + head) / params.heads);
  let weights = select(vec2f(), count / flows, valid);
  tokens[first + thread] = vec4f(weights, row_sums);
  storageBarrier();

  // 4. sums of Q n / I and K n / O
  let column = thread % COLUMN_THREADS;
  if (column >= HEAD_DIM4) {
    return;
  }
  var query_total = vec4f();
  var key_total = vec4f();
  for (var t = thread / COLUMN_THREADS; t < TILE; t += GROUPS) {
    let place = (first + t) * HEAD_DIM4 + column;
    let token_weights = tokens[first + t].xy;
    query_total += queries[place] * token_weights.x;
    key_total += keys[place] * token_weights.y;
  }
  let own_group = thread / COLUMN_THREADS * HEAD_DIM4 + column;
  vectors[vector_place(CONSERVED + QUERIES, head, tile) + own_group] = query_total;
  vectors[vector_place(CONSERVED + KEYS, head, tile) + own_group] = key_total;
}

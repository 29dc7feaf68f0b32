// Sums over the tokens before and at each token of a tile, sum over j <= t of (<Q_t, K_j> + epsilon sum K_j) w_j, from the products
// Q Kᵀ of the tile; and the same with the roles of Q and K exchanged. A thread owns a block of ROWS x ROWS products.
import super::params::{ COLUMNS, ROWS, Sums, TILE };

/// Blocks of products side by side. A block's row is COLUMNS vec4 of products.
const BLOCKS = TILE / ROWS;

/// vec4 of a tile's products, and with them [2, BLOCKS, TILE / 4] what each block adds to the incoming and the outgoing flows.
/// That lies here rather than in workgroup memory because drivers that run on a CPU clear such memory slowly.
const PRODUCTS = TILE * TILE / 4u;
const TILE_PRODUCTS = PRODUCTS + 2u * BLOCKS * TILE / 4u;

/// [heads of the scratch, tiles, TILE_PRODUCTS]
@group(0) @binding(5) var<storage, read_write> products: array<vec4f>;
/// [heads of the scratch, rows] weights as query and as key, and epsilon times the sums of the rows; no weight for padding
@group(0) @binding(6) var<storage, read_write> tokens: array<vec4f>;

fn block_query(thread: u32) -> u32 {
  return thread / BLOCKS * ROWS;
}

fn block_key(thread: u32) -> u32 {
  return thread % BLOCKS * ROWS;
}

/// Where a thread's block of the products of `tile`, counted over all heads, begins; its next row is TILE / 4 further on.
fn block_place(tile: u32, thread: u32) -> u32 {
  return tile * TILE_PRODUCTS + (block_query(thread) * TILE + block_key(thread)) / 4u;
}

/// Leaves a block's parts for `past_flows`, after a barrier. The tile's `tokens` are there before.
fn put_parts(own: ptr<function, Sums>, tile: u32, thread: u32) {
  let query = block_query(thread);
  let key = block_key(thread);
  // [COLUMNS] keys of a row: weights, and what epsilon adds
  var weights = array<vec4f, COLUMNS>();
  var extras = array<vec4f, COLUMNS>();
  var outgoing = array<vec4f, COLUMNS>();
  for (var n = 0u; n < COLUMNS; n++) {
    let place = tile * TILE + key + 4u * n;
    let sources = mat4x4f(tokens[place], tokens[place + 1u], tokens[place + 2u], tokens[place + 3u]);
    weights[n] = vec4f(sources[0].y, sources[1].y, sources[2].y, sources[3].y);
    extras[n] = vec4f(sources[0].w, sources[1].w, sources[2].w, sources[3].w);
  }
  var incoming = array<vec4f, COLUMNS>();
  for (var r = 0u; r < ROWS; r++) {
    let sink = tokens[tile * TILE + query + r];
    var row = vec4f();
    for (var n = 0u; n < COLUMNS; n++) {
      let product = (*own)[r * COLUMNS + n];
      let keys = key + 4u * n + vec4u(0u, 1u, 2u, 3u);
      let queries = vec4u(query + r);
      row += select(vec4f(), (product + extras[n]) * weights[n], keys <= queries);
      outgoing[n] += select(vec4f(), (product + sink.z) * sink.x, queries <= keys);
    }
    incoming[r / 4u][r % 4u] = dot(row, vec4f(1.0));
  }
  let parts = tile * TILE_PRODUCTS + PRODUCTS;
  for (var n = 0u; n < COLUMNS; n++) {
    products[parts + (key / ROWS * TILE + query) / 4u + n] = incoming[n];
    products[parts + ((BLOCKS + query / ROWS) * TILE + key) / 4u + n] = outgoing[n];
  }
}

/// Sums of a token as query and as key over the tokens of the tile up to itself.
fn past_flows(tile: u32, token: u32) -> vec2f {
  let parts = tile * TILE_PRODUCTS + PRODUCTS;
  var sums = vec2f();
  for (var n = 0u; n < BLOCKS; n++) {
    let incoming = products[parts + (n * TILE + token) / 4u];
    let outgoing = products[parts + ((BLOCKS + n) * TILE + token) / 4u];
    sums += vec2f(incoming[token % 4u], outgoing[token % 4u]);
  }
  return sums;
}

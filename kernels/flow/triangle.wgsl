// Sums over the tokens before and at each token of a tile, sum over j <= t of (<Q_t, K_j> + epsilon sum K_j) w_j, from the products
// Q Kᵀ of the tile; and the same with the roles of Q and K exchanged. A thread owns a block of ROWS x ROWS products.
import super::params::{ ROWS, TILE };

/// [ROWS, ROWS]
alias Products = array<f32, ROWS * ROWS>;

/// Blocks of products side by side.
const BLOCKS = TILE / ROWS;

/// Of a tile's tokens: weights as query and as key, then epsilon times the sums of their rows, query and key.
var<workgroup> tile_tokens: array<vec4f, TILE>;
/// [BLOCKS, TILE] what each block adds to the incoming and outgoing flow of its tokens.
var<workgroup> incoming_parts: array<f32, BLOCKS * TILE>;
var<workgroup> outgoing_parts: array<f32, BLOCKS * TILE>;

fn block_query(thread: u32) -> u32 {
  return thread / BLOCKS * ROWS;
}

fn block_key(thread: u32) -> u32 {
  return thread % BLOCKS * ROWS;
}

/// Leaves a block's parts for `past_flows`, after a barrier. `tile_tokens` is there before.
fn put_parts(products: ptr<function, Products>, thread: u32) {
  let query = block_query(thread);
  let key = block_key(thread);
  for (var r = 0u; r < ROWS; r++) {
    var sum = 0.0;
    for (var n = 0u; n < ROWS; n++) {
      let source = tile_tokens[key + n];
      let product = (*products)[r * ROWS + n] + source.w;
      sum += select(0.0, product * source.y, key + n <= query + r);
    }
    incoming_parts[key / ROWS * TILE + query + r] = sum;
  }
  for (var n = 0u; n < ROWS; n++) {
    var sum = 0.0;
    for (var r = 0u; r < ROWS; r++) {
      let sink = tile_tokens[query + r];
      let product = (*products)[r * ROWS + n] + sink.z;
      sum += select(0.0, product * sink.x, query + r <= key + n);
    }
    outgoing_parts[query / ROWS * TILE + key + n] = sum;
  }
}

/// Sums of a token as query and as key over the tokens of the tile up to itself.
fn past_flows(token: u32) -> vec2f {
  var sums = vec2f();
  for (var n = 0u; n < BLOCKS; n++) {
    sums += vec2f(incoming_parts[n * TILE + token], outgoing_parts[n * TILE + token]);
  }
  return sums;
}

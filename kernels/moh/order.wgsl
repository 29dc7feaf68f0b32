// Tokens in an order in which neighbours have the same active heads, as far as that can be, and the heads that each tile of TILE
// neighbours has among them: the projection takes a tile through these heads and skips all others.
//
// A workgroup sorts a chunk of one batch entry's tokens by the rank of their pattern of routed heads in Gray's code, then by
// token. Patterns of equally many heads that follow each other there differ by one head taken for another, so a tile that
// several patterns share has one more head for each. Of more heads than a key has bits for, there are more patterns than tokens
// unless one or two are active, or all but so many: there the first two active heads are the key.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::active::is_active_gate;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_gates: vec4u,
  base_gates: u32,
  batches: u32,
  tokens: u32,
  heads: u32,
  shared_heads: u32,
  /// This dispatch's share of the workgroups.
  first_group: u32,
  groups: u32,
}

const THREADS: u32 = 64u;
/// Tokens of a chunk: a power of two, a multiple of TILE, at most 1024.
const CHUNK: u32 = 1024u;
/// Neighbours that go through the same heads.
const TILE: u32 = 8u;
/// Bits of a token's place in its chunk; those above hold the pattern's rank.
const PLACE_BITS = 10u;
const PLACE_MASK = 1023u;
const PATTERN_BITS = 22u;
/// Of each of two heads.
const HEAD_BITS = 11u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gates: array<f32>;
/// [batch, tokens]
@group(0) @binding(2) var<storage, read_write> order: array<u32>;
/// [batch, tiles, 1 + heads] how many heads, and which, ascending
@group(0) @binding(3) var<storage, read_write> tile_heads: array<u32>;

var<workgroup> keys: array<u32, CHUNK>;

fn is_active(batch: u32, token: u32, head: u32) -> bool {
  return is_active_gate(gates[params.base_gates + dot(vec3u(batch, token, head), params.strides_gates.xyz)]);
}

/// Numbers of the first two active routed heads.
fn first_heads(batch: u32, token: u32) -> u32 {
  var rank = 0u;
  var shift = 2u * HEAD_BITS;
  for (var head = params.shared_heads; head < params.heads && shift > 0u; head++) {
    if (is_active(batch, token, head)) {
      shift -= HEAD_BITS;
      rank |= min(head - params.shared_heads, (1u << HEAD_BITS) - 1u) << shift;
    }
  }
  return rank;
}

/// Rank in Gray's code of the token's routed heads.
fn pattern_rank(batch: u32, token: u32) -> u32 {
  if (params.heads - params.shared_heads > PATTERN_BITS) {
    return first_heads(batch, token);
  }
  var pattern = 0u;
  for (var head = params.shared_heads; head < params.heads; head++) {
    pattern = 2u * pattern + select(0u, 1u, is_active(batch, token, head));
  }
  pattern ^= pattern >> 1u;
  pattern ^= pattern >> 2u;
  pattern ^= pattern >> 4u;
  pattern ^= pattern >> 8u;
  return pattern ^ (pattern >> 16u);
}

/// The places of the chunk that hold tokens come first.
fn token_at(chunk: u32, place: u32) -> u32 {
  return chunk * CHUNK + (keys[place] & PLACE_MASK);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let chunks = ceil_div(params.tokens, CHUNK);
  let batch = index / chunks;
  let chunk = index % chunks;
  let count = min(CHUNK, params.tokens - chunk * CHUNK);

  // 1. keys: pattern and place; past the end what comes after all of them
  for (var place = thread; place < CHUNK; place += THREADS) {
    var key = 0xffffffffu;
    if (place < count) {
      key = (pattern_rank(batch, chunk * CHUNK + place) << PLACE_BITS) | place;
    }
    keys[place] = key;
  }

  // 2. bitonic sort: runs of `size` are merged by comparing places `stride` apart
  for (var size = 2u; size <= CHUNK; size *= 2u) {
    for (var stride = size / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      for (var pair = thread; pair < CHUNK / 2u; pair += THREADS) {
        let low = 2u * pair - pair % stride;
        let high = low + stride;
        let first = keys[low];
        let second = keys[high];
        let ascending = (low & size) == 0u;
        if ((first > second) == ascending) {
          keys[low] = second;
          keys[high] = first;
        }
      }
    }
  }
  workgroupBarrier();

  // 3. tokens in order, and the heads of each tile
  for (var place = thread; place < count; place += THREADS) {
    order[batch * params.tokens + chunk * CHUNK + place] = token_at(chunk, place);
  }
  for (var tile = thread; tile < ceil_div(count, TILE); tile += THREADS) {
    let row = batch * ceil_div(params.tokens, TILE) + chunk * (CHUNK / TILE) + tile;
    let first = row * (1u + params.heads);
    var found = 0u;
    for (var head = 0u; head < params.heads; head++) {
      var is_wanted = head < params.shared_heads;
      for (var place = TILE * tile; place < min(count, TILE * tile + TILE) && !is_wanted; place++) {
        is_wanted = is_active(batch, token_at(chunk, place), head);
      }
      if (is_wanted) {
        found++;
        tile_heads[first + found] = head;
      }
    }
    tile_heads[first] = found;
  }
}

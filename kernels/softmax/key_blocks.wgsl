// Which keys a tile of query rows visits: all of its range, or the blocks that a block mask lists (`block-mask.ts`).
import package::_shared::workgroup_index::ceil_div;
import super::logits::HAS_MASK_MOD;
import super::params::params;

const HAS_BLOCKS: bool = false;
const BLOCK_Q: u32 = 128u;
const BLOCK_K: u32 = 64u;

/// For each row of blocks (place of its first entry, number of entries), then entries 2 key block + partial.
@group(0) @binding(11) var<storage, read> block_list: array<u32>;

struct KeyTiles {
  count: u32,
  /// Place of the first entry, or the first key.
  first: u32,
}

struct KeyTile {
  /// First key.
  begin: u32,
  /// Whether `mask_mod` has to be asked.
  masked: bool,
}

/// The tiles of `keys` keys for the rows of one block from `token` on, which see the keys of `range` between them.
fn key_tiles(batch: u32, head: u32, token: u32, range: vec2u, keys: u32) -> KeyTiles {
  if (HAS_BLOCKS) {
    let row = dot(vec3u(batch, head, token / BLOCK_Q), params.strides_blocks.xyz);
    let most = ceil_div(params.tokens_k, BLOCK_K);
    let count = select(min(block_list[2u * row + 1u], most), 0u, range.x >= range.y);
    return KeyTiles(count * (BLOCK_K / keys), block_list[2u * row]);
  }
  return KeyTiles(ceil_div(max(range.x, range.y) - range.x, keys), range.x);
}

fn key_tile(tiles: KeyTiles, n: u32, keys: u32) -> KeyTile {
  if (HAS_BLOCKS) {
    let per_block = BLOCK_K / keys;
    let entry = block_list[tiles.first + n / per_block];
    return KeyTile(entry / 2u * BLOCK_K + n % per_block * keys, HAS_MASK_MOD && (entry & 1u) == 1u);
  }
  return KeyTile(tiles.first + n * keys, HAS_MASK_MOD);
}

/// Whether a tile lies outside of what its rows may see. Never so without a block mask.
fn tile_outside(begin: u32, keys: u32, range: vec2u) -> bool {
  if (HAS_BLOCKS) {
    return begin >= range.y || begin + keys <= range.x;
  }
  return false;
}

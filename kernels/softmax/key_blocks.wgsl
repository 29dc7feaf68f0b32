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
  /// Tiles of the first entry's block that end before the first key.
  skipped: u32,
}

struct KeyTile {
  /// First key.
  begin: u32,
  /// Whether `mask_mod` has to be asked.
  masked: bool,
}

fn entry_begin(place: u32) -> u32 {
  return block_list[place] / 2u * BLOCK_K;
}

/// The tiles of `keys` keys for the rows of one block from `token` on, which see the keys of `range` between them. All of them meet
/// the range: a walk that left tiles out as it comes to them would branch in every round, which costs a tenth of the time on CPU drivers.
fn key_tiles(batch: u32, head: u32, token: u32, range: vec2u, keys: u32) -> KeyTiles {
  if (HAS_BLOCKS) {
    let row = dot(vec3u(batch, head, token / BLOCK_Q), params.strides_blocks.xyz);
    var first = block_list[2u * row];
    var count = select(min(block_list[2u * row + 1u], ceil_div(params.tokens_k, BLOCK_K)), 0u, range.x >= range.y);
    // Entries ascend, so those outside stand at both ends.
    for (; count > 0u; count--) {
      if (entry_begin(first) + BLOCK_K > range.x) {
        break;
      }
      first++;
    }
    for (; count > 0u; count--) {
      if (entry_begin(first + count - 1u) < range.y) {
        break;
      }
    }
    if (count == 0u) {
      return KeyTiles(0u, first, 0u);
    }
    let before = max(range.x, entry_begin(first)) - entry_begin(first);
    let end = entry_begin(first + count - 1u) + BLOCK_K;
    let behind = end - min(range.y, end);
    return KeyTiles(count * (BLOCK_K / keys) - before / keys - behind / keys, first, before / keys);
  }
  return KeyTiles(ceil_div(max(range.x, range.y) - range.x, keys), range.x, 0u);
}

fn key_tile(tiles: KeyTiles, n: u32, keys: u32) -> KeyTile {
  if (HAS_BLOCKS) {
    let per_block = BLOCK_K / keys;
    let place = tiles.skipped + n;
    let entry = block_list[tiles.first + place / per_block];
    return KeyTile(entry / 2u * BLOCK_K + place % per_block * keys, HAS_MASK_MOD && (entry & 1u) == 1u);
  }
  return KeyTile(tiles.first + n * keys, HAS_MASK_MOD);
}

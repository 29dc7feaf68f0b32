// Which candidate blocks hold a key whose estimated score passes a row's threshold, as one bit a block. The estimate is
// (q4 · k4 + rint(u / scale of q)) · scale of q · scale of k; both sides are divided by the row's scale, so that only a
// key's scale is multiplied in.
//
// A workgroup takes QUERY_BLOCKS neighbouring query blocks and 32 key blocks; a thread ROWS rows of one of them, in pairs
// (r, r + 8) that share a scale, and every LANES-th key block. `dot4` multiplies four 8-bit numbers at a time: a nibble at the top of its byte is sixteen times itself.
// Without it, the two rows of a pair are multiplied at a time, one in each half of a 32-bit number: the sum of a row's
// products is at most 49 · 256, so that it never leaves its half.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::blocks::candidate_blocks;
import super::params::{
  BLOCK_K, BLOCK_Q, NEVER, WORDS, WORD_STRIDE, is_dense, key_head, params, query_blocks
};

/// Rows of a thread: 8 or 16.
const ROWS: u32 = 8u;
/// Keys of a tile: 2, 4 or 8.
const KEYS: u32 = 8u;
/// Threads that share out a query block's candidates.
const LANES: u32 = 1u;

/// Pairs of a thread's rows that share a scale.
const PAIRS = ROWS / 2u;
const ROW_THREADS = 8u;
const QUERY_BLOCKS = ROW_THREADS * ROWS / BLOCK_Q;
const WORKGROUP_SIZE = ROW_THREADS * LANES;
const KEY_PAIRS = KEYS / 2u;
/// Loads of four words that a row takes.
const QUADS = WORD_STRIDE / 4u;
const QUAD = 4u;
/// Channels of a word.
const NIBBLES = 8u;

@group(0) @binding(1) var<storage, read> thresholds: array<f32>;
/// [query heads, rows, WORD_STRIDE]
@group(0) @binding(2) var<storage, read> q_words: array<u32>;
/// [key heads, rows, QUADS]
@group(0) @binding(3) var<storage, read> k_words: array<vec4u>;
/// [key heads, rows / BLOCK_K, 4]
@group(0) @binding(4) var<storage, read> k_scales: array<f32>;
/// [query heads, rows]
@group(0) @binding(5) var<storage, read> corrections: array<f32>;
/// [query heads, rows] of (max, sum, threshold, 1 / scale of the quantised row)
@group(0) @binding(6) var<storage, read> states: array<vec4f>;
/// [query heads, query blocks, hit_words]
@group(0) @binding(7) var<storage, read_write> hits: array<u32>;

var<workgroup> accepted: array<atomic<u32>, QUERY_BLOCKS>;

/// Row n of a thread: PAIRS rows among the first eight of sixteen, then the same among the last.
fn own_row(row_thread: u32, n: u32) -> u32 {
  let pair = row_thread * PAIRS + n % PAIRS;
  return pair / 8u * 16u + pair % 8u + n / PAIRS * 8u;
}

/// Channels of even and of odd number, sixteen times each, as bytes.
@if(dot4) fn even_channels(word: u32) -> u32 { return word & 0xf0f0f0f0u; }
@if(dot4) fn odd_channels(word: u32) -> u32 { return (word << 4u) & 0xf0f0f0f0u; }

/// Nibble n of a word, with its sign.
@if(!dot4) fn nibble(word: u32, n: u32) -> i32 { return i32(word << (28u - 4u * n)) >> 28u; }

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let sets = ceil_div(query_blocks(), QUERY_BLOCKS);
  let word_index = index % params.hit_words;
  let first_block = word_index * 32u;
  let first_query_block = index / params.hit_words % sets * QUERY_BLOCKS;
  let head = index / (params.hit_words * sets);
  let last_query_block = min(first_query_block + QUERY_BLOCKS, query_blocks()) - 1u;
  let most_candidates = candidate_blocks(last_query_block);
  if (first_block > most_candidates || is_dense(thresholds[head % params.heads])) {
    return;
  }
  let kv_head = key_head(head);
  let row_thread = thread % ROW_THREADS;
  let lane = select(thread / ROW_THREADS, 0u, LANES == 1u);
  let own_block = row_thread / (ROW_THREADS / QUERY_BLOCKS);
  let first_row = head * params.rows;
  let row_in_head = first_query_block * BLOCK_Q;

  var limits = array<f32, ROWS>();
  var inverses = array<f32, PAIRS>();
  for (var r = 0u; r < ROWS; r++) {
    let row = min(row_in_head + own_row(row_thread, r), params.rows - 1u);
    let state = states[first_row + row];
    // Not past what f32 holds: compilers may take for granted that there are no infinities.
    let never = state.z >= NEVER;
    limits[r] = select(select(state.z, 0.0, never) * state.w, NEVER, never);
    inverses[r % PAIRS] = state.w;
  }
  var words = array<u32, ROWS * WORDS>(); // [ROWS, WORDS]
  for (var r = 0u; r < ROWS; r++) {
    let row = min(row_in_head + own_row(row_thread, r), params.rows - 1u);
    for (var w = 0u; w < WORDS; w++) {
      words[r * WORDS + w] = q_words[(first_row + row) * WORD_STRIDE + w];
    }
  }

  var bits = 0u;
  for (var offset = lane; offset < 32u; offset += LANES) {
    let key_block = first_block + offset;
    // Block 0 is kept anyway, and no candidate.
    if (key_block == 0u || key_block > most_candidates) {
      continue;
    }
    var hit = false;
    for (var key = key_block * BLOCK_K; key < (key_block + 1u) * BLOCK_K; key += KEYS) {
      // 1. whole products
      var products = array<f32, ROWS * KEYS>(); // [ROWS, KEYS]
      @if(dot4) {
        var sums = array<i32, ROWS * KEYS>(); // [ROWS, KEYS]
        for (var v = 0u; v < QUADS; v++) {
          var quads = array<vec4u, KEYS>();
          for (var n = 0u; n < KEYS; n++) {
            quads[n] = k_words[(kv_head * params.rows + key + n) * QUADS + v];
          }
          for (var i = 0u; i < QUAD; i++) {
            // Clamped, since an index that is a constant has to lie inside even where nothing is done with it.
            let w = min(v * QUAD + i, WORDS - 1u);
            if (v * QUAD + i < WORDS) {
              var even_keys = array<u32, KEYS>();
              var odd_keys = array<u32, KEYS>();
              for (var n = 0u; n < KEYS; n++) {
                even_keys[n] = even_channels(quads[n][i]);
                odd_keys[n] = odd_channels(quads[n][i]);
              }
              for (var r = 0u; r < ROWS; r++) {
                let word = words[r * WORDS + w];
                let even = even_channels(word);
                let odd = odd_channels(word);
                for (var n = 0u; n < KEYS; n++) {
                  sums[r * KEYS + n] += dot4I8Packed(even, even_keys[n]) + dot4I8Packed(odd, odd_keys[n]);
                }
              }
            }
          }
        }
        for (var r = 0u; r < ROWS; r++) {
          for (var n = 0u; n < KEYS; n++) {
            products[r * KEYS + n] = f32(sums[r * KEYS + n] >> 8u);
          }
        }
      }
      @if(!dot4) {
        var sums = array<i32, PAIRS * KEYS>(); // [PAIRS, KEYS]
        for (var v = 0u; v < QUADS; v++) {
          var quads = array<vec4u, KEYS>();
          for (var n = 0u; n < KEYS; n++) {
            quads[n] = k_words[(kv_head * params.rows + key + n) * QUADS + v];
          }
          for (var i = 0u; i < QUAD; i++) {
            // Clamped, since an index that is a constant has to lie inside even where nothing is done with it.
            let w = min(v * QUAD + i, WORDS - 1u);
            if (v * QUAD + i < WORDS) {
              for (var channel = 0u; channel < NIBBLES; channel++) {
                var factors = array<i32, KEYS>();
                for (var n = 0u; n < KEYS; n++) {
                  factors[n] = nibble(quads[n][i], channel);
                }
                for (var p = 0u; p < PAIRS; p++) {
                  let low = nibble(words[p * WORDS + w], channel);
                  let high = nibble(words[(p + PAIRS) * WORDS + w], channel);
                  let both = low + high * 65536;
                  for (var n = 0u; n < KEYS; n++) {
                    sums[p * KEYS + n] += both * factors[n];
                  }
                }
              }
            }
          }
        }
        for (var p = 0u; p < PAIRS; p++) {
          for (var n = 0u; n < KEYS; n++) {
            let low = (sums[p * KEYS + n] << 16u) >> 16u;
            products[p * KEYS + n] = f32(low);
            products[(p + PAIRS) * KEYS + n] = f32((sums[p * KEYS + n] - low) >> 16u);
          }
        }
      }

      // 2. with the correction, the larger of two keys that share a scale against the row's limit
      var shifts = array<f32, PAIRS * KEYS>(); // [PAIRS, KEYS]
      for (var n = 0u; n < KEYS; n++) {
        let correction = corrections[head * params.rows + key + n];
        for (var p = 0u; p < PAIRS; p++) {
          shifts[p * KEYS + n] = round(correction * inverses[p]);
        }
      }
      for (var n = 0u; n < KEY_PAIRS; n++) {
        let scale = k_scales[(kv_head * (params.rows / BLOCK_K) + key_block) * 4u + (key + 2u * n) % 8u / 2u];
        for (var r = 0u; r < ROWS; r++) {
          let first = products[r * KEYS + 2u * n] + shifts[r % PAIRS * KEYS + 2u * n];
          let second = products[r * KEYS + 2u * n + 1u] + shifts[r % PAIRS * KEYS + 2u * n + 1u];
          hit |= max(first, second) * scale > limits[r];
        }
      }
    }
    bits |= select(0u, 1u << offset, hit);
  }

  atomicOr(&accepted[own_block], bits);
  workgroupBarrier();
  let query_block = first_query_block + thread;
  if (thread < QUERY_BLOCKS && query_block < query_blocks()) {
    // An earlier query block has fewer candidates than the last, whose keys its rows have been held against all the same.
    let candidates = candidate_blocks(query_block);
    if (first_block <= candidates) {
      let beyond = candidates - first_block + 1u;
      let valid = select((1u << (beyond & 31u)) - 1u, 0xffffffffu, beyond > 31u);
      hits[(head * query_blocks() + query_block) * params.hit_words + word_index] = atomicLoad(&accepted[thread]) & valid;
    }
  }
}

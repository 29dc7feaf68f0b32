// Which keys are sinks, of every head: their number, the keys in ascending order, and a bit a key. A workgroup has a head and a thread a
// run of words of 32 keys: it counts, finds how many the threads before it have, and writes its own. No atomics, so that the order
// is always the same.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::softmax::params::{ params, terms };
import package::softmax::visibility::{ key_count, visible_range };
import super::lists::list_place;
import super::operations::{ NONE, key_words, operation_number, operation_word, set_word, shift };

const THREADS: u32 = 64u;

/// [batches, heads, tokens_k] mean weight that a key receives; may be NaN where no query sees it. Bits of f32.
@group(0) @binding(21) var<storage, read> received: array<u32>;
/// [probes, batches, tokens_k], bits of f32
@group(0) @binding(22) var<storage, read> scores: array<u32>;
/// As `lists`, with room for `shift.given_keys` keys.
@group(0) @binding(23) var<storage, read> given: array<u32>;
@group(0) @binding(24) var<storage, read_write> lists: array<u32>;

const FROM_SET = 0u;
const RECEIVED = 1u;
const RECEIVED_PER_KEY = 2u;
const HIDDEN = 3u;
const GIVEN = 4u;

var<workgroup> counts: array<u32, THREADS>;

/// Whether a number that is no NaN is larger than one that is not negative, by their bits.
fn larger(bits: u32, than: f32) -> bool {
  return bits <= 0x7f800000u && bits > bitcast<u32>(than);
}

fn given_bits(batch: u32, head: u32, word: u32) -> u32 {
  if (word >= key_words(shift.given_keys)) {
    return 0u;
  }
  return given[list_place(batch, head, shift.given_keys) + 1u + shift.given_keys + word];
}

/// Bits of the sinks among keys 32 word to 32 word + 31. Behind a sequence's keys there are none, whatever stands there in the buffers.
fn sink_bits(operation: u32, batch: u32, head: u32, word: u32) -> u32 {
  let keys = key_count(batch);
  if (32u * word >= keys) {
    return 0u;
  }
  let rule = operation_word(operation, 12u);
  let which = operation_word(operation, 14u);
  var bits = 0u;
  if (rule == FROM_SET) {
    bits = set_word(which, word);
  } else if (rule == GIVEN) {
    bits = given_bits(batch, head, word);
  } else {
    var limit = operation_number(operation, 13u);
    if (rule == RECEIVED_PER_KEY) {
      limit /= max(f32(key_count(batch)) - f32(terms[batch]), 1.0);
    }
    for (var n = 0u; n < min(32u, keys - 32u * word); n++) {
      let key = 32u * word + n;
      var value = 0u;
      if (rule == HIDDEN) {
        value = scores[(which * params.batches + batch) * params.tokens_k + key];
      } else {
        value = received[(batch * params.heads + head) * params.tokens_k + key];
      }
      bits |= select(0u, 1u << n, larger(value, limit));
    }
  }
  bits &= ~set_word(operation_word(operation, 15u), word);
  // Only the last query has seen the newest key. Behind it a buffer may have room for more.
  let newest = visible_range(batch, params.tokens_q - 1u).y - 1u;
  if (operation_word(operation, 16u) == 1u && word == newest / 32u) {
    bits &= ~(1u << (newest % 32u));
  }
  return bits & (0xffffffffu >> (32u - min(keys - 32u * word, 32u)));
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
  let batch = index / params.heads;
  let head = index % params.heads;
  let operation = terms[shift.heads_at + index];
  let words = key_words(params.tokens_k);
  let run = ceil_div(words, THREADS);
  let begin = min(thread * run, words);
  let end = min(begin + run, words);
  let list = list_place(batch, head, params.tokens_k);
  let bits_at = list + 1u + params.tokens_k;

  // 1. which, and how many
  var count = 0u;
  for (var word = begin; word < end; word++) {
    var bits = 0u;
    if (operation != NONE) {
      bits = sink_bits(operation, batch, head, word);
    }
    lists[bits_at + word] = bits;
    count += countOneBits(bits);
  }
  counts[thread] = count;
  workgroupBarrier();

  // 2. how many before
  var before = 0u;
  for (var other = 0u; other < thread; other++) {
    before += counts[other];
  }

  // 3. in order
  var place = list + 1u + before;
  for (var word = begin; word < end; word++) {
    var bits = lists[bits_at + word];
    while (bits != 0u) {
      lists[place] = 32u * word + firstTrailingBit(bits);
      place++;
      bits &= bits - 1u;
    }
  }
  if (thread == THREADS - 1u) {
    lists[list] = before + count;
  }
}

// What shifts are asked to do, as `operation-table.ts` packs it behind softmax attention's own `terms`.
import package::softmax::params::{ params, terms };

struct ShiftParams {
  /// [batch, tokens, 1, channels] of the hidden states, in elements
  strides_hidden: vec4u,
  base_hidden: u32,
  channels: u32,
  /// Words of `terms`: [batches, heads] number of each head's operation or NONE, [operations, OPERATION_WORDS], sets of keys, and
  /// channels to probe.
  heads_at: u32,
  operations_at: u32,
  sets_at: u32,
  probes_at: u32,
  operations: u32,
  probes: u32,
  /// Keys that the given lists have room for.
  given_keys: u32,
}

@group(0) @binding(20) var<uniform> shift: ShiftParams;

const NONE = 0xffffffffu;
const OPERATION_WORDS = 17u;
const ALL_ROWS = -2147483647;
const LAST_ROW = 2147483647;

struct Operation {
  batch: u32,
  head: u32,
  /// The share that a sink keeps.
  keep: f32,
  /// Position of the first row, ALL_ROWS or LAST_ROW.
  first_position: i32,
  /// Sets of keys. NONE as recipients: all.
  recipients: u32,
  mass: u32,
  least_mass: f32,
  nonsinks: u32,
  ratio_of: u32,
  least_ratio: f32,
  portion: u32,
  most_portion: f32,
}

fn operation_word(operation: u32, index: u32) -> u32 {
  return terms[shift.operations_at + operation * OPERATION_WORDS + index];
}

fn operation_number(operation: u32, index: u32) -> f32 {
  return bitcast<f32>(operation_word(operation, index));
}

fn operation_of(n: u32) -> Operation {
  return Operation(
    operation_word(n, 0u),
    operation_word(n, 1u),
    operation_number(n, 2u),
    bitcast<i32>(operation_word(n, 3u)),
    operation_word(n, 4u),
    operation_word(n, 5u),
    operation_number(n, 6u),
    operation_word(n, 7u),
    operation_word(n, 8u),
    operation_number(n, 9u),
    operation_word(n, 10u),
    operation_number(n, 11u),
  );
}

fn key_words(keys: u32) -> u32 {
  return (keys + 31u) / 32u;
}

/// First word of a set: how many keys it has, then a bit a key.
fn set_place(keys: u32) -> u32 {
  return shift.sets_at + keys * (1u + key_words(params.tokens_k));
}

/// The set's word of keys 32 word to 32 word + 31; nothing for NONE.
fn set_word(keys: u32, word: u32) -> u32 {
  if (keys == NONE) {
    return 0u;
  }
  return terms[set_place(keys) + 1u + word];
}

fn in_set(keys: u32, key: u32) -> bool {
  return ((set_word(keys, key / 32u) >> (key % 32u)) & 1u) == 1u;
}

fn set_size(keys: u32) -> u32 {
  return terms[set_place(keys)];
}

/// Whether an operation looks at other keys than sinks one by one.
fn names_sets(operation: Operation) -> bool {
  let none = operation.recipients & operation.mass & operation.nonsinks & operation.portion;
  return none != NONE;
}

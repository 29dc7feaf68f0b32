// Products of rows of 32 channels with keys of 32 channels, four channels at a time: as f32 or as packed 8-bit integers, which
// run time declares as Word (four channels), Sum and products. A thread has ROWS rows in registers; all threads read the same keys.
const ROWS = 8u;
const KEYS = 8u;
const WORDS = 8u;

@group(0) @binding(0) var<storage, read> rows: array<Word>;
@group(0) @binding(1) var<storage, read> keys: array<Word>;
@group(0) @binding(2) var<storage, read_write> results: array<Sum>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var own = array<Word, ROWS * WORDS>();
  for (var r = 0u; r < ROWS; r++) {
    for (var w = 0u; w < WORDS; w++) {
      own[r * WORDS + w] = rows[(id.x * ROWS + r) * WORDS + w];
    }
  }
  var largest = Sum();
  let count = arrayLength(&keys) / WORDS;
  for (var key = 0u; key < count; key += KEYS) {
    var sums = array<Sum, ROWS * KEYS>();
    for (var w = 0u; w < WORDS; w++) {
      for (var n = 0u; n < KEYS; n++) {
        let word = keys[(key + n) * WORDS + w];
        for (var r = 0u; r < ROWS; r++) {
          sums[r * KEYS + n] += products(own[r * WORDS + w], word);
        }
      }
    }
    for (var n = 0u; n < KEYS; n++) {
      for (var r = 0u; r < ROWS; r++) {
        largest = max(largest, sums[r * KEYS + n]);
      }
    }
  }
  results[id.x] = largest;
}

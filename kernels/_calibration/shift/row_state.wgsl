import package::_shared::online_softmax::NO_KEY;
import package::softmax::params::{ VALUE_DIM4, params };

// What passes of a shift tell each other of each row of an operation's head, in vec4:
//   0  log-sum-exp, and the row's weight on the recipients, the keys before them and those after, where it was attended to them by themselves
//   1  what operations before have left of the pattern: a, b, c, and the key of b or -1
//   2  factors of the output so far and the recipients' output; or of the outputs over keys before, recipients, keys after; and in w
//      whether the row is UNTOUCHED, MERGED of parts only, or SHIFTED
//   3  on: what comes to their sum where it is SHIFTED, [VALUE_DIM4]
const UNTOUCHED = 0.0;
const MERGED = 1.0;
const SHIFTED = 2.0;

/// Rows that may be shifted have their output in three parts, over keys before the recipients, the recipients, and keys after.
const IN_PARTS: bool = false;
/// Not all of them need have keys.
const HAS_BEFORE: bool = false;
const HAS_AFTER: bool = false;

const STATE_SLOTS = 3u + VALUE_DIM4;
const AT_LSE = 0u;
const AT_TERMS = 1u;
const AT_FACTORS = 2u;
const AT_SUM = 3u;

@group(0) @binding(25) var<storage, read_write> row_state: array<vec4f>;

fn state_place(operation: u32, token: u32) -> u32 {
  return (operation * params.tokens_q + token) * STATE_SLOTS;
}

/// NO_KEY where a row sees nothing, whose log-sum-exp is minus infinity. Given as bits: compilers may assume that there are no infinities.
fn finite_lse(bits: u32) -> f32 {
  return select(bitcast<f32>(bits), NO_KEY, bits == 0xff800000u);
}

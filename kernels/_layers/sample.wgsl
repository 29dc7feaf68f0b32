// The next token of each row of logits; README.md#sampling derives it. A workgroup owns a row, and a thread the tokens whose id leaves
// its own number when divided by THREADS, so that no thread reads what another wrote.
//
// What top-k and top-p keep is all that is at least some value: the k-th largest, or the one at which the probability above it
// reaches p. It is found four bits at a time, from the highest, on the bits of floats in an order of integers.
import package::_shared::workgroup_index::workgroup_index;

const GREEDY: bool = false;
const HAS_TOP_K: bool = false;
const HAS_TOP_P: bool = false;
const HAS_PENALTY: bool = false;
const HAS_HISTORY: bool = false;
const HAS_LENGTHS: bool = false;
/// Lengths grow by the token that was found.
const ADVANCE: bool = false;

const THREADS = 128u;
const DIGITS = 16u;
/// Logits are cut to this size, so that no difference of two overflows; what is masked lies far below.
const LARGEST = 1e30;
const MASKED = -1e38;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_logits: vec4u,
  base_logits: u32,
  tokens: u32,
  rows: u32,
  vocabulary: u32,
  top_k: f32,
  top_p: f32,
  /// What is further below the largest logit is not kept.
  least_gap: f32,
  inverse_temperature: f32,
  penalty: f32,
  /// Tokens of the past that are penalised, from the newest.
  penalty_window: u32,
  /// Tokens of a batch entry that `history` has room for.
  history_capacity: u32,
  seed_low: u32,
  seed_high: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
/// [batch, history_capacity]
@group(0) @binding(2) var<storage, read_write> history: array<u32>;
/// [batch] tokens up to and with the last row's
@group(0) @binding(3) var<storage, read_write> lengths: array<u32>;
/// [rows, vocabulary] logits after the penalty
@group(0) @binding(4) var<storage, read_write> penalised: array<f32>;
/// [rows]
@group(0) @binding(5) var<storage, read_write> ids: array<u32>;

var<workgroup> digit_shares: array<f32, DIGITS * THREADS>;
var<workgroup> digit_sums: array<f32, DIGITS>;
var<workgroup> thread_scores: array<f32, THREADS>;
var<workgroup> thread_ids: array<u32, THREADS>;

/// A logit as it counts: bounded, and masked where it is -infinity or no number.
fn bounded(value: f32) -> f32 {
  let bits = bitcast<u32>(value);
  // Compilers may take it that there are no infinities and no NaN, hence by their bits.
  let finite = (bits & 0x7f800000u) != 0x7f800000u;
  if (!finite && bits != 0x7f800000u) {
    return MASKED;
  }
  if (!finite) {
    return LARGEST;
  }
  return select(clamp(value, -LARGEST, LARGEST), MASKED, value <= MASKED);
}

fn logit(row: u32, place: u32, token: u32) -> f32 {
  if (HAS_PENALTY) {
    return penalised[row * params.vocabulary + token];
  }
  return bounded(logits[place + token * params.strides_logits.w]);
}

/// A whole number that is in the order of the floats.
fn order_key(value: f32) -> u32 {
  let bits = bitcast<u32>(select(value, 0.0, value == 0.0));
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn scrambled(value: u32) -> u32 {
  var h = value;
  h = (h ^ (h >> 16u)) * 0x85ebca6bu;
  h = (h ^ (h >> 13u)) * 0xc2b2ae35u;
  return h ^ (h >> 16u);
}

/// -log(v) of a uniform v > 0, of 23 random bits: an exponential variable. Near v = 1 the built-in logarithm is off by more than it is.
fn exponential(bits: u32) -> f32 {
  let rest = (f32(bits >> 9u) + 0.5) / 8388608.0;
  if (rest > 0.125) {
    return -log(1.0 - rest);
  }
  let tail = 1.0 / 5.0 + rest * (1.0 / 6.0 + rest * (1.0 / 7.0 + rest / 8.0));
  return rest * (1.0 + rest * (0.5 + rest * (1.0 / 3.0 + rest * (0.25 + rest * tail))));
}

/// Largest score of all threads and its id, the lowest of equals. All threads call it together.
fn largest(score: f32, id: u32, thread: u32) -> u32 {
  workgroupBarrier();
  thread_scores[thread] = score;
  thread_ids[thread] = id;
  workgroupBarrier();
  if (thread == 0u) {
    var best = score;
    var chosen = id;
    for (var n = 1u; n < THREADS; n++) {
      if (thread_scores[n] > best || (thread_scores[n] == best && thread_ids[n] < chosen)) {
        best = thread_scores[n];
        chosen = thread_ids[n];
      }
    }
    thread_scores[0] = best;
    thread_ids[0] = chosen;
  }
  return workgroupUniformLoad(&thread_ids[0]);
}

/// The key at which what is at or above it comes to `wanted`: tokens, or probabilities relative to the largest. `least` is the lowest
/// key that counts. All threads call it together.
fn threshold(row: u32, place: u32, by_mass: bool, least: u32, best: f32, wanted: f32, thread: u32) -> u32 {
  var prefix = 0u;
  var above = 0.0;
  for (var level = 0u; level < 8u; level++) {
    let shift = 28u - 4u * level;
    for (var digit = 0u; digit < DIGITS; digit++) {
      digit_shares[digit * THREADS + thread] = 0.0;
    }
    for (var token = thread; token < params.vocabulary; token += THREADS) {
      let value = logit(row, place, token);
      let key = order_key(value);
      // Shifts by 32 are none in WGSL, hence in two.
      if (value > MASKED && key >= least && ((key >> shift) >> 4u) == prefix) {
        let share = select(1.0, exp(max((value - best) * params.inverse_temperature, -100.0)), by_mass);
        digit_shares[((key >> shift) & 15u) * THREADS + thread] += share;
      }
    }
    workgroupBarrier();
    if (thread < DIGITS) {
      var sum = 0.0;
      for (var n = 0u; n < THREADS; n++) {
        sum += digit_shares[thread * THREADS + n];
      }
      digit_sums[thread] = sum;
    }
    workgroupBarrier();
    var digit = DIGITS - 1u;
    while (digit > 0u && above + digit_sums[digit] < wanted) {
      above += digit_sums[digit];
      digit--;
    }
    prefix = prefix * DIGITS + digit;
  }
  return prefix;
}

/// Sum of the shares of all kept tokens. All threads call it together.
fn kept_mass(row: u32, place: u32, least: u32, best: f32, thread: u32) -> f32 {
  var sum = 0.0;
  for (var token = thread; token < params.vocabulary; token += THREADS) {
    let value = logit(row, place, token);
    if (value > MASKED && order_key(value) >= least) {
      sum += exp(max((value - best) * params.inverse_temperature, -100.0));
    }
  }
  workgroupBarrier();
  thread_scores[thread] = sum;
  workgroupBarrier();
  var total = 0.0;
  for (var n = 0u; n < THREADS; n++) {
    total += thread_scores[n];
  }
  return total;
}

/// Writes this thread's logits after the repetition penalty (CTRL, arXiv 1909.05858): once, however often a token stands there.
fn penalise(row: u32, place: u32, first: u32, end: u32, thread: u32) {
  for (var token = thread; token < params.vocabulary; token += THREADS) {
    penalised[row * params.vocabulary + token] = bounded(logits[place + token * params.strides_logits.w]);
  }
  for (var n = first; n < end; n++) {
    let token = history[row / params.tokens * params.history_capacity + n];
    if (token % THREADS == thread && token < params.vocabulary) {
      let value = bounded(logits[place + token * params.strides_logits.w]);
      let less = select(value * params.penalty, value / params.penalty, value > 0.0);
      penalised[row * params.vocabulary + token] = select(less, MASKED, value == MASKED);
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroup_index(group_id, group_counts);
  if (row >= params.rows) {
    return;
  }
  let batch = row / params.tokens;
  let token_row = row % params.tokens;
  let place = params.base_logits + batch * params.strides_logits.x + token_row * params.strides_logits.y;
  // Where the token that is to be found will stand in its sequence; of rows before its beginning (left padding), the beginning.
  var after = i32(token_row) + 1;
  if (HAS_LENGTHS) {
    after += i32(lengths[batch]) - i32(params.tokens);
  }
  let position = u32(max(after, 0));
  if (HAS_PENALTY) {
    let first = position - min(position, params.penalty_window);
    penalise(row, place, first, min(position, params.history_capacity), thread);
  }

  // 1. the largest logit
  var best = MASKED;
  var chosen = 0xffffffffu;
  for (var token = thread; token < params.vocabulary; token += THREADS) {
    let value = logit(row, place, token);
    if (value > best) {
      best = value;
      chosen = token;
    }
  }
  chosen = largest(best, chosen, thread);

  // 2. what is kept, and of that the token whose logit and chance come to most
  if (!GREEDY && chosen < params.vocabulary) {
    best = workgroupUniformLoad(&thread_scores[0]);
    var least = 0u;
    if (HAS_TOP_K) {
      least = threshold(row, place, false, least, best, params.top_k, thread);
    }
    if (HAS_TOP_P) {
      let wanted = params.top_p * kept_mass(row, place, least, best, thread);
      least = max(least, threshold(row, place, true, least, best, wanted, thread));
    }
    // The largest stays, whatever sums were rounded to.
    least = min(least, order_key(best));
    let seed = scrambled(params.seed_low ^ scrambled(params.seed_high ^ scrambled(position ^ scrambled(batch))));
    var most = MASKED;
    chosen = 0xffffffffu;
    for (var token = thread; token < params.vocabulary; token += THREADS) {
      let value = logit(row, place, token);
      if (value <= MASKED || order_key(value) < least || value - best < params.least_gap) {
        continue;
      }
      let chance = exponential(scrambled(seed ^ scrambled(token + 0x9e3779b9u)));
      let score = max((value - best) * params.inverse_temperature, -1e30) - log(chance);
      if (score > most) {
        most = score;
        chosen = token;
      }
    }
    chosen = largest(most, chosen, thread);
  }
  if (thread == 0u) {
    // All masked: token 0.
    let found = select(0u, chosen, chosen < params.vocabulary);
    ids[row] = found;
    // Rows before the last read what stands before this place.
    if (token_row + 1u == params.tokens) {
      if (HAS_HISTORY && position < params.history_capacity) {
        history[batch * params.history_capacity + position] = found;
      }
      if (ADVANCE) {
        lengths[batch] = position + 1u;
      }
    }
  }
}

// Takes weight from sinks and gives it to recipients, in proportion to what these have (ACT, arXiv 2406.15765; VAR, arXiv 2503.03321):
// with Ω what the sinks lose and Z what the recipients have, sinks keep their share and recipients grow by f = Ω / Z. A thread has a
// row and COLUMNS vec4 value columns, and leaves what comes to its output, and the factors of what is there already.
//
// Where all other keys receive, O' = (1 + f) O + Σ over sinks (keep - 1 - f) A v: only sinks are scored. So it is where the output over
// the recipients is there as a part P, O' = O + f P + Σ over sinks (keep - 1 - f [in P]) A v; O may be there as parts itself. Otherwise,
// and where sinks have so nearly everything that the difference would be noise, the thread walks over the other keys.
import package::_calibration::row_terms::{ HAS_ROW_TERMS, NO_TERM_KEY, RowTerms };
import package::_shared::online_softmax::ANY_KEY;
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import package::softmax::logits::{ HAS_BIAS, HAS_MASK_MOD };
import package::softmax::params::{ VALUE_DIM4, params, sink_logit };
import package::softmax::tensors::{ load_v, row_v };
import package::softmax::visibility::HAS_KEY_MASK;
import super::lists::list_place;
import super::masses::{ HAS_PART, HAS_SETS, Masses, add_key, complete_part, passes };
import super::operations::{ NONE, Operation, in_set, names_sets, operation_of };
import super::pattern::{ HeldQuery, KEYS, Keys, Row, Weights, held_query, row_of, weights_of };
import super::row_state::{
  AT_FACTORS, AT_LSE, AT_SUM, AT_TERMS, IN_PARTS, MERGED, SHIFTED, UNTOUCHED, row_state, state_place,
};
import super::rows_chosen::first_chosen;

const THREADS: u32 = 64u;
/// vec4 value columns of a thread; further columns go to further workgroups.
const COLUMNS: u32 = 16u;
const HAS_SINK: bool = false;
/// A score may hide its key.
const SCORED: bool = false;
/// Where less than this share of a sum is left, it is added up anew: rounding, also of the output so far, would grow too much.
const LITTLE: f32 = 0.125;

// What a thread does, one after the other. Written as one loop: drivers inline functions, and this one's body is long.
const WEIGH_SINKS = 0u;
const WEIGH_OTHERS = 1u;
const ADD_SINKS = 2u;
const ADD_OTHERS = 3u;
const STAGES = 4u;

@group(0) @binding(24) var<storage, read> lists: array<u32>;

/// The sinks of a head: where their list is, and how many there are.
struct Sinks {
  list: u32,
  count: u32,
}

fn sinks_of(operation: Operation) -> Sinks {
  let list = list_place(operation.batch, operation.head, params.tokens_k);
  return Sinks(list, min(lists[list], params.tokens_k));
}

fn is_sink(sinks: Sinks, key: u32) -> bool {
  return ((lists[sinks.list + 1u + params.tokens_k + key / 32u] >> (key % 32u)) & 1u) == 1u;
}

/// KEYS sinks from the n-th on, or keys of the row's range; the last again past the end.
fn next_keys(sinks: Sinks, others: bool, n: u32, end: u32) -> Keys {
  var keys = Keys();
  for (var i = 0u; i < KEYS; i++) {
    keys[i] = min(n + i, end - 1u);
    if (!others) {
      keys[i] = lists[sinks.list + 1u + keys[i]];
    }
  }
  return keys;
}

/// Of the output so far, or of the parts that it is in, when all of it grows or what the recipients have.
fn store_factors(place: u32, state: vec4f, all: f32, recipients: f32) {
  if (IN_PARTS) {
    row_state[place + AT_FACTORS] = vec4f(state.z, state.y * (1.0 + recipients), state.w, SHIFTED);
  } else {
    row_state[place + AT_FACTORS] = vec4f(1.0 + all, state.y * recipients, 0.0, SHIFTED);
  }
}

/// What of a key's weight comes to the row, beside what its outputs grow by.
fn change_of(operation: Operation, key: u32, others: bool, walks: bool, growth: f32) -> f32 {
  let inside = operation.recipients == NONE || in_set(operation.recipients, key);
  if (others) {
    return select(0.0, growth, inside);
  }
  return operation.keep - 1.0 - select(0.0, growth, !walks && (inside || !HAS_PART));
}

/// The row's sum over all keys; not known where keys that have a term in common may be hidden.
fn row_sum(row: Row) -> f32 {
  var sum = 1.0;
  if (HAS_SINK) {
    sum -= exp(sink_logit(row.head) - row.lse);
  }
  if (HAS_ROW_TERMS) {
    sum = row.left.a * sum + row.left.b + row.left.c * f32(row.range.y - row.range.x);
  }
  return sum;
}

/// What a row's sum is made of, whatever the signs, and what sinks of the denominator take included: rounding is relative to this.
fn row_scale(row: Row) -> f32 {
  if (HAS_ROW_TERMS) {
    return abs(row.left.a) + abs(row.left.b) + abs(row.left.c) * f32(row.range.y - row.range.x);
  }
  return 1.0;
}

fn sum_unknown(row: Row) -> bool {
  return HAS_ROW_TERMS && (HAS_KEY_MASK || HAS_MASK_MOD || HAS_BIAS || SCORED) && row.left.c != 0.0;
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
  let tiles = ceil_div(params.tokens_q, THREADS);
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let part = index % parts;
  let token = index / parts % tiles * THREADS + thread;
  let number = index / (parts * tiles);
  if (token >= params.tokens_q) {
    return;
  }
  let operation = operation_of(number);
  let place = state_place(number, token);
  let state = row_state[place + AT_LSE];
  let sinks = sinks_of(operation);
  let chosen = sinks.count > 0u && token >= first_chosen(operation);
  if (part == 0u) {
    // Until it is known better.
    row_state[place + AT_FACTORS] = vec4f(state.z, state.y, state.w, select(UNTOUCHED, MERGED, IN_PARTS && chosen));
  }
  if (!chosen || state.x <= ANY_KEY) {
    return;
  }
  let given = row_state[place + AT_TERMS];
  let term_key = select(u32(max(given.w, 0.0)), NO_TERM_KEY, given.w < 0.0);
  let row = row_of(operation.batch, operation.head, token, state.x, RowTerms(given.x, given.y, given.z, term_key));
  var held = held_query(row);

  var masses = Masses();
  var acc = array<vec4f, COLUMNS>();
  var scored = Weights();
  var sink_weights = Weights();
  var growth = 0.0;
  // What recipients have, where that is known without walking over the keys.
  var rest = 0.0;
  var walks = HAS_SETS && names_sets(operation);
  for (var stage = 0u; stage < STAGES; stage++) {
    let others = stage == WEIGH_OTHERS || stage == ADD_OTHERS;
    var first = 0u;
    var end = sinks.count;
    if (others) {
      first = row.range.x;
      end = select(row.range.x, row.range.y, walks);
    }
    for (; first < end; first += KEYS) {
      let keys = next_keys(sinks, others, first, end);
      // Few sinks have their weights still.
      if (stage != ADD_SINKS || sinks.count > KEYS) {
        scored = weights_of(row, &held, keys);
        if (!others) {
          sink_weights = scored;
        }
      } else {
        scored = sink_weights;
      }
      var weights = scored;
      for (var i = 0u; i < KEYS; i++) {
        let counts = first + i < end && !(others && is_sink(sinks, keys[i]));
        if (counts && stage <= WEIGH_OTHERS) {
          add_key(&masses, operation, keys[i], weights[i], !others);
        }
        weights[i] *= select(0.0, change_of(operation, keys[i], others, walks, growth), counts);
      }
      if (stage >= ADD_SINKS) {
        var places = Keys();
        for (var i = 0u; i < KEYS; i++) {
          places[i] = row_v(row.batch, min(keys[i], params.tokens_k - 1u), row.kv_head);
        }
        for (var c = 0u; c < COLUMNS; c++) {
          var sum = acc[c];
          for (var i = 0u; i < KEYS; i++) {
            // A value that weighs nothing may hold anything, NaN among it.
            let value = load_v(places[i], min(part * COLUMNS + c, VALUE_DIM4 - 1u));
            sum += weights[i] * select(value, vec4f(), weights[i] == 0.0);
          }
          acc[c] = sum;
        }
      }
    }

    if (stage == WEIGH_SINKS && !walks) {
      rest = select(row_sum(row) - masses.sinks, state.y - masses.left_out, HAS_PART);
      // Operations before may have made weights negative.
      walks = abs(rest) < LITTLE * select(row_scale(row), state.y, HAS_PART) || sum_unknown(row);
    }
    if (stage == WEIGH_OTHERS) {
      masses.recipients = select(rest, masses.walked, walks);
      if (HAS_PART) {
        complete_part(&masses, state.y);
      }
      let taken = (1.0 - operation.keep) * masses.sinks;
      if (!passes(operation, masses) || taken == 0.0 || masses.recipients == 0.0) {
        return;
      }
      growth = taken / masses.recipients;
    }
  }

  if (part == 0u) {
    store_factors(place, state, select(growth, 0.0, walks || HAS_PART), select(0.0, growth, !walks && HAS_PART));
  }
  for (var c = 0u; c < COLUMNS; c++) {
    if (part * COLUMNS + c < VALUE_DIM4) {
      row_state[place + AT_SUM + part * COLUMNS + c] = acc[c];
    }
  }
}

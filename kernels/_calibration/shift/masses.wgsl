// What a row's sinks, its recipients and the keys of a gate weigh, and whether the gate lets the row through.
import super::operations::{ NONE, Operation, in_set, set_size };

/// An operation names sets of keys, and no part of the keys was attended to by itself.
const HAS_SETS: bool = false;
/// The recipients, which are the keys of the gate as well, were attended to by themselves.
const HAS_PART: bool = false;
/// What the authors' code of VAR adds to each weight where it divides by their sum.
const PORTION_EPSILON = 1e-6;

struct Masses {
  sinks: f32,
  /// Sinks are no recipients.
  recipients: f32,
  /// Sinks among the keys that would be recipients otherwise.
  left_out: f32,
  mass: f32,
  nonsinks: f32,
  ratio_of: f32,
  portion: f32,
  portion_sinks: f32,
  /// Recipients among the keys that were walked over.
  walked: f32,
  /// Sinks among the keys of the portion, seen or not.
  portion_count: u32,
}

/// Whether a set has a key, given that another one has it or not.
fn has_key(keys: u32, key: u32, known: u32, answer: bool) -> bool {
  if (keys == known) {
    return answer;
  }
  return in_set(keys, key);
}

fn add_key(masses: ptr<function, Masses>, operation: Operation, key: u32, weight: f32, sink: bool) {
  let own = select(weight, 0.0, sink);
  (*masses).sinks += weight - own;
  if (HAS_SETS || HAS_PART) {
    let known = operation.recipients;
    let inside = in_set(known, key);
    let receives = inside | (known == NONE);
    (*masses).walked += select(0.0, own, receives);
    (*masses).left_out += select(0.0, weight - own, receives);
    (*masses).mass += select(0.0, weight, has_key(operation.mass, key, known, inside));
    (*masses).nonsinks += select(0.0, own, has_key(operation.nonsinks, key, known, inside));
    (*masses).ratio_of += select(0.0, weight, has_key(operation.ratio_of, key, known, inside));
    let in_portion = has_key(operation.portion, key, known, inside);
    (*masses).portion += select(0.0, weight, in_portion);
    (*masses).portion_sinks += select(0.0, weight, in_portion & sink);
    (*masses).portion_count += select(0u, 1u, in_portion & sink);
  } else {
    (*masses).walked += own;
  }
}

/// Every sum that follows from the weight of the part, which all sets are.
fn complete_part(masses: ptr<function, Masses>, part: f32) {
  (*masses).mass = part;
  (*masses).nonsinks = (*masses).recipients;
  (*masses).ratio_of = part;
  (*masses).portion = part;
}

/// Whether x / y >= least, also where operations before have made weights negative; not for 0 / 0.
fn least_share(x: f32, y: f32, least: f32) -> bool {
  if (y == 0.0) {
    return x > 0.0;
  }
  return select(x <= least * y, x >= least * y, y > 0.0);
}

fn passes(operation: Operation, masses: Masses) -> bool {
  var passed = true;
  if (operation.mass != NONE) {
    passed = masses.mass >= operation.least_mass;
  }
  if (operation.nonsinks != NONE) {
    passed &= least_share(masses.nonsinks, masses.ratio_of, operation.least_ratio);
  }
  if (operation.portion != NONE) {
    let whole = masses.portion + PORTION_EPSILON * f32(set_size(operation.portion));
    // x <= y as -x >= -y.
    passed &= (masses.portion_count > 0u) & least_share(-masses.portion_sinks, whole, -operation.most_portion);
  }
  return passed;
}

// Block after block, with the state in workgroup memory (Lightning Attention-2, arXiv 2401.04658, algorithm 1): for many heads, or
// where the states of all blocks would not fit in a binding. A workgroup owns COLUMNS vec4 value columns of a head.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::decay_losses::{ SPAN, decay_loss, span_loss };
import super::decayed::decayed;
import super::params::{ HEAD_DIM4, NORMALIZE, STATE_ROWS, VALUE_DIM4, params };
import super::state_io::{ initial_columns, store_final };
import super::tensors::{ load_k, load_q, load_v, row_k, row_out, row_q, row_v, store_out };

const THREADS: u32 = 64u;
const COLUMNS: u32 = 8u;
/// Threads that share out the keys of a row.
const PARTS = THREADS / SPAN;
const PART_KEYS = SPAN / PARTS;

var<workgroup> state: array<vec4f, STATE_ROWS * COLUMNS>;
var<workgroup> key_sums: array<f32, select(1u, STATE_ROWS, NORMALIZE)>;
/// [row, key]
var<workgroup> pairs: array<f32, SPAN * SPAN>;
/// Powers of the decay factor.
var<workgroup> factors: array<f32, SPAN + 1u>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  if (group >= params.first_group + params.groups) {
    return;
  }
  let slices = ceil_div(VALUE_DIM4, COLUMNS);
  let first_column = group % slices * COLUMNS;
  let head = group / slices % params.heads;
  let batch = group / (slices * params.heads);

  for (var n = thread; n < STATE_ROWS * COLUMNS; n += THREADS) {
    state[n] = vec4f();
    if (first_column + n % COLUMNS < VALUE_DIM4) {
      state[n] = initial_columns(batch, head, n / COLUMNS, first_column + n % COLUMNS);
    }
  }
  if (NORMALIZE) {
    for (var row = thread; row < STATE_ROWS; row += THREADS) {
      key_sums[row] = initial_columns(batch, head, row, VALUE_DIM4).x;
    }
  }
  for (var n = thread; n <= SPAN; n += THREADS) {
    var factor = 1.0;
    for (var i = 0u; i < n; i++) {
      factor += decay_loss(head) * factor;
    }
    factors[n] = factor;
  }
  workgroupBarrier();

  for (var first = 0u; first < params.tokens; first += SPAN) {
    let size = min(SPAN, params.tokens - first);
    multiply(thread, batch, head, first, size);
    workgroupBarrier();
    for (var n = thread; n < size * COLUMNS; n += THREADS) {
      if (first_column + n % COLUMNS < VALUE_DIM4) {
        write_output(n / COLUMNS, n % COLUMNS, first_column, batch, head, first);
      }
    }
    workgroupBarrier();
    for (var n = thread; n < HEAD_DIM4 * COLUMNS; n += THREADS) {
      update_state(n / COLUMNS, n % COLUMNS, first_column, batch, head, first, size);
    }
    if (NORMALIZE) {
      for (var c = thread; c < HEAD_DIM4; c += THREADS) {
        update_key_sums(c, batch, head, first, size);
      }
    }
    workgroupBarrier();
  }

  for (var n = thread; n < STATE_ROWS * COLUMNS; n += THREADS) {
    if (first_column + n % COLUMNS < VALUE_DIM4) {
      store_final(batch, head, n / COLUMNS, first_column + n % COLUMNS, state[n]);
    }
  }
  if (NORMALIZE) {
    if (first_column == 0u) {
      for (var row = thread; row < STATE_ROWS; row += THREADS) {
        store_final(batch, head, row, VALUE_DIM4, vec4f(key_sums[row], 0.0, 0.0, 0.0));
      }
    }
  }
}

fn multiply(thread: u32, batch: u32, head: u32, first: u32, size: u32) {
  let row = thread / PARTS;
  let first_key = thread % PARTS * PART_KEYS;
  let query_row = row_q(batch, first + min(row, size - 1u), head);
  for (var n = 0u; n < PART_KEYS; n++) {
    let key = first_key + n;
    var product = 0.0;
    if (key <= row) {
      let key_row = row_k(batch, first + min(key, size - 1u), head);
      for (var c = 0u; c < HEAD_DIM4; c++) {
        product += dot(load_q(query_row, c), load_k(key_row, c));
      }
      product *= params.scale_pairs * factors[row - key];
    }
    pairs[row * SPAN + key] = product;
  }
}

fn write_output(row: u32, column: u32, first_column: u32, batch: u32, head: u32, first: u32) {
  let query_row = row_q(batch, first + row, head);
  var sum = vec4f();
  var norm = 0.0;
  for (var c = 0u; c < HEAD_DIM4; c++) {
    let query = load_q(query_row, c);
    let place = 4u * c * COLUMNS + column;
    sum += query.x * state[place];
    sum += query.y * state[place + COLUMNS];
    sum += query.z * state[place + 2u * COLUMNS];
    sum += query.w * state[place + 3u * COLUMNS];
    if (NORMALIZE) {
      norm += dot(query, vec4f(key_sums[4u * c], key_sums[4u * c + 1u], key_sums[4u * c + 2u], key_sums[4u * c + 3u]));
    }
  }
  let factor = params.scale_read * factors[row + 1u];
  sum *= factor;
  norm *= factor;
  for (var key = 0u; key <= row; key++) {
    let weight = pairs[row * SPAN + key];
    sum += weight * load_v(row_v(batch, first + key, head), first_column + column);
    norm += weight;
  }
  if (NORMALIZE) {
    sum /= norm + params.epsilon;
  }
  store_out(row_out(batch, first + row, head), first_column + column, sum);
}

/// What a block takes from the state that enters it. Only the last may be short, and by then the product will do.
fn block_loss(head: u32, size: u32) -> f32 {
  return select(factors[size] - 1.0, span_loss(head), size == SPAN);
}

fn update_state(c: u32, column: u32, first_column: u32, batch: u32, head: u32, first: u32, size: u32) {
  let place = 4u * c * COLUMNS + column;
  var rows = array<vec4f, 4>();
  let loss = block_loss(head, size);
  for (var r = 0u; r < size; r++) {
    let keys = params.scale_state * factors[size - 1u - r] * load_k(row_k(batch, first + r, head), c);
    let value = load_v(row_v(batch, first + r, head), min(first_column + column, VALUE_DIM4 - 1u));
    rows[0] += keys.x * value;
    rows[1] += keys.y * value;
    rows[2] += keys.z * value;
    rows[3] += keys.w * value;
  }
  for (var i = 0u; i < 4u; i++) {
    state[place + i * COLUMNS] = decayed(state[place + i * COLUMNS], loss, rows[i]);
  }
}

fn update_key_sums(c: u32, batch: u32, head: u32, first: u32, size: u32) {
  let loss = block_loss(head, size);
  var sums = vec4f();
  for (var r = 0u; r < size; r++) {
    sums += factors[size - 1u - r] * load_k(row_k(batch, first + r, head), c);
  }
  let old = vec4f(key_sums[4u * c], key_sums[4u * c + 1u], key_sums[4u * c + 2u], key_sums[4u * c + 3u]);
  sums = decayed(old, loss, sums);
  for (var i = 0u; i < 4u; i++) {
    key_sums[4u * c + i] = sums[i];
  }
}

// Few tokens, one after another: S = λ S + k vᵀ, o = scale q S. A workgroup owns COLUMNS vec4 columns of one head's state, its
// threads share out the rows: a thread reads each of its rows once, takes it through all tokens, and writes it once. One dispatch
// for all heads.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::decay_rates::decay_rate;
import super::params::{ HEAD_DIM, NORMALIZE, VALUE_DIM4, params };
import super::state_io::{ initial_columns, store_final };
import super::tensors::{ load_k, load_q, load_v, row_k, row_out, row_q, row_v, store_out };

const THREADS: u32 = 64u;
/// vec4 columns of a workgroup, side by side over its threads; divides THREADS.
const COLUMNS: u32 = 8u;
const TOKENS: u32 = 1u;

const ROW_THREADS = THREADS / COLUMNS;

/// [row thread, column]
var<workgroup> sums: array<vec4f, THREADS>;
var<workgroup> norms: array<f32, THREADS>;

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
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let head = group / parts % params.heads;
  let batch = group / (parts * params.heads);
  let own_column = group % parts * COLUMNS + thread % COLUMNS;
  let column = min(own_column, VALUE_DIM4 - 1u);
  let first_row = thread / COLUMNS;
  let factor = exp(-decay_rate(head));

  var values = array<vec4f, TOKENS>();
  var query_rows = array<u32, TOKENS>();
  var key_rows = array<u32, TOKENS>();
  for (var t = 0u; t < TOKENS; t++) {
    query_rows[t] = row_q(batch, t, head);
    key_rows[t] = row_k(batch, t, head);
    values[t] = load_v(row_v(batch, t, head), column);
  }
  var acc = array<vec4f, TOKENS>();
  var norm = array<f32, TOKENS>();
  for (var row = first_row; row < HEAD_DIM; row += ROW_THREADS) {
    var state = initial_columns(batch, head, row, column);
    var z = 0.0;
    if (NORMALIZE) {
      z = initial_columns(batch, head, row, VALUE_DIM4).x;
    }
    for (var t = 0u; t < TOKENS; t++) {
      let key = load_k(key_rows[t], row / 4u)[row % 4u];
      let query = load_q(query_rows[t], row / 4u)[row % 4u];
      state = factor * state + params.scale_state * key * values[t];
      acc[t] += query * state;
      if (NORMALIZE) {
        z = factor * z + key;
        norm[t] += query * z;
      }
    }
    if (own_column < VALUE_DIM4) {
      store_final(batch, head, row, own_column, state);
      if (NORMALIZE) {
        if (own_column == 0u) {
          store_final(batch, head, row, VALUE_DIM4, vec4f(z, 0.0, 0.0, 0.0));
        }
      }
    }
  }

  for (var t = 0u; t < TOKENS; t++) {
    sums[thread] = acc[t];
    norms[thread] = norm[t];
    workgroupBarrier();
    if (thread < COLUMNS) {
      var sum = vec4f();
      var divisor = 0.0;
      for (var n = 0u; n < ROW_THREADS; n++) {
        sum += sums[n * COLUMNS + thread];
        divisor += norms[n * COLUMNS + thread];
      }
      sum *= params.scale_read;
      if (NORMALIZE) {
        sum /= params.scale_read * divisor + params.epsilon;
      }
      if (own_column < VALUE_DIM4) {
        store_out(row_out(batch, t, head), own_column, sum);
      }
    }
    workgroupBarrier();
  }
}

// Few tokens, one after another: S = λ S + k vᵀ, o = scale q S. A workgroup owns COLUMNS vec4 columns of one head's state, its
// threads share out the rows: a thread reads each of its rows once, takes it through all tokens, and writes it once. One dispatch
// for all heads.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::decay_losses::decay_loss;
import super::decayed::decayed;
import super::params::{ HEAD_DIM4, NORMALIZE, VALUE_DIM4, params };
import super::state_io::{ initial_columns, store_final };
import super::tensors::{ load_k, load_q, load_v, row_k, row_out, row_q, row_v, store_out };

const THREADS: u32 = 64u;
/// vec4 columns of a workgroup, side by side over its threads; divides THREADS.
const COLUMNS: u32 = 8u;
const TOKENS: u32 = 1u;

const ROW_THREADS = THREADS / COLUMNS;

/// [row thread, column]. A CPU driver, which clears them for every four threads, has one row thread and needs none.
const SHARED = select(1u, THREADS, ROW_THREADS > 1u);
var<workgroup> thread_sums: array<vec4f, SHARED>;
var<workgroup> thread_norms: array<f32, SHARED>;

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
  let loss = decay_loss(head);

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
  for (var c = thread / COLUMNS; c < HEAD_DIM4; c += ROW_THREADS) {
    // Four rows of the state at a time, as keys and queries are read. Rows past the last are zero.
    var rows = array<vec4f, 4>();
    var sums = vec4f();
    for (var i = 0u; i < 4u; i++) {
      rows[i] = initial_columns(batch, head, 4u * c + i, column);
      if (NORMALIZE) {
        sums[i] = initial_columns(batch, head, 4u * c + i, VALUE_DIM4).x;
      }
    }
    for (var t = 0u; t < TOKENS; t++) {
      let key = load_k(key_rows[t], c);
      let query = load_q(query_rows[t], c);
      let value = params.scale_state * values[t];
      rows[0] = decayed(rows[0], loss, key.x * value);
      rows[1] = decayed(rows[1], loss, key.y * value);
      rows[2] = decayed(rows[2], loss, key.z * value);
      rows[3] = decayed(rows[3], loss, key.w * value);
      acc[t] += query.x * rows[0] + query.y * rows[1] + query.z * rows[2] + query.w * rows[3];
      if (NORMALIZE) {
        sums = decayed(sums, loss, key);
        norm[t] += dot(query, sums);
      }
    }
    if (own_column < VALUE_DIM4) {
      for (var i = 0u; i < 4u; i++) {
        store_final(batch, head, 4u * c + i, own_column, rows[i]);
        if (NORMALIZE) {
          if (own_column == 0u) {
            store_final(batch, head, 4u * c + i, VALUE_DIM4, vec4f(sums[i], 0.0, 0.0, 0.0));
          }
        }
      }
    }
  }

  for (var t = 0u; t < TOKENS; t++) {
    var sum = acc[t];
    var divisor = norm[t];
    if (ROW_THREADS > 1u) {
      thread_sums[min(thread, SHARED - 1u)] = sum;
      thread_norms[min(thread, SHARED - 1u)] = divisor;
      workgroupBarrier();
      sum = vec4f();
      divisor = 0.0;
      for (var n = 0u; n < ROW_THREADS; n++) {
        sum += thread_sums[min(n * COLUMNS + thread % COLUMNS, SHARED - 1u)];
        divisor += thread_norms[min(n * COLUMNS + thread % COLUMNS, SHARED - 1u)];
      }
      workgroupBarrier();
    }
    sum *= params.scale_read;
    if (NORMALIZE) {
      sum /= params.scale_read * divisor + params.epsilon;
    }
    if (thread < COLUMNS) {
      if (own_column < VALUE_DIM4) {
        store_out(row_out(batch, t, head), own_column, sum);
      }
    }
  }
}

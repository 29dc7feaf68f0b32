// Agent broadcast: every query attends to the agents, O = softmax(second scale · Q Aᵀ + B2) V_A, and the row's share of V is added
// before it is written: a depthwise 3x3 convolution of V as an image, V itself times a shortcut, or neither.
//
// No workgroup memory or barriers: a thread keeps the scores and sums of a run of ROWS neighbouring queries in registers, and all
// threads read the same agents. With subgroups, the four threads of a quad (neighbours by subgroup_invocation_id, whatever the
// subgroup's size) read a quarter each and pass them round. A run stays within one row of the image, so that its pixels share the
// three rows of the convolution's halo.
import package::_shared::online_softmax::{ NO_KEY, rescale };
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::logits::{ finite_bias, weight_origin };
import super::halo::{ axis_place, pixel_value };
import super::params::{ HEAD_DIM4, VALUE_DIM4, params };
import super::partials::{ agent_place, agents };
import super::tensors::{ load_q, load_v, row_out, row_q, row_v, store_out };

const THREADS: u32 = 4u;
/// Queries of a thread.
const ROWS: u32 = 4u;
/// Agents of a tile.
const KEYS: u32 = 8u;
/// vec4 value columns of a thread; further columns go to further workgroups.
const COLUMNS: u32 = 16u;
const HAS_QUERY_BIAS: bool = false;
/// Whether the agents are whole tiles.
const EVEN_TILES: bool = false;
const HAS_DEPTHWISE: bool = false;
const HAS_SHORTCUT: bool = false;
/// Whether all runs are whole, so that only their first and last column of the halo may lie beyond the image.
const EVEN_RUNS: bool = false;

const KEY_QUADS = (KEYS + 3u) / 4u;
/// Agents that a thread reads itself.
@if(subgroups) const OWN_KEYS = KEY_QUADS;
@if(!subgroups) const OWN_KEYS = KEYS;
const HAS_VALUE_TERM = HAS_DEPTHWISE || HAS_SHORTCUT;
/// Columns of the loop that adds the terms of V, apart from COLUMNS because it may stay a loop where the others are unrolled.
const TERM_COLUMNS = COLUMNS;
/// The convolution's window, and the pixels of one line that the windows of a run cover.
const SIDE = 3u;
const TAPS = SIDE * SIDE;
const ALL_TAPS = TAPS + 1u;
const TAP_QUADS = (ALL_TAPS + 3u) / 4u;
const HALO = ROWS + 2u;

/// [entry, head, agent, VALUE_DIM4]
@group(0) @binding(8) var<storage, read> agent_values: array<vec4f>;
@group(0) @binding(9) var<storage, read> query_bias: array<f32>;
/// [head, ALL_TAPS, VALUE_DIM4]: nine taps, then the bias.
@group(0) @binding(10) var<storage, read> taps: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) lane: u32,
) {
  let runs_per_line = ceil_div(params.grid_columns, ROWS);
  let runs = params.class_tokens + params.grid_rows * runs_per_line;
  let tiles = ceil_div(runs, THREADS);
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let own_run = index % tiles * THREADS + thread;
  let head = index / tiles % params.heads;
  let part = index / (tiles * params.heads) % parts;
  let entry = index / (tiles * params.heads * parts);

  // The class token is a run by itself.
  let run = min(own_run, runs - 1u);
  let is_class = run < params.class_tokens;
  let line = (max(run, params.class_tokens) - params.class_tokens) / runs_per_line;
  let first_column = (max(run, params.class_tokens) - params.class_tokens) % runs_per_line * ROWS;
  let first_token = select(params.class_tokens + line * params.grid_columns + first_column, run, is_class);
  let own_rows = select(min(ROWS, params.grid_columns - first_column), 1u, is_class);

  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  var factors = array<f32, ROWS>();
  var query_rows = array<u32, ROWS>();
  var bias_rows = array<u32, ROWS>();
  var acc = array<vec4f, ROWS * COLUMNS>(); // [ROWS, COLUMNS]
  for (var r = 0u; r < ROWS; r++) {
    let token = first_token + min(r, own_rows - 1u);
    row_max[r] = NO_KEY;
    query_rows[r] = row_q(entry, token, head);
    bias_rows[r] = params.base_query_bias + dot(vec3u(entry, head, token), params.strides_query_bias.xyz);
  }
  let first_agent = agent_place(entry, head, 0u);

  for (var tile = 0u; tile < params.agents; tile += KEYS) {
    // 1. scores = q Aᵀ · second scale + B2
    var own_agents = array<u32, OWN_KEYS>();
    for (var n = 0u; n < OWN_KEYS; n++) {
      @if(subgroups) own_agents[n] = first_agent + min(tile + 4u * n + lane % 4u, params.agents - 1u);
      @if(!subgroups) own_agents[n] = first_agent + min(tile + n, params.agents - 1u);
    }
    var scores = array<f32, ROWS * KEYS>(); // [ROWS, KEYS]
    for (var c = 0u; c < HEAD_DIM4; c++) {
      var keys = array<vec4f, 4u * KEY_QUADS>();
      @if(subgroups) {
        for (var quad = 0u; quad < KEY_QUADS; quad++) {
          let own = agents[own_agents[quad] * HEAD_DIM4 + c];
          keys[4u * quad] = quadBroadcast(own, 0u);
          keys[4u * quad + 1u] = quadBroadcast(own, 1u);
          keys[4u * quad + 2u] = quadBroadcast(own, 2u);
          keys[4u * quad + 3u] = quadBroadcast(own, 3u);
        }
      }
      @if(!subgroups) {
        for (var n = 0u; n < KEYS; n++) {
          keys[n] = agents[own_agents[n] * HEAD_DIM4 + c];
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        let query = load_q(query_rows[r], c);
        for (var n = 0u; n < KEYS; n++) {
          scores[r * KEYS + n] += dot(query, keys[n]);
        }
      }
    }
    for (var n = 0u; n < KEYS; n++) {
      let agent = min(tile + n, params.agents - 1u);
      for (var r = 0u; r < ROWS; r++) {
        var score = scores[r * KEYS + n] * params.second_scale;
        if (HAS_QUERY_BIAS) {
          score += finite_bias(query_bias[bias_rows[r] + agent * params.strides_query_bias.w]);
        }
        if (!EVEN_TILES) {
          score = select(NO_KEY, score, tile + n < params.agents);
        }
        scores[r * KEYS + n] = score;
      }
    }

    // 2. fold into the running (max, sum); scores become weights
    for (var r = 0u; r < ROWS; r++) {
      var new_max = row_max[r];
      for (var n = 0u; n < KEYS; n++) {
        new_max = max(new_max, scores[r * KEYS + n]);
      }
      factors[r] = rescale(row_max[r], new_max);
      row_max[r] = new_max;
      row_sum[r] *= factors[r];
      let origin = weight_origin(new_max);
      for (var n = 0u; n < KEYS; n++) {
        let weight = exp(scores[r * KEYS + n] - origin);
        scores[r * KEYS + n] = weight;
        row_sum[r] += weight;
      }
    }

    // 3. acc = acc · factor + weights V_A
    for (var c = 0u; c < COLUMNS; c++) {
      let column = min(part * COLUMNS + c, VALUE_DIM4 - 1u);
      var values = array<vec4f, 4u * KEY_QUADS>();
      @if(subgroups) {
        for (var quad = 0u; quad < KEY_QUADS; quad++) {
          let own = agent_values[own_agents[quad] * VALUE_DIM4 + column];
          values[4u * quad] = quadBroadcast(own, 0u);
          values[4u * quad + 1u] = quadBroadcast(own, 1u);
          values[4u * quad + 2u] = quadBroadcast(own, 2u);
          values[4u * quad + 3u] = quadBroadcast(own, 3u);
        }
      }
      @if(!subgroups) {
        for (var n = 0u; n < KEYS; n++) {
          values[n] = agent_values[own_agents[n] * VALUE_DIM4 + column];
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        var sum = acc[r * COLUMNS + c] * factors[r];
        for (var n = 0u; n < KEYS; n++) {
          sum += scores[r * KEYS + n] * values[n];
        }
        acc[r * COLUMNS + c] = sum;
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    factors[r] = select(1.0 / row_sum[r], 0.0, row_sum[r] == 0.0);
    for (var c = 0u; c < COLUMNS; c++) {
      acc[r * COLUMNS + c] *= factors[r];
    }
  }
  var out_rows = array<u32, ROWS>();
  var value_rows = array<u32, ROWS>();
  for (var r = 0u; r < ROWS; r++) {
    let token = first_token + min(r, own_rows - 1u);
    out_rows[r] = row_out(entry, token, head);
    value_rows[r] = row_v(entry, select(0u, token, HAS_SHORTCUT), head);
  }
  let stored_rows = select(0u, own_rows, own_run < runs);
  if (!HAS_VALUE_TERM) {
    for (var r = 0u; r < ROWS; r++) {
      if (r < stored_rows) {
        for (var c = 0u; c < COLUMNS; c++) {
          if (part * COLUMNS + c < VALUE_DIM4) {
            store_out(out_rows[r], part * COLUMNS + c, acc[r * COLUMNS + c]);
          }
        }
      }
    }
    return;
  }

  // 4. out = acc + convolution of V + shortcut · V. The sums go through memory, where a loop may index them.
  var held = array<vec4f, ROWS * COLUMNS>(); // [COLUMNS, ROWS]
  for (var r = 0u; r < ROWS; r++) {
    for (var c = 0u; c < COLUMNS; c++) {
      held[c * ROWS + r] = acc[r * COLUMNS + c];
    }
  }
  let origin = row_v(entry, params.class_tokens, head);
  var lines = array<vec2u, SIDE>();
  var line_shares = array<f32, SIDE>();
  var lines_inside = array<bool, SIDE>();
  for (var y = 0u; y < SIDE; y++) {
    let axis = axis_place(line + y, params.grid_rows, params.value_rows);
    lines[y] = origin + axis.places * params.value_pitch * params.strides_v.y;
    line_shares[y] = axis.share;
    lines_inside[y] = axis.inside & !is_class;
  }
  var columns = array<vec2u, HALO>();
  var column_shares = array<f32, HALO>();
  var columns_inside = array<bool, HALO>();
  for (var x = 0u; x < HALO; x++) {
    let axis = axis_place(first_column + x, params.grid_columns, params.value_columns);
    columns[x] = axis.places * params.strides_v.y;
    column_shares[x] = axis.share;
    columns_inside[x] = axis.inside;
  }
  for (var c = 0u; c < TERM_COLUMNS; c++) {
    let column = min(part * COLUMNS + c, VALUE_DIM4 - 1u);
    var sums = array<vec4f, ROWS>();
    if (HAS_DEPTHWISE) {
      // Taps of lines beyond the image are zero, and the bias of the class token.
      let first_tap = head * ALL_TAPS * VALUE_DIM4 + column;
      var weights = array<vec4f, 4u * TAP_QUADS>();
      @if(subgroups) {
        for (var quad = 0u; quad < TAP_QUADS; quad++) {
          let own = taps[first_tap + min(4u * quad + lane % 4u, TAPS) * VALUE_DIM4];
          weights[4u * quad] = quadBroadcast(own, 0u);
          weights[4u * quad + 1u] = quadBroadcast(own, 1u);
          weights[4u * quad + 2u] = quadBroadcast(own, 2u);
          weights[4u * quad + 3u] = quadBroadcast(own, 3u);
        }
      }
      @if(!subgroups) {
        for (var tap = 0u; tap < ALL_TAPS; tap++) {
          weights[tap] = taps[first_tap + tap * VALUE_DIM4];
        }
      }
      let convolution_bias = select(weights[TAPS], vec4f(), is_class);
      for (var r = 0u; r < ROWS; r++) {
        sums[r] = convolution_bias;
      }
      for (var y = 0u; y < SIDE; y++) {
        var pixels = array<vec4f, HALO>();
        for (var x = 0u; x < HALO; x++) {
          pixels[x] = pixel_value(lines[y], line_shares[y], columns[x], column_shares[x], column);
          if (!EVEN_RUNS | (x == 0u) | (x == HALO - 1u)) {
            pixels[x] = select(vec4f(), pixels[x], columns_inside[x]);
          }
        }
        for (var x = 0u; x < SIDE; x++) {
          let weight = select(vec4f(), weights[y * SIDE + x], lines_inside[y]);
          for (var r = 0u; r < ROWS; r++) {
            sums[r] += weight * pixels[r + x];
          }
        }
      }
    }
    for (var r = 0u; r < ROWS; r++) {
      var total = held[c * ROWS + r] + sums[r];
      if (HAS_SHORTCUT) {
        total += params.shortcut * load_v(value_rows[r], column);
      }
      if ((r < stored_rows) & (part * COLUMNS + c < VALUE_DIM4)) {
        store_out(out_rows[r], column, total);
      }
    }
  }
}

// Agent aggregation: every agent attends to the keys, V_A = softmax(scale A Kᵀ + B1) V. Agents are few, so the keys are cut into
// SPLITS ranges; a workgroup takes one range for THREADS x ROWS agents, and merge.wgsl joins the ranges by log-sum-exp.
//
// No workgroup memory or barriers: a thread keeps the scores and sums of its own agents in registers, and all threads read the
// same keys. With subgroups, the four threads of a quad (neighbours by subgroup_invocation_id, whatever the subgroup's size) read
// a quarter each and pass them round.
import package::_shared::online_softmax::{ NO_KEY, rescale };
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::logits::{ finite_bias, weight_origin };
import super::params::{ HEAD_DIM4, VALUE_DIM4, params };
import super::partials::{ agent_place, agents, partial_out, partial_state };
import super::tensors::{ load_k, load_v, row_k, row_v };

const THREADS: u32 = 4u;
/// Agents of a thread.
const ROWS: u32 = 4u;
/// Keys of a tile.
const KEYS: u32 = 8u;
/// vec4 value columns of a thread; further columns go to further workgroups.
const COLUMNS: u32 = 16u;
const SPLITS: u32 = 1u;
const HAS_AGENT_BIAS: bool = false;
/// Whether all ranges are whole tiles.
const EVEN_TILES: bool = false;

const KEY_QUADS = (KEYS + 3u) / 4u;
/// Keys that a thread reads itself.
@if(subgroups) const OWN_KEYS = KEY_QUADS;
@if(!subgroups) const OWN_KEYS = KEYS;

@group(0) @binding(9) var<storage, read> agent_bias: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) lane: u32,
) {
  let tiles = ceil_div(params.agents, THREADS * ROWS);
  let parts = ceil_div(VALUE_DIM4, COLUMNS);
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let tile_index = index % tiles;
  let split = index / tiles % SPLITS;
  let part = index / (tiles * SPLITS) % parts;
  let head = index / (tiles * SPLITS * parts) % params.heads;
  let entry = index / (tiles * SPLITS * parts * params.heads);
  let own_agent = (tile_index * THREADS + thread) * ROWS;

  // Equal ranges of whole tiles.
  let length = ceil_div(ceil_div(params.tokens_k, SPLITS), KEYS) * KEYS;
  let begin = min(split * length, params.tokens_k);
  let end = min(begin + length, params.tokens_k);

  var row_max = array<f32, ROWS>();
  var row_sum = array<f32, ROWS>();
  var factors = array<f32, ROWS>();
  var agent_rows = array<u32, ROWS>();
  var bias_rows = array<u32, ROWS>();
  var acc = array<vec4f, ROWS * COLUMNS>(); // [ROWS, COLUMNS]
  for (var r = 0u; r < ROWS; r++) {
    let agent = min(own_agent + r, params.agents - 1u);
    row_max[r] = NO_KEY;
    agent_rows[r] = agent_place(entry, head, agent) * HEAD_DIM4;
    bias_rows[r] = params.base_agent_bias + dot(vec3u(entry, head, agent), params.strides_agent_bias.xyz);
  }

  for (var tile = begin; tile < end; tile += KEYS) {
    // 1. scores = A kᵀ · scale + B1
    var key_rows = array<u32, OWN_KEYS>();
    var value_rows = array<u32, OWN_KEYS>();
    for (var n = 0u; n < OWN_KEYS; n++) {
      @if(subgroups) let key = min(tile + 4u * n + lane % 4u, end - 1u);
      @if(!subgroups) let key = min(tile + n, end - 1u);
      key_rows[n] = row_k(entry, key, head);
      value_rows[n] = row_v(entry, key, head);
    }
    var scores = array<f32, ROWS * KEYS>(); // [ROWS, KEYS]
    for (var c = 0u; c < HEAD_DIM4; c++) {
      var keys = array<vec4f, 4u * KEY_QUADS>();
      @if(subgroups) {
        for (var quad = 0u; quad < KEY_QUADS; quad++) {
          let own = load_k(key_rows[quad], c);
          keys[4u * quad] = quadBroadcast(own, 0u);
          keys[4u * quad + 1u] = quadBroadcast(own, 1u);
          keys[4u * quad + 2u] = quadBroadcast(own, 2u);
          keys[4u * quad + 3u] = quadBroadcast(own, 3u);
        }
      }
      @if(!subgroups) {
        for (var n = 0u; n < KEYS; n++) {
          keys[n] = load_k(key_rows[n], c);
        }
      }
      for (var r = 0u; r < ROWS; r++) {
        let channels = agents[agent_rows[r] + c];
        for (var n = 0u; n < KEYS; n++) {
          scores[r * KEYS + n] += dot(channels, keys[n]);
        }
      }
    }
    for (var n = 0u; n < KEYS; n++) {
      let key = min(tile + n, end - 1u);
      for (var r = 0u; r < ROWS; r++) {
        var score = scores[r * KEYS + n] * params.scale;
        if (HAS_AGENT_BIAS) {
          score += finite_bias(agent_bias[bias_rows[r] + key * params.strides_agent_bias.w]);
        }
        if (!EVEN_TILES) {
          score = select(NO_KEY, score, tile + n < end);
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

    // 3. acc = acc · factor + weights v
    for (var c = 0u; c < COLUMNS; c++) {
      let column = min(part * COLUMNS + c, VALUE_DIM4 - 1u);
      var values = array<vec4f, 4u * KEY_QUADS>();
      @if(subgroups) {
        for (var quad = 0u; quad < KEY_QUADS; quad++) {
          let own = load_v(value_rows[quad], column);
          values[4u * quad] = quadBroadcast(own, 0u);
          values[4u * quad + 1u] = quadBroadcast(own, 1u);
          values[4u * quad + 2u] = quadBroadcast(own, 2u);
          values[4u * quad + 3u] = quadBroadcast(own, 3u);
        }
      }
      @if(!subgroups) {
        for (var n = 0u; n < KEYS; n++) {
          values[n] = load_v(value_rows[n], column);
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
    if (own_agent + r < params.agents) {
      let place = agent_place(entry, head, own_agent + r) * SPLITS + split;
      for (var c = 0u; c < COLUMNS; c++) {
        if (part * COLUMNS + c < VALUE_DIM4) {
          partial_out[place * VALUE_DIM4 + part * COLUMNS + c] = acc[r * COLUMNS + c];
        }
      }
      if (part == 0u) {
        partial_state[place] = vec2f(row_max[r], row_sum[r]);
      }
    }
  }
}

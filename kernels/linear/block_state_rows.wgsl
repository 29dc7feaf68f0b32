// The same sums as `block_states.wgsl`, with tiles as large as a CPU's cache holds: a thread owns CHANNELS vec4 key channels and COLUMNS
// vec4 value columns of one block. For drivers that run on a CPU.
//
// All threads of a workgroup read the same values. With subgroups, the four threads of a quad read a quarter each and pass them round.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::params::{ BLOCK, HEAD_DIM4, STATE_COLUMNS, STATE_ROWS, block_size, params, power };
import super::tensors::{ load_column, load_k, row_k, row_v };

/// Threads side by side over the key channels; a multiple of 4.
const THREADS: u32 = 8u;
const CHANNELS: u32 = 2u;
const COLUMNS: u32 = 16u;
/// Tokens that meet an accumulator at a time; with subgroups one for each thread of a quad.
const TOGETHER: u32 = 4u;

/// [batch, head, block, STATE_ROWS, STATE_COLUMNS]
@group(0) @binding(7) var<storage, read_write> states: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @if(subgroups) @builtin(subgroup_invocation_id) lane: u32,
) {
  let index = params.first_group + workgroup_index(group_id, group_counts);
  if (index >= params.first_group + params.groups) {
    return;
  }
  let across = ceil_div(STATE_COLUMNS, COLUMNS);
  let down = ceil_div(HEAD_DIM4, THREADS * CHANNELS);
  let first_column = index % across * COLUMNS;
  let first_channel = (index / across % down * THREADS + thread) * CHANNELS;
  let problem = index / (across * down); // (batch, head, block)
  let own_block = problem % params.blocks;
  let head = problem / params.blocks % params.heads;
  let batch = problem / (params.blocks * params.heads);
  let token = (params.first_block + own_block) * BLOCK;
  let size = block_size(params.first_block + own_block);

  var acc = array<vec4f, 4u * CHANNELS * COLUMNS>(); // [CHANNELS, 4, COLUMNS]
  let key_row = row_k(batch, token, head);
  let value_row = row_v(batch, token, head);
  for (var first = 0u; first < size; first += TOGETHER) {
    var keys = array<vec4f, TOGETHER * CHANNELS>();
    var value_rows = array<u32, TOGETHER>();
    for (var r = 0u; r < TOGETHER; r++) {
      // Past the end, the last row again, with no weight.
      let row = min(first + r, size - 1u);
      let weight = select(params.scale_state * power(head, size - 1u - row), 0.0, first + r > row);
      for (var c = 0u; c < CHANNELS; c++) {
        let channel = min(first_channel + c, HEAD_DIM4 - 1u);
        keys[r * CHANNELS + c] = weight * load_k(key_row + row * params.strides_k.y, channel);
      }
      @if(!subgroups) value_rows[r] = value_row + row * params.strides_v.y;
    }
    @if(subgroups) let own_row = value_row + min(first + lane % 4u, size - 1u) * params.strides_v.y;
    for (var n = 0u; n < COLUMNS; n++) {
      let column = min(first_column + n, STATE_COLUMNS - 1u);
      var values = array<vec4f, TOGETHER>();
      @if(subgroups) {
        let own = load_column(own_row, column);
        values[0] = quadBroadcast(own, 0u);
        values[1] = quadBroadcast(own, 1u);
        values[2] = quadBroadcast(own, 2u);
        values[3] = quadBroadcast(own, 3u);
      }
      @if(!subgroups) {
        for (var r = 0u; r < TOGETHER; r++) {
          values[r] = load_column(value_rows[r], column);
        }
      }
      for (var c = 0u; c < CHANNELS; c++) {
        var x = acc[4u * c * COLUMNS + n];
        var y = acc[(4u * c + 1u) * COLUMNS + n];
        var z = acc[(4u * c + 2u) * COLUMNS + n];
        var w = acc[(4u * c + 3u) * COLUMNS + n];
        for (var r = 0u; r < TOGETHER; r++) {
          let key = keys[r * CHANNELS + c];
          x += key.x * values[r];
          y += key.y * values[r];
          z += key.z * values[r];
          w += key.w * values[r];
        }
        acc[4u * c * COLUMNS + n] = x;
        acc[(4u * c + 1u) * COLUMNS + n] = y;
        acc[(4u * c + 2u) * COLUMNS + n] = z;
        acc[(4u * c + 3u) * COLUMNS + n] = w;
      }
    }
  }

  for (var c = 0u; c < CHANNELS; c++) {
    let channel = 4u * (first_channel + c);
    if (channel < STATE_ROWS) {
      for (var n = 0u; n < COLUMNS; n++) {
        let column = first_column + n;
        if (column < STATE_COLUMNS) {
          let place = (problem * STATE_ROWS + channel) * STATE_COLUMNS + column;
          states[place] = acc[4u * c * COLUMNS + n];
          states[place + STATE_COLUMNS] = acc[(4u * c + 1u) * COLUMNS + n];
          states[place + 2u * STATE_COLUMNS] = acc[(4u * c + 2u) * COLUMNS + n];
          states[place + 3u * STATE_COLUMNS] = acc[(4u * c + 3u) * COLUMNS + n];
        }
      }
    }
  }
}

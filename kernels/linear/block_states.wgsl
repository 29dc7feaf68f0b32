// What each block adds to the state that leaves it: sum over its rows r of scale_state λ^(m - 1 - r) k_r v_rᵀ, a product of two
// tall matrices. A thread owns a tile of 8 key channels and 8 value columns of one block, in registers.
import package::_shared::workgroup_index::{ ceil_div, workgroup_index };
import super::params::{ BLOCK, HEAD_DIM4, STATE_COLUMNS, STATE_ROWS, block_size, params, power };
import super::tensors::{ load_column, load_k, row_k, row_v };

const THREADS: u32 = 64u;
/// vec4 key channels and vec4 value columns of a thread.
const CHANNELS: u32 = 2u;
const COLUMNS: u32 = 2u;
/// Tokens that meet an accumulator at a time.
const TOGETHER: u32 = 4u;

/// [batch, head, block, STATE_ROWS, STATE_COLUMNS]
@group(0) @binding(7) var<storage, read_write> states: array<vec4f>;

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
  let across = ceil_div(STATE_COLUMNS, COLUMNS);
  let tiles = across * ceil_div(HEAD_DIM4, CHANNELS);
  let index = group * THREADS + thread;
  let problem = index / tiles; // (batch, head, block)
  if (problem >= params.batches * params.heads * params.blocks) {
    return;
  }
  let first_column = index % across * COLUMNS;
  let first_channel = index % tiles / across * CHANNELS;
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
    var values = array<vec4f, TOGETHER * COLUMNS>();
    for (var r = 0u; r < TOGETHER; r++) {
      // Past the end, the last row again, with no weight.
      let row = min(first + r, size - 1u);
      let weight = select(params.scale_state * power(head, size - 1u - row), 0.0, first + r > row);
      for (var c = 0u; c < CHANNELS; c++) {
        let channel = min(first_channel + c, HEAD_DIM4 - 1u);
        keys[r * CHANNELS + c] = weight * load_k(key_row + row * params.strides_k.y, channel);
      }
      for (var n = 0u; n < COLUMNS; n++) {
        let column = min(first_column + n, STATE_COLUMNS - 1u);
        values[r * COLUMNS + n] = load_column(value_row + row * params.strides_v.y, column);
      }
    }
    for (var c = 0u; c < CHANNELS; c++) {
      for (var n = 0u; n < COLUMNS; n++) {
        var x = acc[4u * c * COLUMNS + n];
        var y = acc[(4u * c + 1u) * COLUMNS + n];
        var z = acc[(4u * c + 2u) * COLUMNS + n];
        var w = acc[(4u * c + 3u) * COLUMNS + n];
        for (var r = 0u; r < TOGETHER; r++) {
          let key = keys[r * CHANNELS + c];
          let value = values[r * COLUMNS + n];
          x += key.x * value;
          y += key.y * value;
          z += key.z * value;
          w += key.w * value;
        }
        acc[4u * c * COLUMNS + n] = x;
        acc[(4u * c + 1u) * COLUMNS + n] = y;
        acc[(4u * c + 2u) * COLUMNS + n] = z;
        acc[(4u * c + 3u) * COLUMNS + n] = w;
      }
    }
  }

  for (var c = 0u; c < CHANNELS; c++) {
    for (var n = 0u; n < COLUMNS; n++) {
      let channel = 4u * (first_channel + c);
      let column = first_column + n;
      if (channel < STATE_ROWS) {
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

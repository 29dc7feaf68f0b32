// From what each block adds, the state that enters each: an exclusive scan over the blocks with decay, in place, and the state
// that leaves the last. A thread owns four columns of one row of the state, so neighbours read neighbours.
//
// Entering states are kept with one factor λ more, as the first row of a block reads them: S̃_0 = λ S_0 and
// S̃_(b+1) = λ^m S̃_b + λ L_b. Then every power is one of 0 to BLOCK.
import package::_shared::workgroup_index::workgroup_index;
import super::decayed::decayed;
import super::params::{ STATE_COLUMNS, STATE_ROWS, block_size, params, power, power_loss };
import super::state_io::{ initial_columns, store_final };

const THREADS: u32 = 64u;
/// Backward in time: what enters and what leaves has the additional factor already.
const SHIFTED: bool = false;
/// Not causal: every token reads the sum over all blocks, which is what is carried on from the last.
const TOTAL: bool = false;
/// Where the states of all blocks are too many to be held at once, they come in rounds.
const FIRST_ROUND: bool = true;
const LAST_ROUND: bool = true;

@group(0) @binding(7) var<storage, read_write> states: array<vec4f>;
/// [batch, head, STATE_ROWS, STATE_COLUMNS]: what enters the next round.
@group(0) @binding(6) var<storage, read_write> carry: array<vec4f>;

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
  let size = STATE_ROWS * STATE_COLUMNS;
  let index = group * THREADS + thread;
  let problem = index / size; // (batch, head)
  if (problem >= params.batches * params.heads) {
    return;
  }
  let head = problem % params.heads;
  let batch = problem / params.heads;
  let row = index % size / STATE_COLUMNS;
  let column = index % STATE_COLUMNS;

  let factor = power(head, 1u);
  var leaving = vec4f();
  if (FIRST_ROUND) {
    leaving = initial_columns(batch, head, row, column);
  } else {
    leaving = carry[index];
  }
  var entering = leaving;
  if (FIRST_ROUND && !SHIFTED) {
    entering *= factor;
  }
  var place = problem * params.blocks * size + index % size;
  let blocks = params.blocks;
  for (var n = 0u; n < blocks; n++) {
    let own = states[place];
    let rows = block_size(params.first_block + n);
    if (!TOTAL) {
      states[place] = entering;
    }
    leaving = power(head, rows - 1u) * entering + own;
    entering = decayed(entering, power_loss(head, rows), factor * own);
    place += size;
  }
  if (TOTAL || !LAST_ROUND) {
    carry[index] = entering;
  }
  if (LAST_ROUND) {
    if (SHIFTED) {
      leaving = entering;
    }
    store_final(batch, head, row, column, leaving);
  }
}

// out[b, t] = scale table[ids[b, t]] + positions[p] + types[type_ids[b, t]]. A thread owns four channels of a token; a pass has one
// part of the table, and writes the tokens whose rows lie in it.
import package::_shared::workgroup_index::workgroup_index;
import super::weights::{ CHUNK, Q8, WEIGHT, chunk_terms, four_weights, scale_place };

const THREADS = 64u;
const HAS_POSITIONS: bool = false;
const HAS_TYPES: bool = false;
/// The last token of a batch entry stands at its length less one; otherwise the first stands at 0.
const HAS_LENGTHS: bool = false;

struct Params {
  // [batch, tokens, heads, dim], in elements
  strides_out: vec4u,
  base_out: u32,
  base_positions: u32,
  base_types: u32,
  // [row, channel], in elements
  stride_positions_row: u32,
  stride_positions_dim: u32,
  stride_types_row: u32,
  stride_types_dim: u32,
  positions: u32,
  types: u32,
  batches: u32,
  tokens: u32,
  dim: u32,
  /// Of the table in memory.
  columns: u32,
  vocabulary: u32,
  first_row: u32,
  rows: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
/// [batches, tokens]
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> positions: array<f32>;
@group(0) @binding(4) var<storage, read> types: array<f32>;
/// [batches, tokens]
@group(0) @binding(5) var<storage, read> type_ids: array<u32>;
@group(0) @binding(6) var<storage, read> lengths: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

fn table_channels(row: u32, c: u32) -> vec4f {
  let chunk = c / CHUNK;
  let values = four_weights(table[row * (params.columns / (4u * CHUNK)) + chunk], c % CHUNK);
  if (WEIGHT < Q8) {
    return values;
  }
  let place = scale_place(params.rows, params.columns, row, chunk);
  let terms = chunk_terms(table[place / 4u][place % 4u], chunk);
  return values * terms.x + terms.y;
}

/// Row of the table of positions; what lies before the first or behind the last has theirs.
fn position_of(batch: u32, token: u32) -> u32 {
  var position = i32(token);
  if (HAS_LENGTHS) {
    position += i32(lengths[batch]) - i32(params.tokens);
  }
  return u32(clamp(position, 0, i32(params.positions) - 1));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts) * THREADS + thread;
  let fours = (params.dim + 3u) / 4u;
  let row = index / fours;
  let c = index % fours;
  if (row >= params.batches * params.tokens) {
    return;
  }
  let id = min(ids[row], params.vocabulary - 1u);
  // Unsigned: rows before the part's first are far behind its last.
  if (id - params.first_row >= params.rows) {
    return;
  }
  let batch = row / params.tokens;
  let token = row % params.tokens;
  let position = position_of(batch, token);
  var channels = params.scale * table_channels(id - params.first_row, c);
  let place = params.base_out + batch * params.strides_out.x + token * params.strides_out.y;
  for (var i = 0u; i < 4u; i++) {
    let channel = 4u * c + i;
    if (channel >= params.dim) {
      return;
    }
    if (HAS_POSITIONS) {
      let at = params.base_positions + position * params.stride_positions_row;
      channels[i] += positions[at + channel * params.stride_positions_dim];
    }
    if (HAS_TYPES) {
      let kind = min(type_ids[row], params.types - 1u);
      channels[i] += types[params.base_types + kind * params.stride_types_row + channel * params.stride_types_dim];
    }
    out[place + channel * params.strides_out.w] = channels[i];
  }
}

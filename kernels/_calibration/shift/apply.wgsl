// Puts a shift into the output: what is there times its factor, parts times theirs, and what shift.wgsl has added up. Rows that nothing
// happens to are not written. A thread has a vec4 of a row.
import package::_shared::workgroup_index::workgroup_index;
import package::softmax::params::{ VALUE_DIM, VALUE_DIM4, params };
import package::softmax::tensors::{ out, row_out, store_out };
import super::masses::HAS_PART;
import super::operations::{ operation_word, shift };
import super::row_state::{
  AT_FACTORS, AT_SUM, HAS_AFTER, HAS_BEFORE, IN_PARTS, SHIFTED, UNTOUCHED, row_state, state_place,
};

const THREADS: u32 = 64u;

/// [batches, tokens_q, heads, VALUE_DIM] output over the recipients, over the keys before and after them, stored as the output is.
@if(vec4 && !half_q) @group(0) @binding(21) var<storage, read> part: array<vec4f>;
@if(vec4 && half_q) @group(0) @binding(21) var<storage, read> part: array<vec2u>;
@if(!vec4 && !half_q) @group(0) @binding(21) var<storage, read> part: array<f32>;
@if(!vec4 && half_q) @group(0) @binding(21) var<storage, read> part: array<u32>;
@if(vec4 && !half_q) @group(0) @binding(22) var<storage, read> part_before: array<vec4f>;
@if(vec4 && half_q) @group(0) @binding(22) var<storage, read> part_before: array<vec2u>;
@if(!vec4 && !half_q) @group(0) @binding(22) var<storage, read> part_before: array<f32>;
@if(!vec4 && half_q) @group(0) @binding(22) var<storage, read> part_before: array<u32>;
@if(vec4 && !half_q) @group(0) @binding(23) var<storage, read> part_after: array<vec4f>;
@if(vec4 && half_q) @group(0) @binding(23) var<storage, read> part_after: array<vec2u>;
@if(!vec4 && !half_q) @group(0) @binding(23) var<storage, read> part_after: array<f32>;
@if(!vec4 && half_q) @group(0) @binding(23) var<storage, read> part_after: array<u32>;

@if(vec4 && !half_q) fn load_out(row: u32, c: u32) -> vec4f { return out[row / 4u + c]; }
@if(vec4 && half_q) fn load_out(row: u32, c: u32) -> vec4f { return unpacked(out[row / 4u + c]); }
@if(!vec4) fn load_out(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    channels[i] = out_element(row + (4u * c + i) * params.strides_out.w);
  }
  return channels;
}
@if(!vec4 && !half_q) fn out_element(place: u32) -> f32 { return out[place]; }
@if(!vec4 && half_q) fn out_element(place: u32) -> f32 {
  return unpack2x16float(atomicLoad(&out[place / 2u]))[place % 2u];
}

@if(vec4 && half_q) fn unpacked(words: vec2u) -> vec4f {
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}

// Rows of parts lie side by side.
@if(vec4 && !half_q) fn load_part(row: u32, c: u32) -> vec4f { return part[row / 4u + c]; }
@if(vec4 && half_q) fn load_part(row: u32, c: u32) -> vec4f { return unpacked(part[row / 4u + c]); }
@if(!vec4) fn load_part(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    channels[i] = part_element(row + 4u * c + i);
  }
  return channels;
}
@if(!vec4 && !half_q) fn part_element(place: u32) -> f32 { return part[place]; }
@if(!vec4 && half_q) fn part_element(place: u32) -> f32 { return unpack2x16float(part[place / 2u])[place % 2u]; }

@if(vec4 && !half_q) fn load_before(row: u32, c: u32) -> vec4f { return part_before[row / 4u + c]; }
@if(vec4 && half_q) fn load_before(row: u32, c: u32) -> vec4f { return unpacked(part_before[row / 4u + c]); }
@if(!vec4) fn load_before(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    channels[i] = before_element(row + 4u * c + i);
  }
  return channels;
}
@if(!vec4 && !half_q) fn before_element(place: u32) -> f32 { return part_before[place]; }
@if(!vec4 && half_q) fn before_element(place: u32) -> f32 { return unpack2x16float(part_before[place / 2u])[place % 2u]; }

@if(vec4 && !half_q) fn load_after(row: u32, c: u32) -> vec4f { return part_after[row / 4u + c]; }
@if(vec4 && half_q) fn load_after(row: u32, c: u32) -> vec4f { return unpacked(part_after[row / 4u + c]); }
@if(!vec4) fn load_after(row: u32, c: u32) -> vec4f {
  var channels = vec4f();
  for (var i = 0u; i < min(4u, VALUE_DIM - 4u * c); i++) {
    channels[i] = after_element(row + 4u * c + i);
  }
  return channels;
}
@if(!vec4 && !half_q) fn after_element(place: u32) -> f32 { return part_after[place]; }
@if(!vec4 && half_q) fn after_element(place: u32) -> f32 { return unpack2x16float(part_after[place / 2u])[place % 2u]; }

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let group = params.first_group + workgroup_index(group_id, group_counts);
  let index = group * THREADS + thread;
  if (group >= params.first_group + params.groups || index >= shift.operations * params.tokens_q * VALUE_DIM4) {
    return;
  }
  let column = index % VALUE_DIM4;
  let token = index / VALUE_DIM4 % params.tokens_q;
  let operation = index / (VALUE_DIM4 * params.tokens_q);
  let place = state_place(operation, token);
  let factors = row_state[place + AT_FACTORS];
  if (factors.w == UNTOUCHED) {
    return;
  }
  let batch = operation_word(operation, 0u);
  let head = operation_word(operation, 1u);
  let row = row_out(batch, token, head);
  let part_row = ((batch * params.tokens_q + token) * params.heads + head) * VALUE_DIM;
  var value = vec4f();
  if (IN_PARTS) {
    if (HAS_BEFORE) {
      value += factors.x * load_before(part_row, column);
    }
    if (HAS_AFTER) {
      value += factors.z * load_after(part_row, column);
    }
  } else {
    value = factors.x * load_out(row, column);
  }
  if (HAS_PART) {
    value += factors.y * load_part(part_row, column);
  }
  if (factors.w == SHIFTED) {
    value += row_state[place + AT_SUM + column];
  }
  store_out(row, column, value);
}

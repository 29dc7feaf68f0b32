// What is carried from one call to the next, as `state.ts` describes it: (maximum, sum, 0, 0), then the weighted values.
import package::_shared::online_softmax::NO_KEY;
import super::params::params;

const HAS_STATE: bool = false;

@group(0) @binding(7) var<storage, read> state: array<vec4f>;

fn state_vec4(head: u32, element: u32) -> vec4f {
  if (HAS_STATE) {
    let place = head / params.heads * params.strides_state.x + head % params.heads * params.strides_state.z;
    return state[(params.base_state + place) / 4u + element];
  }
  return vec4f();
}

/// (maximum, sum) before the first token. A sum of zero says that there was no key: every other one has its largest weight, 1, in it.
fn entering(head: u32) -> vec2f {
  let carried = state_vec4(head, 0u).xy;
  return select(carried, vec2f(NO_KEY, 0.0), carried.y == 0.0);
}

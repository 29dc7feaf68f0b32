// What one pass writes: a statistic of all batch entries, tokens and groups of heads.
import package::softmax::params::terms;
import super::sweep_params::sweep;

struct OutputParams {
  /// [batch, tokens, groups, values], in elements
  strides: vec4u,
  base: u32,
  tokens: u32,
  /// Numbers of a token.
  values: u32,
  /// Which of the sums: the first of them.
  sum: u32,
}

@group(0) @binding(16) var<uniform> output: OutputParams;
@group(0) @binding(17) var<storage, read_write> result: array<f32>;

/// Whose number a thread finds.
struct Place {
  batch: u32,
  token: u32,
  group: u32,
  value: u32,
}

/// index = value + values (token + tokens (group + groups batch))
fn place_of(index: u32) -> Place {
  let token = index / output.values;
  let group = token / output.tokens;
  return Place(group / sweep.groups, token % output.tokens, group % sweep.groups, index % output.values);
}

fn store(place: Place, value: f32) {
  result[output.base + dot(vec4u(place.batch, place.token, place.group, place.value), output.strides)] = value;
}

/// The heads of a group: places in the list of swept heads, [x, y) of the list behind the groups' offsets.
fn group_range(group: u32) -> vec2u {
  return vec2u(terms[sweep.groups_at + group], terms[sweep.groups_at + group + 1u]);
}

/// The swept (batch entry, head) pair of a group's n-th head.
fn pair_of(batch: u32, n: u32) -> u32 {
  return batch * sweep.heads + terms[sweep.groups_at + sweep.groups + 1u + n];
}

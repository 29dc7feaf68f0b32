import super::params::{ HEAD_DIM4, VALUE_DIM4, params };

// What the passes hand to each other, per entry, head and agent.

/// [entry, head, agent, HEAD_DIM4]
@group(0) @binding(5) var<storage, read> agents: array<vec4f>;

/// [entry, head, agent, split, VALUE_DIM4]: weighted sums of values, relative to the split's own maximum.
@group(0) @binding(6) var<storage, read_write> partial_out: array<vec4f>;

/// [entry, head, agent, split]: the split's (max, sum of weights).
@group(0) @binding(7) var<storage, read_write> partial_state: array<vec2f>;

fn agent_place(entry: u32, head: u32, agent: u32) -> u32 {
  return (entry * params.heads + head) * params.agents + agent;
}

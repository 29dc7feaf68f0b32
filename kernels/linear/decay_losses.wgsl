/// Tokens of a block of the serial form.
const SPAN = 16u;

struct Decay {
  /// λ - 1 and λ^SPAN - 1 of each head, found in float64, for `decayed.wgsl`.
  losses: array<vec4f, 64>,
  span_losses: array<vec4f, 64>,
}

/// Of at most 256 heads. A uniform, since a state takes the storage bindings that WebGPU has.
@group(0) @binding(12) var<uniform> decay: Decay;

fn decay_loss(head: u32) -> f32 {
  return decay.losses[head / 4u][head % 4u];
}

fn span_loss(head: u32) -> f32 {
  return decay.span_losses[head / 4u][head % 4u];
}

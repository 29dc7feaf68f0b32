struct Decay {
  rates: array<vec4f, 64>,
}

/// Rates of at most 256 heads. A uniform, since a state takes the storage bindings that WebGPU has.
@group(0) @binding(12) var<uniform> decay: Decay;

fn decay_rate(head: u32) -> f32 {
  return decay.rates[head / 4u][head % 4u];
}

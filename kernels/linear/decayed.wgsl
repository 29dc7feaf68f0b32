/// λ state + added, for loss = λ - 1. Near 1 an f32 factor would be off by 6e-8 every time, which adds up over a sequence, and loss
/// times the state might round to nothing by itself; far from 1 the difference would cancel instead.
fn decayed(state: vec4f, loss: f32, added: vec4f) -> vec4f {
  return select(state + (loss * state + added), (1.0 + loss) * state + added, loss < -0.5);
}

// Whether a gate says that its head is active. By its bits: a gate that is NaN is not 0, whatever a driver makes of comparing it.

fn is_active_gate(gate: f32) -> bool {
  return (bitcast<u32>(gate) << 1u) != 0u;
}

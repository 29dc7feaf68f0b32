// The load-balance loss: E² times the mean over routed heads of (mean probability) · (share of tokens that took the head). One
// thread, since there are as few sums as heads.
import super::router_params::{ params, routed_heads };

/// [batch, routed heads] sum of probabilities, number of tokens that took the head
@group(0) @binding(1) var<storage, read> shares: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(1)
fn main() {
  let routed = routed_heads();
  let rows = f32(params.batches * params.tokens);
  var sum = 0.0;
  for (var head = 0u; head < routed; head++) {
    var share = vec2f();
    for (var batch = 0u; batch < params.batches; batch++) {
      share += shares[batch * routed + head];
    }
    sum += (share.x / rows) * (share.y / rows);
  }
  loss[params.base_loss] = f32(routed) * sum;
}

import package::softmax::params::params;

/// Heads of a layer at most.
const TOTALS: u32 = 1024u;

var<workgroup> totals: array<f32, TOTALS>;

/// Whether a head is among the floor(heads / 2), or the one, with the largest totals; of equals the first.
fn in_top_half(head: u32) -> bool {
  let own = totals[head];
  var before = 0u;
  for (var other = 0u; other < params.heads; other++) {
    let value = totals[other];
    before += select(0u, 1u, value > own || (value == own && other < head));
  }
  return before < max(params.heads / 2u, 1u);
}

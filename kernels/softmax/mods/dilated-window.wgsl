// Dilated sliding window (Longformer, arXiv 2004.05150, section 3.1): every `dilation`-th key, so many of them on each side.
import super::super::visibility::query_position;

const left: i32 = 1;
const right: i32 = 1;
const dilation: i32 = 2;

fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  let distance = i32(j) - query_position(b, i);
  return (distance >= -left * dilation) & (distance <= right * dilation) & (distance % dilation == 0);
}

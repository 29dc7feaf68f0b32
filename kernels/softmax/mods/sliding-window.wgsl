// Sliding window (Longformer, arXiv 2004.05150, section 3.1): so many keys before the query's position and after it.
import super::super::visibility::query_position;

const left: i32 = 1;
const right: i32 = 1;

fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  let distance = i32(j) - query_position(b, i);
  return (distance >= -left) & (distance <= right);
}

// Keys up to the query's own position.
import super::super::visibility::query_position;

fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  return i32(j) <= query_position(b, i);
}

// Neighbourhood attention in two dimensions (arXiv 2204.07143, section 3.1): each pixel of a height x width image sees the
// kernel_height x kernel_width pixels around it; at the borders the window stays inside and keeps its size.
import super::super::visibility::{ first_key, query_position };

const height: i32 = 1;
const width: i32 = 1;
const kernel_height: i32 = 1;
const kernel_width: i32 = 1;

fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool {
  let position = query_position(b, i) - i32(first_key(b));
  let key = i32(j) - i32(first_key(b));
  let top = clamp(position / width - kernel_height / 2, 0, height - kernel_height);
  let left = clamp(position % width - kernel_width / 2, 0, width - kernel_width);
  let y = key / width - top;
  let x = key % width - left;
  return (y >= 0) & (y < kernel_height) & (x >= 0) & (x < kernel_width);
}

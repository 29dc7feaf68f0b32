/// Whether an entry is a window of an image rather than an image.
const WINDOWED: bool = false;

/// (batch, token) in the tensors of one token of an entry. `windows`: windows side by side, rows and columns of a window, columns
/// of the whole image.
fn tensor_place(entry: u32, token: u32, windows_per_image: u32, windows: vec4u) -> vec2u {
  if (!WINDOWED) {
    return vec2u(entry, token);
  }
  let window = entry % windows_per_image;
  let row = window / windows.x * windows.y + token / windows.z;
  let column = window % windows.x * windows.z + token % windows.z;
  return vec2u(entry / windows_per_image, row * windows.w + column);
}

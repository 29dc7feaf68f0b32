// Images to rows of patches, or back: the same numbers in another order. A thread owns one.
import package::_shared::workgroup_index::workgroup_index;

const THREADS = 64u;
const TO_IMAGE: bool = false;
/// Channels of a pixel are neighbours in a patch; otherwise its pixels of a channel.
const CHANNELS_LAST: bool = false;

struct Params {
  // [batch, tokens, heads, dim] and [batch, channels, height, width], in elements
  strides_patches: vec4u,
  strides_image: vec4u,
  base_patches: u32,
  base_image: u32,
  count: u32,
  patch_size: u32,
  channels: u32,
  /// Patches of an image, and of a row of them.
  tokens: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group_id: vec3u,
  @builtin(num_workgroups) group_counts: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroup_index(group_id, group_counts) * THREADS + thread;
  if (index >= params.count) {
    return;
  }
  let pixels = params.patch_size * params.patch_size;
  let place = index % (pixels * params.channels);
  let token = index / (pixels * params.channels) % params.tokens;
  let batch = index / (pixels * params.channels) / params.tokens;
  var channel = place / pixels;
  var pixel = place % pixels;
  if (CHANNELS_LAST) {
    channel = place % params.channels;
    pixel = place / params.channels;
  }
  let y = token / params.columns * params.patch_size + pixel / params.patch_size;
  let column = token % params.columns * params.patch_size + pixel % params.patch_size;
  let in_patches = params.base_patches + dot(vec4u(batch, token, 0u, place), params.strides_patches);
  let in_image = params.base_image + dot(vec4u(batch, channel, y, column), params.strides_image);
  if (TO_IMAGE) {
    out[in_image] = x[in_patches];
  } else {
    out[in_patches] = x[in_image];
  }
}

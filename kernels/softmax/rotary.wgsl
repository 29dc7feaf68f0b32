import package::_shared::turns::cos_sin;
import super::params::{ HEAD_DIM4, rotary_rest, rotary_step };
import super::tensors::{ load_k, load_q };

// Rotary position embedding (RoFormer, arXiv 2104.09864, equation 34) on the way from memory to the registers.

const ROTARY: bool = false;
/// Channels that are rotated, from the first; even.
const ROTARY_DIM: u32 = 64u;
/// Pairs are neighbours (2n, 2n + 1) instead of half a width apart (n, n + ROTARY_DIM / 2).
const ROTARY_INTERLEAVED: bool = false;

/// (cos, sin) of a pair at a position. The product wraps at whole turns, so the angle is exact at any position.
fn rotation(position: i32, pair: u32) -> vec2f {
  let wrapped = bitcast<i32>(bitcast<u32>(position) * rotary_step(pair));
  return cos_sin(f32(wrapped) / 4294967296.0 + f32(position) * rotary_rest(pair));
}

fn partner(channel: u32) -> u32 {
  if (ROTARY_INTERLEAVED) {
    return channel ^ 1u;
  }
  return select(channel - ROTARY_DIM / 2u, channel + ROTARY_DIM / 2u, channel < ROTARY_DIM / 2u);
}

fn rotated(own: f32, other: f32, position: i32, channel: u32) -> f32 {
  if (channel >= ROTARY_DIM) {
    return own;
  }
  let first = select(channel < ROTARY_DIM / 2u, channel % 2u == 0u, ROTARY_INTERLEAVED);
  let turn = rotation(position, select(min(channel, partner(channel)), channel / 2u, ROTARY_INTERLEAVED));
  return own * turn.x + select(other, -other, first) * turn.y;
}

/// `load_q` and `load_k` of a row whose token stands at `position`.
fn query_channels(row: u32, c: u32, position: i32) -> vec4f {
  var channels = load_q(row, c);
  if (ROTARY) {
    let own = channels;
    for (var n = 0u; n < 4u; n++) {
      let other = partner(4u * c + n);
      channels[n] = rotated(own[n], load_q(row, min(other / 4u, HEAD_DIM4 - 1u))[other % 4u], position, 4u * c + n);
    }
  }
  return channels;
}

fn key_channels(row: u32, c: u32, position: i32) -> vec4f {
  var channels = load_k(row, c);
  if (ROTARY) {
    let own = channels;
    for (var n = 0u; n < 4u; n++) {
      let other = partner(4u * c + n);
      channels[n] = rotated(own[n], load_k(row, min(other / 4u, HEAD_DIM4 - 1u))[other % 4u], position, 4u * c + n);
    }
  }
  return channels;
}

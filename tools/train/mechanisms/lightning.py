"""Linear attention with decay in its block form (Lightning Attention, arXiv 2401.04658), and what stands around it."""

import math

import torch

EPS = 1e-6  # of SRMSNorm
LRPE_BASE = 10_000.0


def slope_list(heads):
    """Decay rate per head before the layer factor: ALiBi's rule."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    return slopes + [2 ** (-8 * (2 * head + 1) / (2 * power)) for head in range(heads - power)]


def layer_factor(layer, layers):
    """The last layer keeps 1e-5: practically no decay."""
    return 1 - (layer / (layers - 1) if layers > 1 else 0) + 1e-5


def lightning_attention(q, k, v, slopes=None, state=None, block=64):
    """
    o_t = sum over j <= t of exp(-s (t - j)) (q_t . k_j) v_j, no scale, no normaliser.

    q, k [B, H, N, D], v [B, H, N, E], slopes [H] >= 0. Returns out [B, H, N, E] and the state [B, H, D, E] after it.
    Decay enters as differences inside a block only: exp(s c) over a whole sequence overflows.
    """
    heads, tokens, width = q.shape[1:]
    rates = (torch.zeros(heads) if slopes is None else slopes).to(q.dtype)[:, None]
    state = q.new_zeros(*q.shape[:2], width, v.shape[-1]) if state is None else state
    outputs = []
    for start in range(0, tokens, block):
        rows = slice(start, min(start + block, tokens))
        size = rows.stop - rows.start
        index = torch.arange(size, dtype=q.dtype)
        distance = index[:, None] - index
        decay = torch.exp(-rates[..., None] * distance.clamp(min=0)) * (distance >= 0)  # [H, size, size]
        into = torch.exp(-rates * (index + 1))[..., None]  # how far the state has decayed when row r reads it
        left = torch.exp(-rates * (size - 1 - index))[..., None]  # what is left of row r at the end of the block
        qb, kb, vb = q[:, :, rows], k[:, :, rows], v[:, :, rows]
        outputs.append((qb @ kb.transpose(-1, -2) * decay) @ vb + (qb * into) @ state)
        state = torch.exp(-rates * size)[..., None] * state + (kb * left).transpose(-1, -2) @ vb
    return torch.cat(outputs, 2), state


def srms_norm(x, eps=EPS):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def lrpe_table(tokens, heads, width):
    """(cos, sin), each [H, tokens, D]: one frequency per channel of all heads together."""
    channels = heads * width
    rates = LRPE_BASE ** (-2 * torch.arange(channels, dtype=torch.float64) / channels)
    angles = torch.arange(tokens, dtype=torch.float64)[None, :, None] * rates.view(heads, 1, width)
    return angles.cos().float(), angles.sin().float()


def lrpe(x, table):
    """x [B, H, N, D] to [B, H, N, 2 D]."""
    cos, sin = (part[:, : x.shape[2]] for part in table)
    return torch.cat((x * cos, x * sin), -1)

"""Softmax attention with grouped heads, and rotary embedding in its half-split form."""

import math

import torch


def softmax_attention(q, k, v, causal, scale=None, block=128):
    """
    q [B, Hq, Nq, D], k and v [B, Hkv, Nk, D]; query head h reads key head h // (Hq / Hkv). Returns [B, Hq, Nq, Dv].

    Causal attention goes through the queries in blocks, so that keys behind a block cost nothing. Query row i stands
    at key position i + Nk - Nq.
    """
    batch, heads, queries, width = q.shape
    groups, keys = k.shape[1], k.shape[2]
    shared = heads // groups
    scale = width**-0.5 if scale is None else scale
    q = (q * scale).view(batch, groups, shared, queries, width)
    transposed = k.transpose(-1, -2)
    outputs = []
    for start in range(0, queries, block if causal else queries):
        end = min(start + block, queries) if causal else queries
        visible = end + keys - queries if causal else keys
        rows = q[:, :, :, start:end].reshape(batch, groups, shared * (end - start), width)
        scores = rows @ transposed[..., :visible]
        if causal:
            mask = torch.full((end - start, visible), -math.inf, dtype=q.dtype).triu(start + keys - queries + 1)
            scores = (scores.view(batch, groups, shared, end - start, visible) + mask).view_as(scores)
        out = torch.softmax(scores, -1) @ v[:, :, :visible]
        outputs.append(out.view(batch, groups, shared, end - start, v.shape[-1]))
    return torch.cat(outputs, 3).reshape(batch, heads, queries, v.shape[-1])


def rotary_table(tokens, width, theta=10_000.0):
    """(cos, sin), each [tokens, width / 2], computed in float64."""
    rates = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(tokens, dtype=torch.float64)[:, None] * rates
    return angles.cos().float(), angles.sin().float()


def rotate(x, table):
    """Rotates channel c with channel c + D/2 of x [B, H, N, D]; token i stands at position i."""
    cos, sin = (part[: x.shape[2]] for part in table)
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)

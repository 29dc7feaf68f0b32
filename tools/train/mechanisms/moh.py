"""Mixture-of-Head attention (arXiv 2410.11842): a gate per token and head, before the output projection."""

import torch
from torch import nn

# The authors' weight of the load-balance loss.
BALANCE = 0.01


class HeadRouter(nn.Module):
    """
    The authors' learned two-stage router. Heads 0 ... shared - 1 are always on, `topk` of the others are.

    Gates average about 1, so a trained multi-head attention can be converted.
    """

    def __init__(self, width, heads, shared, topk):
        super().__init__()
        self.heads, self.shared, self.topk = heads, shared, topk
        routed = heads - shared
        # One shared head has the constant gate 1; without routed heads there is nothing to balance.
        self.among_shared = nn.Linear(width, shared, bias=False) if shared > 1 else None
        self.among_routed = nn.Linear(width, routed, bias=False) if topk > 0 else None
        self.balance = nn.Linear(width, 2, bias=False) if shared > 0 and topk > 0 else None

    def forward(self, x):
        """x [..., C] to gates [..., H], and the load-balance loss of the routed heads."""
        gates = []
        auxiliary = x.new_zeros(())
        if self.shared > 1:
            gates.append(self.shared * torch.softmax(self.among_shared(x), -1))
        elif self.shared == 1:
            gates.append(x.new_ones(*x.shape[:-1], 1))
        if self.topk > 0:
            probability = torch.softmax(self.among_routed(x), -1)
            chosen = torch.zeros_like(probability).scatter_(-1, first_largest(probability, self.topk), 1.0)
            kept = probability * chosen
            gates.append(self.topk * kept / kept.sum(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).eps))
            routed = self.heads - self.shared
            share = probability.reshape(-1, routed).mean(0) * chosen.reshape(-1, routed).mean(0)
            auxiliary = routed**2 * share.mean()
        if self.balance is not None:
            alpha = 2 * torch.softmax(self.balance(x), -1)
            gates = [alpha[..., :1] * gates[0], alpha[..., 1:] * gates[1]]
        return torch.cat(gates, -1), auxiliary


def first_largest(x, count):
    """Indices of the `count` largest along the last axis; among equals the lowest index, which topk leaves open."""
    return torch.sort(x.detach(), dim=-1, descending=True, stable=True).indices[..., :count]

"""Flow-Attention (arXiv 2202.06258), causal and not, with the logistic function as feature map."""

import torch

from mechanisms.lightning import lightning_attention

EPS = 1e-6  # added to both factors of every flow


def flow_attention(q, k, v, causal, clamp=1.0, eps=EPS, extra=0.0):
    """
    q [B, H, L, D], k [B, H, S, D], v [B, H, S, E] to [B, H, L, E]. Causal needs L = S.

    `clamp` bounds the conserved source flow (None: no bound); `extra` is added to every flow, as the authors' vision
    code does.
    """
    sinks, sources = torch.sigmoid(q), torch.sigmoid(k)
    return (causal_flow if causal else full_flow)(sinks, sources, v, clamp, eps, extra)


def flow(x, total, eps, extra):
    return ((x + eps) * (total + eps)).sum(-1, keepdim=True) + extra


def bounded(x, clamp):
    return x if clamp is None else x.clamp(-clamp, clamp)


def full_flow(q, k, v, clamp, eps, extra):
    sinks, sources = q.shape[2], k.shape[2]
    incoming = flow(q, k.sum(2, keepdim=True), eps, extra)
    outgoing = flow(k, q.sum(2, keepdim=True), eps, extra)
    conserved_sink = flow(q, (k / outgoing).sum(2, keepdim=True), eps, extra)
    conserved_source = bounded(flow(k, (q / incoming).sum(2, keepdim=True), eps, extra), clamp)
    competition = sources * torch.softmax(conserved_source, 2)
    allocation = torch.sigmoid(conserved_sink * (sinks / sources))
    return allocation * ((q / incoming) @ (k.transpose(-1, -2) @ (competition * v)))


def causal_flow(q, k, v, clamp, eps, extra):
    seen = torch.arange(1, q.shape[2] + 1, dtype=q.dtype)[:, None]
    incoming = flow(q, k.cumsum(2), eps, extra)
    outgoing = flow(k, q.cumsum(2), eps, extra)
    conserved_sink = flow(q, (k * (seen / outgoing)).cumsum(2), eps, extra) / seen
    conserved_source = bounded(flow(k, (q * (seen / incoming)).cumsum(2), eps, extra) / seen, clamp)
    weight = conserved_source.exp()
    competition = seen * weight / weight.cumsum(2)
    # A cumulative sum of k vᵀ read by q is linear attention without decay: the block form never holds [N, D, E].
    out, _ = lightning_attention(q / incoming, k, competition * v)
    return torch.sigmoid(conserved_sink) * out

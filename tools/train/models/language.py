"""Language models of one size: softmax and MoH as in Llama, lightning as in TransNormerLLM, flow as in Flowformer."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from mechanisms import lightning
from mechanisms.flow import flow_attention
from mechanisms.moh import HeadRouter
from mechanisms.softmax import rotary_table, rotate, softmax_attention

NORM_EPS = 1e-6
SINUSOID_BASE = 10_000.0


class RMSNorm(nn.Module):
    def __init__(self, width, eps=NORM_EPS):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return lightning.srms_norm(x, self.eps) * self.weight


class SRMSNorm(nn.Module):
    def forward(self, x):
        return lightning.srms_norm(x)


def split_heads(x, heads):
    """[B, N, H D] to [B, H, N, D], contiguous because batched products want it."""
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2).contiguous()


def merge_heads(x):
    return x.transpose(1, 2).flatten(2)


class SoftmaxMixer(nn.Module):
    """Grouped-head causal attention with rotary embedding; with a router its heads are gated (MoH)."""

    def __init__(self, config, layer):
        super().__init__()
        width, self.heads, self.kv_heads = config["width"], config["heads"], config["kv_heads"]
        self.head_width = width // self.heads
        self.qkv = nn.Linear(width, (self.heads + 2 * self.kv_heads) * self.head_width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.table = rotary_table(config["context"], self.head_width, config["rope_theta"])
        routed = config["mechanism"] == "moh"
        self.router = HeadRouter(width, self.heads, config["shared_heads"], config["routed_topk"]) if routed else None

    def forward(self, x, trace):
        kv_width = self.kv_heads * self.head_width
        q, k, v = self.qkv(x).split((x.shape[-1], kv_width, kv_width), -1)
        q = rotate(split_heads(q, self.heads), self.table)
        k = rotate(split_heads(k, self.kv_heads), self.table)
        v = split_heads(v, self.kv_heads)
        out = softmax_attention(q, k, v, causal=True)
        if trace is not None:
            trace.append({"q": q, "k": k, "v": v, "attention": out})
        auxiliary = 0.0
        if self.router is not None:
            gates, auxiliary = self.router(x)
            out = out * gates.transpose(1, 2)[..., None]
            if trace is not None:
                trace[-1]["gates"] = gates
        return self.out(merge_heads(out)), auxiliary


class LightningMixer(nn.Module):
    """TransNormerLLM's: SiLU on q and k, LRPE in the first layer, decay by head and layer, SRMSNorm, a linear gate u."""

    def __init__(self, config, layer):
        super().__init__()
        width, self.heads = config["width"], config["heads"]
        self.qkvu = nn.Linear(width, 4 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        factor = lightning.layer_factor(layer, config["layers"])
        self.slopes = torch.tensor(lightning.slope_list(self.heads), dtype=torch.float64) * factor
        self.slopes = self.slopes.float()
        first = layer in config["lrpe_layers"]
        self.table = lightning.lrpe_table(config["context"], self.heads, width // self.heads) if first else None

    def forward(self, x, trace):
        q, k, v, u = self.qkvu(x).chunk(4, -1)
        q, k = (split_heads(F.silu(part), self.heads) for part in (q, k))
        v = split_heads(v, self.heads)
        if self.table is not None:
            q, k = lightning.lrpe(q, self.table), lightning.lrpe(k, self.table)
        out, _ = lightning.lightning_attention(q, k, v, self.slopes)
        if trace is not None:
            trace.append({"q": q, "k": k, "v": v, "attention": out})
        return self.out(lightning.srms_norm(merge_heads(out)) * u), 0.0


class FlowMixer(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.heads, self.clamp = config["heads"], config["clamp"]
        self.qkv = nn.Linear(config["width"], 3 * config["width"])
        self.out = nn.Linear(config["width"], config["width"])

    def forward(self, x, trace):
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))
        out = flow_attention(q, k, v, causal=True, clamp=self.clamp)
        if trace is not None:
            trace.append({"q": q, "k": k, "v": v, "attention": out})
        return self.out(merge_heads(out)), 0.0


class GatedChannels(nn.Module):
    """SwiGLU; without the activation it is TransNormerLLM's SGLU."""

    def __init__(self, width, hidden, activation):
        super().__init__()
        self.up = nn.Linear(width, 2 * hidden, bias=False)  # gate | value
        self.down = nn.Linear(hidden, width, bias=False)
        self.activation = activation

    def forward(self, x):
        gate, value = self.up(x).chunk(2, -1)
        return self.down((F.silu(gate) if self.activation else gate) * value)


MIXERS = {"softmax": SoftmaxMixer, "moh": SoftmaxMixer, "lightning": LightningMixer, "flow": FlowMixer}


class Block(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        width, is_lightning = config["width"], config["mechanism"] == "lightning"
        norm = SRMSNorm if is_lightning else lambda: RMSNorm(width)
        self.norm1, self.norm2 = norm(), norm()
        self.mixer = MIXERS[config["mechanism"]](config, layer)
        self.channels = GatedChannels(width, config["hidden"], activation=not is_lightning)
        self.dropout = nn.Dropout(config["dropout"])

    def forward(self, x, trace):
        mixed, auxiliary = self.mixer(self.norm1(x), trace)
        x = x + self.dropout(mixed)
        x = x + self.dropout(self.channels(self.norm2(x)))
        if trace is not None:
            trace[-1]["residual"] = x
        return x, auxiliary


class LanguageModel(nn.Module):
    """Token ids [B, N] to logits [B, N, vocabulary]; the first id is the begin token."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, layers = config["width"], config["layers"]
        self.embedding = nn.Embedding(config["vocabulary"], width)  # tied: also the output matrix
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(layers))
        self.norm = SRMSNorm() if config["mechanism"] == "lightning" else RMSNorm(width)
        self.dropout = nn.Dropout(config["dropout"])
        self.positions = sinusoids(config["context"], width) if config["mechanism"] == "flow" else None
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                depth = (2 * layers) ** -0.5 if name.endswith(("out.weight", "down.weight")) else 1.0
                nn.init.normal_(parameter, std=0.02 * depth)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids, trace=None):
        """Returns logits and the router's auxiliary loss; a list as `trace` gets one dict of tensors per layer."""
        x = self.embedding(ids)
        if self.config["embedding_scale"] != 1:
            x = x * self.config["embedding_scale"]
        if self.positions is not None:
            x = x + self.positions[: ids.shape[1]]
        x = self.dropout(x)
        auxiliary = 0.0
        for block in self.blocks:
            x, part = block(x, trace)
            auxiliary = auxiliary + part / len(self.blocks)
        return F.linear(self.norm(x), self.embedding.weight), auxiliary


def sinusoids(tokens, width):
    """[tokens, width]: sines, then cosines. Flow-Attention by itself knows order only through its running sums."""
    rates = SINUSOID_BASE ** (-torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angles = torch.arange(tokens, dtype=torch.float64)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), -1).float() / math.sqrt(width)

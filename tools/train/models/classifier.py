"""Image classifiers of one DeiT size: patches and a class token, with softmax, agent, flow or MoH attention."""

import torch
from torch import nn
from torch.nn import functional as F

from mechanisms.agent import AgentAttention
from mechanisms.flow import flow_attention
from mechanisms.moh import HeadRouter
from mechanisms.softmax import softmax_attention
from models.language import merge_heads, split_heads

NORM_EPS = 1e-6


class Attention(nn.Module):
    """qkv and output projections with bias around one of the mechanisms."""

    def __init__(self, config):
        super().__init__()
        width, self.heads, self.mechanism = config["width"], config["heads"], config["mechanism"]
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        side = config["image"] // config["patch"]
        if self.mechanism == "agent":
            self.agent = AgentAttention(self.heads, width // self.heads, config["agents"], (side, side), class_token=True)
        if self.mechanism == "moh":
            self.router = HeadRouter(width, self.heads, config["shared_heads"], config["routed_topk"])
        self.clamp = config.get("clamp")

    def forward(self, x, trace):
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))
        if self.mechanism == "agent":
            out = self.agent(q, k, v)
        elif self.mechanism == "flow":
            out = flow_attention(q, k, v, causal=False, clamp=self.clamp)
        else:
            out = softmax_attention(q, k, v, causal=False)
        if trace is not None:
            trace.append({"q": q, "k": k, "v": v, "attention": out})
        auxiliary = 0.0
        if self.mechanism == "moh":
            gates, auxiliary = self.router(x)
            out = out * gates.transpose(1, 2)[..., None]
            if trace is not None:
                trace[-1]["gates"] = gates
        return self.out(merge_heads(out)), auxiliary


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["width"]
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=NORM_EPS), nn.LayerNorm(width, eps=NORM_EPS)
        self.attention = Attention(config)
        self.up, self.down = nn.Linear(width, config["hidden"]), nn.Linear(config["hidden"], width)
        self.dropout = nn.Dropout(config["dropout"])

    def forward(self, x, trace):
        mixed, auxiliary = self.attention(self.norm1(x), trace)
        x = x + self.dropout(mixed)
        x = x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))
        if trace is not None:
            trace[-1]["residual"] = x
        return x, auxiliary


class Classifier(nn.Module):
    """Images [B, 1, 28, 28] in [-1, 1] to logits [B, classes]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, patch = config["width"], config["patch"]
        self.patches = nn.Linear(patch * patch, width)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.position_embedding = nn.Parameter(torch.empty(1 + (config["image"] // patch) ** 2, width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config["layers"]))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.head = nn.Linear(width, config["classes"])
        self.dropout = nn.Dropout(config["dropout"])
        initialise(self)

    def forward(self, images, trace=None):
        x = self.patches(to_patches(images, self.config["patch"]))
        x = torch.cat((self.class_embedding.expand(len(x), 1, -1), x), 1)
        x = self.dropout(x + self.position_embedding)
        auxiliary = 0.0
        for block in self.blocks:
            x, part = block(x, trace)
            auxiliary = auxiliary + part / len(self.blocks)
        return self.head(self.norm(x[:, 0])), auxiliary


def initialise(model):
    """DeiT's: truncated normal, biases zero. The mechanisms' own parameters keep theirs."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if "embedding" in name:
            nn.init.trunc_normal_(parameter, std=0.02)


def to_patches(images, patch):
    """[B, 1, S, S] to [B, patches, patch * patch], both row by row."""
    batch, side = images.shape[0], images.shape[-1] // patch
    return images.view(batch, side, patch, side, patch).transpose(2, 3).reshape(batch, side * side, patch * patch)


def from_patches(x, patch):
    """The inverse of `to_patches`."""
    batch, side = x.shape[0], int(x.shape[1] ** 0.5)
    return x.view(batch, side, side, patch, patch).transpose(2, 3).reshape(batch, 1, side * patch, side * patch)

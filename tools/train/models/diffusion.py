"""A diffusion transformer (DiT, arXiv 2212.09748) with adaLN-Zero, conditioned on time and class, and its sampler."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from models.classifier import NORM_EPS, Attention, from_patches, initialise, to_patches

TIME_SCALE = 1000
TIME_BASE = 10_000.0
# The sampler's defaults.
STEPS = 50
GUIDANCE = 2.0


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["width"]
        self.attention = Attention(config)
        self.up, self.down = nn.Linear(width, config["hidden"]), nn.Linear(config["hidden"], width)
        self.modulation = nn.Linear(width, 6 * width)

    def forward(self, x, condition, trace):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None].chunk(6, -1)
        mixed, _ = self.attention(normalised(x) * (1 + scale1) + shift1, trace)
        x = x + gate1 * mixed
        hidden = F.gelu(self.up(normalised(x) * (1 + scale2) + shift2))
        x = x + gate2 * self.down(hidden)
        if trace is not None:
            trace[-1]["residual"] = x
        return x


def normalised(x):
    return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)


class DiffusionTransformer(nn.Module):
    """Images [B, 1, 28, 28], times [B] in [0, 1] and labels [B] (`no_label`: none) to velocities [B, 1, 28, 28]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, patch = config["width"], config["patch"]
        self.no_label = config["classes"]
        self.patches = nn.Linear(patch * patch, width)
        self.position_embedding = nn.Parameter(torch.empty((config["image"] // patch) ** 2, width))
        self.label_embedding = nn.Embedding(config["classes"] + 1, width)
        self.time_in, self.time_out = nn.Linear(width, width), nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config["layers"]))
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, patch * patch)
        initialise(self)
        # adaLN-Zero: every block begins as the identity, and the model's first answer is zero.
        for layer in [*(block.modulation for block in self.blocks), self.modulation, self.head]:
            nn.init.zeros_(layer.weight)

    def forward(self, images, time, labels, trace=None):
        x = self.patches(to_patches(images, self.config["patch"])) + self.position_embedding
        features = self.time_out(F.silu(self.time_in(time_features(time, x.shape[-1]))))
        condition = F.silu(features + self.label_embedding(labels))
        for block in self.blocks:
            x = block(x, condition, trace)
        shift, scale = self.modulation(condition)[:, None].chunk(2, -1)
        return from_patches(self.head(normalised(x) * (1 + scale) + shift), self.config["patch"])


def time_features(time, width):
    """[B] to [B, width]: cosines, then sines, of 1000 t at rates from 1 down to 1/10000."""
    half = width // 2
    rates = torch.exp(-math.log(TIME_BASE) * torch.arange(half, dtype=torch.float32) / half)
    angles = TIME_SCALE * time[:, None] * rates
    return torch.cat((angles.cos(), angles.sin()), -1)


@torch.no_grad()
def sample(model, noise, labels, steps=STEPS, guidance=GUIDANCE):
    """Euler steps from noise (time 0) to images (time 1), with classifier-free guidance."""
    x = noise
    none = torch.full_like(labels, model.no_label)
    for step in range(steps):
        time = torch.full((len(x),), step / steps)
        velocity = model(x, time, labels)
        if guidance != 1:
            free = model(x, time, none)
            velocity = free + guidance * (velocity - free)
        x = x + velocity / steps
    return x

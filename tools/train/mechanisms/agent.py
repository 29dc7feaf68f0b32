"""Agent Attention (arXiv 2312.08874) as in Agent-DeiT: queries pooled to a few agents, two softmaxes, a convolution of v."""

import torch
from torch import nn
from torch.nn import functional as F

BIAS_GRID = 7  # rows and columns of the learned biases before they are resized to the image
KERNEL = 3  # of the convolution of v


class AgentAttention(nn.Module):
    """The part between the projections, on an image of `grid` = (rows, columns), with a class token in front or not."""

    def __init__(self, heads, width, agents, grid, class_token):
        super().__init__()
        self.heads, self.grid, self.class_token = heads, grid, class_token
        self.side = int(agents**0.5)
        rows, columns = grid
        # Key side: agents x keys. Query side: queries x agents.
        self.an_bias = nn.Parameter(torch.empty(heads, agents, BIAS_GRID, BIAS_GRID))
        self.na_bias = nn.Parameter(torch.empty(heads, agents, BIAS_GRID, BIAS_GRID))
        self.ah_bias = nn.Parameter(torch.empty(1, heads, agents, rows, 1))
        self.aw_bias = nn.Parameter(torch.empty(1, heads, agents, 1, columns))
        self.ha_bias = nn.Parameter(torch.empty(1, heads, rows, 1, agents))
        self.wa_bias = nn.Parameter(torch.empty(1, heads, 1, columns, agents))
        if class_token:
            self.ac_bias = nn.Parameter(torch.empty(1, heads, agents, 1))
            self.ca_bias = nn.Parameter(torch.empty(1, heads, 1, agents))
        for bias in self.parameters():
            nn.init.trunc_normal_(bias, std=0.02)
        self.dwc = nn.Conv2d(heads * width, heads * width, KERNEL, padding=KERNEL // 2, groups=heads * width)

    def biases(self):
        """B1 [1, H, agents, keys] and B2 [1, H, queries, agents]. They depend on weights alone."""
        resize = dict(size=self.grid, mode="bilinear", align_corners=False)
        first = F.interpolate(self.an_bias, **resize)[None] + self.ah_bias + self.aw_bias
        first = first.flatten(3)
        second = F.interpolate(self.na_bias, **resize)[None].permute(0, 1, 3, 4, 2) + self.ha_bias + self.wa_bias
        second = second.flatten(2, 3)
        if self.class_token:
            first = torch.cat((self.ac_bias, first), 3)
            second = torch.cat((self.ca_bias, second), 2)
        return first, second

    def image(self, x):
        """[B, H, N, D] to [B, H D, rows, columns], without the class token."""
        patches = x[:, :, 1:] if self.class_token else x
        return patches.transpose(2, 3).reshape(x.shape[0], -1, *self.grid)

    def patches(self, image):
        """The inverse of `image`, for any size of image."""
        return image.flatten(2).view(image.shape[0], self.heads, -1, image.shape[2] * image.shape[3]).transpose(2, 3)

    def forward(self, q, k, v):
        scale = q.shape[-1] ** -0.5
        agents = self.patches(F.adaptive_avg_pool2d(self.image(q), self.side))
        first, second = self.biases()
        summary = torch.softmax(agents * scale @ k.transpose(-1, -2) + first, -1) @ v
        out = torch.softmax(q * scale @ agents.transpose(-1, -2) + second, -1) @ summary
        local = self.patches(self.dwc(self.image(v)))
        return out + (F.pad(local, (0, 0, 1, 0)) if self.class_token else local)

"""
Writes test/fixtures/figures.safetensors: what the figures of the exported checkpoints are made of, item by item, for the first
windows of the held-out book and the first test images. A test holds what the GPU computes of the same items against it.

    /usr/bin/python3 tools/train/figure_items.py      export.py does the same
"""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import math

import torch
from torch.nn import functional as F

import bpe
import checkpoint
import corpus
import image_data
import recipes
import safetensors
import text_data
from models.diffusion import sample
from paths import FIXTURES, replace

TOKENS = 768  # a whole context, and one stride more
STRIDE = 256
IMAGES = 32
SAMPLES = 3  # a driver for the CPU takes ten seconds for one


@torch.no_grad()
def window_bits(model, tokens):
    """Bits of the tokens that each window predicts, windows as in evaluate.bits_per_byte."""
    bits, end, context = [], 0, model.config["context"]
    while end < len(tokens):
        first, end = end, min(end + (STRIDE if end else context), len(tokens))
        begin = max(0, end - context)
        logits, _ = model(torch.cat((torch.tensor([bpe.BEGIN_ID]), tokens[begin : end - 1]))[None])
        bits.append(F.cross_entropy(logits[0, first - begin :].double(), tokens[first:end], reduction="sum") / math.log(2))
    return torch.stack(bits)


@torch.no_grad()
def image_logits(model, pixels):
    return model(image_data.normalise(pixels))[0]


def class_samples(model):
    """Noise and what becomes of it by the sampler's defaults, an image of each of the first classes."""
    noise = torch.randn(SAMPLES, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    return noise, sample(model, noise, torch.arange(SAMPLES))


def arrays():
    tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
    tokens = torch.tensor(tokenizer.encode(corpus.held_out_text())[:TOKENS])
    pixels, labels = (part[:IMAGES] for part in image_data.load("t10k"))
    found = {"ids": tokens.int().numpy(), "images": pixels, "labels": labels.astype("u1")}
    for name in filter(checkpoint.exported, recipes.RECIPES):
        task = recipes.RECIPES[name]["task"]
        if task == "language":
            found[f"{name}.bits"] = window_bits(checkpoint.load(name), tokens).numpy()
        elif task == "classifier":
            found[f"{name}.logits"] = image_logits(checkpoint.load(name), pixels).numpy()
        else:
            found[f"{name}.noise"], found[f"{name}.samples"] = (part.numpy() for part in class_samples(checkpoint.load(name)))
    return found


def write():
    note = f"bits of windows of the first {TOKENS} tokens; logits of the first {IMAGES} test images; samples of the first {SAMPLES} classes"
    metadata = {"note": note, "licence": f"the images are from {checkpoint.FASHION_MNIST}"}
    found = arrays()
    replace(FIXTURES / "figures.safetensors", lambda partial: safetensors.write(partial, found, metadata))


if __name__ == "__main__":
    write()

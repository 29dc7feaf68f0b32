"""The figures of the finished checkpoints."""

import math

import torch
from torch.nn import functional as F

import bpe
import corpus
import image_data
import text_data


@torch.no_grad()
def bits_per_byte(model, limit=None, stride=256):
    """
    Bits per byte of UTF-8 on the held-out book with a sliding context: each window opens with the begin token, moves by
    `stride` tokens, and counts its last `stride` predictions (the first window counts all of its own).
    """
    tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
    ids = tokenizer.encode(corpus.held_out_text())[:limit]
    size = len(tokenizer.decode(ids).encode("utf-8"))
    tokens = torch.tensor(ids)
    context = model.config["context"]
    total = 0.0
    end = 0
    while end < len(tokens):
        first = end
        end = min(end + (stride if end else context), len(tokens))
        begin = max(0, end - context)
        inputs = torch.cat((torch.tensor([bpe.BEGIN_ID]), tokens[begin : end - 1]))
        logits, _ = model(inputs[None])
        total += F.cross_entropy(logits[0, first - begin :], tokens[first:end], reduction="sum").item()
    return {"bits_per_byte": total / math.log(2) / size, "tokens": len(ids), "bytes": size}


@torch.no_grad()
def accuracy(model):
    """Share of the 10,000 test images that the classifier names rightly."""
    images, labels = image_data.load("t10k")
    inputs = image_data.normalise(images)
    chosen = torch.cat([model(part)[0].argmax(-1) for part in inputs.split(250)])
    return (chosen == torch.from_numpy(labels)).sum().item() / len(labels)

"""
Where one language model is behind another: bits a token on the held-out book, behind the 20,000 tokens that are watched in
training, by the token's position and by whether its window had it before.

    /usr/bin/python3 tools/train/compare.py lm-softmax lm-lightning
"""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import argparse
import math

import torch
from torch.nn import functional as F

import bpe
import checkpoint
import corpus
import text_data

WATCHED = 20_000
WINDOWS = 24
EDGES = [0, 8, 32, 64, 128, 256, 512]
KINDS = ["neither seen before", "token seen before", "behind the same token before"]


def windows(context):
    """[windows, context], each of its own part of the book."""
    tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
    ids = tokenizer.encode(corpus.held_out_text())[WATCHED : WATCHED + WINDOWS * context]
    return torch.tensor(ids).view(WINDOWS, context)


@torch.no_grad()
def bits(model, texts):
    """Of each token, [windows, context], from a begin token on."""
    begin = torch.full((len(texts), 1), bpe.BEGIN_ID)
    inputs = torch.cat((begin, texts[:, :-1]), 1)
    rows = [F.cross_entropy(model(row[None])[0][0], text, reduction="none") for row, text in zip(inputs, texts)]
    return torch.stack(rows) / math.log(2)


def novelty(texts):
    """Of each token, which of KINDS it is."""
    kinds = torch.zeros_like(texts)
    for row, text in enumerate(texts.tolist()):
        seen, pairs, before = set(), set(), None
        for place, token in enumerate(text):
            kinds[row, place] = 2 if (before, token) in pairs else 1 if token in seen else 0
            seen.add(token)
            pairs.add((before, token))
            before = token
    return kinds


def line(name, chosen, first, second):
    a, b = first[chosen].mean().item(), second[chosen].mean().item()
    print(f"{name:>30} {int(chosen.sum()):>7} {a:>8.3f} {b - a:>+8.3f} {100 * (b / a - 1):>+6.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", help="the model to compare with")
    parser.add_argument("second")
    arguments = parser.parse_args()
    models = [checkpoint.load(name).eval() for name in (arguments.first, arguments.second)]
    texts = windows(min(model.config["context"] for model in models))
    first, second = (bits(model, texts) for model in models)
    print(f"{'':>30} {'tokens':>7} {'bits':>8} {'more':>8}")
    places = torch.arange(texts.shape[1]).expand_as(texts)
    for begin, end in zip(EDGES, EDGES[1:]):
        line(f"positions {begin} to {end - 1}", (places >= begin) & (places < end), first, second)
    kinds = novelty(texts)
    for number, kind in enumerate(KINDS):
        line(kind, kinds == number, first, second)


if __name__ == "__main__":
    main()

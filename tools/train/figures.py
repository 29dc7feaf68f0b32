"""The final figures of an exported checkpoint, by its task."""

import torch

import bpe
import corpus
import text_data
from evaluate import accuracy, bits_per_byte
from models.diffusion import GUIDANCE, STEPS, sample

PROMPT = "It was a fine morning, and"
SINK = 0.3


def language(model):
    figures = bits_per_byte(model)
    tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
    figures["sample"] = {"prompt": PROMPT, "temperature": 0.8, "seed": 1, "text": write(model, tokenizer, PROMPT)}
    if model.config["mechanism"] in ("softmax", "moh"):
        ids = tokenizer.encode(corpus.held_out_text())
        figures["sinks"] = sinks(model, ids)
        figures["sinking_queries"] = sinking_queries(model, ids)
    return figures


@torch.no_grad()
def write(model, tokenizer, prompt, count=150, temperature=0.8, seed=1):
    generator = torch.Generator().manual_seed(seed)
    ids = [bpe.BEGIN_ID, *tokenizer.encode(prompt)]
    for _ in range(count):
        logits, _ = model(torch.tensor([ids]))
        logits[..., bpe.BEGIN_ID] = float("-inf")  # the begin token opens, nothing else
        chances = torch.softmax(logits[0, -1] / temperature, -1)
        ids.append(torch.multinomial(chances, 1, generator=generator).item())
    return tokenizer.decode(ids)


def sinks(model, ids, tokens=64, windows=64):
    """
    Sink heads after Gu et al. (arXiv 2410.10781): m0 is what a query gives the first token, here the begin token, averaged
    over all queries of a window, and over windows; a head whose m0 exceeds SINK is a sink head. `rate`: the share of such
    heads. A head that looks at all it sees alike has an m0 of `uniform`.
    """
    first = [layer.mean((0, 2)) for layer in begin_weights(model, ids, tokens, windows)]
    means = torch.stack(first)
    count = (means > SINK).sum().item()
    uniform = sum(1 / seen for seen in range(1, tokens + 1)) / tokens
    setting = {"tokens": tokens, "windows": windows, "threshold": SINK, "uniform": round(uniform, 4)}
    rounded = [[round(mean, 4) for mean in row] for row in means.tolist()]
    return {**setting, "m0": rounded, "sink_heads": count, "heads": means.numel(), "rate": count / means.numel()}


def sinking_queries(model, ids, windows=16, skip=16):
    """
    [layers][heads]: of the queries of whole contexts, beyond the first `skip`, the share that
    give the begin token more than SINK.
    """
    tokens = model.config["context"]
    layers = begin_weights(model, ids, tokens, windows)
    sinking = [(layer[:, :, skip:] > SINK).float().mean((0, 2)) for layer in layers]
    shares = [[round(share, 4) for share in layer.tolist()] for layer in sinking]
    return {"tokens": tokens, "windows": windows, "skip": skip, "threshold": SINK, "shares": shares}


@torch.no_grad()
def begin_weights(model, ids, tokens, windows):
    """Per layer [windows, heads, tokens]: each query's attention to the begin token, which opens every window of `ids`."""
    text = torch.tensor(ids[: windows * (tokens - 1)]).view(windows, -1)
    trace = []
    model(torch.cat((torch.full((windows, 1), bpe.BEGIN_ID), text), 1), trace)
    hidden = torch.full((tokens, tokens), float("-inf")).triu(1)
    layers = []
    for layer in trace:
        q = layer["q"]
        k = layer["k"].repeat_interleave(q.shape[1] // layer["k"].shape[1], 1)
        scores = (rows @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5 for rows, keys in zip(q, k))
        layers.append(torch.stack([torch.softmax(score + hidden, -1)[..., 0] for score in scores]))
    return layers


def classifier(model):
    return {"test_accuracy": accuracy(model), "images": 10_000}


def diffusion(model, judge, per_class=100, steps=STEPS, guidance=GUIDANCE, seed=1):
    """Share of conditional samples that the softmax classifier names by their class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(10).repeat_interleave(per_class)
    noise = torch.randn(len(labels), 1, 28, 28, generator=generator)
    right = []
    for part_noise, part_labels in zip(noise.split(100), labels.split(100)):
        images = sample(model, part_noise, part_labels, steps, guidance).clamp(-1, 1)
        with torch.no_grad():
            right.append(judge(images)[0].argmax(-1) == part_labels)
    by_class = torch.cat(right).view(10, per_class).float().mean(1)
    shares = [round(share, 4) for share in by_class.tolist()]
    recognised = {"recognised": torch.cat(right).sum().item() / len(labels), "by_class": shares}
    return {**recognised, "samples": len(labels), "steps": steps, "guidance": guidance, "seed": seed, "judge": "image-softmax"}

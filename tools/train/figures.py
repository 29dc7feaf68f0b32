"""The final figures of an exported checkpoint, by its task."""

import torch

import bpe
import corpus
import text_data
from evaluate import accuracy, bits_per_byte
from models.diffusion import sample

PROMPT = "It was a fine morning, and"
SINK = 0.3  # a query counts as sinking when the begin token takes more than this of its attention


def language(model):
    figures = bits_per_byte(model)
    tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
    figures["sample"] = {"prompt": PROMPT, "temperature": 0.8, "seed": 1, "text": write(model, tokenizer, PROMPT)}
    if model.config["mechanism"] in ("softmax", "moh"):
        figures["sink_rate"] = sink_rates(model, tokenizer)
    return figures


@torch.no_grad()
def write(model, tokenizer, prompt, count=150, temperature=0.8, seed=1):
    generator = torch.Generator().manual_seed(seed)
    ids = [0, *tokenizer.encode(prompt)]
    for _ in range(count):
        logits, _ = model(torch.tensor([ids]))
        logits[..., 0] = float("-inf")  # the begin token opens, nothing else
        chances = torch.softmax(logits[0, -1] / temperature, -1)
        ids.append(torch.multinomial(chances, 1, generator=generator).item())
    return tokenizer.decode(ids)


@torch.no_grad()
def sink_rates(model, tokenizer, windows=16, skip=16):
    """[layers][heads]: share of the queries, beyond the first `skip`, that give the begin token more than SINK."""
    context = model.config["context"]
    ids = torch.tensor(tokenizer.encode(corpus.held_out_text())[: windows * (context - 1)]).view(windows, -1)
    trace = []
    model(torch.cat((torch.zeros(windows, 1, dtype=torch.int64), ids), 1), trace)
    rates = []
    for layer in trace:
        q = layer["q"]
        k = layer["k"].repeat_interleave(q.shape[1] // layer["k"].shape[1], 1)
        hidden = torch.full((context, context), float("-inf")).triu(1)
        first = torch.stack(
            [torch.softmax(rows @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5 + hidden, -1)[..., 0] for rows, keys in zip(q, k)]
        )
        rates.append([round(rate, 4) for rate in (first[:, :, skip:] > SINK).float().mean((0, 2)).tolist()])
    return {"threshold": SINK, "rates": rates}


def classifier(model):
    return {"test_accuracy": accuracy(model), "images": 10_000}


def diffusion(model, judge, per_class=100, steps=50, guidance=2.0, seed=1):
    """Share of conditional samples that the softmax classifier names by their class; and what it sees without a class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(10).repeat_interleave(per_class)
    noise = torch.randn(len(labels), 1, 28, 28, generator=generator)
    right = []
    for part_noise, part_labels in zip(noise.split(100), labels.split(100)):
        images = sample(model, part_noise, part_labels, steps, guidance).clamp(-1, 1)
        with torch.no_grad():
            right.append(judge(images)[0].argmax(-1) == part_labels)
    by_class = torch.cat(right).view(10, per_class).float().mean(1)
    recognised = {"recognised": by_class.mean().item(), "by_class": [round(share, 4) for share in by_class.tolist()]}
    return {**recognised, "samples": len(labels), "steps": steps, "guidance": guidance, "seed": seed, "judge": "image-softmax"}

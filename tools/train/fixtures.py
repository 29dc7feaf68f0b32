"""test/fixtures/NAME.safetensors: what the exported model computes on a small input, in f32, layer by layer."""

import torch

import bpe
import checkpoint
import corpus
import image_data
import safetensors
import text_data
from paths import FIXTURES

TOKENS = 80  # more than a block of 64, so that linear attention has carried a state
LOGITS = 8  # of the last positions
KEPT = ("q", "k", "v", "attention", "gates", "residual")
NOTE = "heads are [B, H, N, D]; q, k after position embedding and activation; attention before gates and projection"


def write(name, task, model):
    inputs = example(task)
    arrays = {key: value.numpy() for key, value in {**inputs, **outputs(task, model, inputs)}.items()}
    metadata = {"model": name, "note": NOTE}
    if task == "language":
        metadata["note"] += f"; logits of the last {LOGITS} positions"
    else:
        metadata["licence"] = f"the image is from {checkpoint.FASHION_MNIST}"
    FIXTURES.mkdir(parents=True, exist_ok=True)
    safetensors.write(FIXTURES / f"{name}.safetensors", arrays, metadata)


def example(task):
    """The input: a begin token and text of the held-out book, or the first test image."""
    if task == "language":
        tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
        ids = tokenizer.encode(corpus.held_out_text()[400:1200])[: TOKENS - 1]
        return {"ids": torch.tensor([[bpe.BEGIN_ID, *ids]]).int()}
    images, labels = image_data.load("t10k")
    image = image_data.normalise(images[:1])
    if task == "classifier":
        return {"image": image}
    return {"image": image, "time": torch.tensor([0.5]), "label": torch.from_numpy(labels[:1]).int()}


@torch.no_grad()
def outputs(task, model, inputs):
    """What the model makes of an input, and what its first and last layers saw and gave."""
    trace = []
    if task == "language":
        tensors = {"logits": model(inputs["ids"].long(), trace)[0][:, -LOGITS:].contiguous()}
    elif task == "classifier":
        tensors = {"logits": model(inputs["image"], trace)[0]}
    else:
        tensors = {"velocity": model(inputs["image"], inputs["time"], inputs["label"].long(), trace)}
    for index in (0, len(trace) - 1):
        tensors.update({f"layers.{index}.{key}": trace[index][key] for key in KEPT if key in trace[index]})
    return tensors

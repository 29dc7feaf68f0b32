"""test/fixtures/NAME.safetensors: what the exported model computes on a small input, in f32, layer by layer."""

import torch

import bpe
import corpus
import image_data
import safetensors
import text_data
from paths import FIXTURES

TOKENS = 24
KEPT = ("q", "k", "v", "attention", "gates", "residual")


@torch.no_grad()
def write(name, task, model):
    trace = []
    if task == "language":
        tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
        ids = torch.tensor([[0, *tokenizer.encode(corpus.held_out_text()[400:800])[: TOKENS - 1]]])
        tensors = {"ids": ids.int(), "logits": model(ids, trace)[0]}
    else:
        images, labels = image_data.load("t10k")
        image = image_data.normalise(images[:1])
        if task == "classifier":
            tensors = {"image": image, "logits": model(image, trace)[0]}
        else:
            time, label = torch.tensor([0.5]), torch.from_numpy(labels[:1])
            tensors = {"image": image, "time": time, "label": label.int()}
            tensors["velocity"] = model(image, time, label, trace)
    for index in (0, len(trace) - 1):
        tensors.update({f"layers.{index}.{key}": trace[index][key] for key in KEPT if key in trace[index]})
    arrays = {key: value.numpy() for key, value in tensors.items()}
    # q and k as attention gets them: rotated, or with SiLU and LRPE; attention before gates, norm and projection.
    note = "heads are [B, H, N, D]; q, k after position embedding and activation; attention before gates and projection"
    safetensors.write(FIXTURES / f"{name}.safetensors", arrays, {"model": name, "note": note})

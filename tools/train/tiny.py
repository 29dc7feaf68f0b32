"""
Tiny models of every mechanism and task with random weights, in this package's own format, and what they compute: for the runtime's
tests, which need no training. Writes test/fixtures/native/NAME/; with --check it only compares.

    /usr/bin/python3 tools/train/tiny.py [--check]
"""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import argparse
import json
import tempfile
from pathlib import Path

import torch

import configuration
import safetensors
from checkpoint import BUILDERS
from models.diffusion import sample
from paths import FIXTURES

NATIVE = FIXTURES / "native"
NOTE = "random weights, never trained"
SEED = 20

LANGUAGE = {"vocabulary": 40, "width": 24, "layers": 2, "heads": 3, "kv_heads": 3, "hidden": 20, "context": 48}
LANGUAGE.update(dropout=0.0, embedding_scale=1)
IMAGE = {"image": 12, "patch": 3, "classes": 10, "width": 24, "layers": 2, "heads": 3, "hidden": 40, "dropout": 0.0}
# All but the first layer of a lightning model have no position encoding.
LIGHTNING = {**LANGUAGE, "mechanism": "lightning", "lrpe_layers": [0], "embedding_scale": 24**0.5}
MOH = {"mechanism": "moh", "heads": 6, "shared_heads": 2, "routed_topk": 2}

MODELS = {
    "lm-lightning": ("language", LIGHTNING),
    "lm-flow": ("language", {**LANGUAGE, "mechanism": "flow", "clamp": 1.0}),
    "lm-moh": ("language", {**LANGUAGE, **MOH, "kv_heads": 2, "rope_theta": 10_000.0}),
    "image-agent": ("classifier", {**IMAGE, "mechanism": "agent", "agents": 4}),
    "image-flow": ("classifier", {**IMAGE, "mechanism": "flow", "clamp": 1.0}),
    "image-moh": ("classifier", {**IMAGE, **MOH}),
    "dit": ("diffusion", {**IMAGE, "mechanism": "softmax"}),
}


def model_of(task, config):
    """Weights large enough that every part counts, those that training begins at zero among them."""
    torch.manual_seed(SEED)
    model = BUILDERS[task](config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.3 if parameter.dim() > 1 else 0.1)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
    return model


@torch.no_grad()
def expected(task, config, model):
    generator = torch.Generator().manual_seed(SEED)
    if task == "language":
        ids = torch.randint(config["vocabulary"], (1, 21), generator=generator)
        return {"ids": ids.int(), "logits": model(ids)[0]}
    images = torch.randn(2, 1, config["image"], config["image"], generator=generator)
    if task == "classifier":
        return {"images": images, "logits": model(images)[0]}
    labels = torch.tensor([3, config["classes"]])
    velocity = model(images, torch.tensor([0.3, 0.3]), labels)
    samples = sample(model, images, labels, steps=3, guidance=2.5)
    return {"images": images, "labels": labels.int(), "velocity": velocity, "samples": samples}


def files(task, config):
    """{name: bytes} of a model's folder."""
    model = model_of(task, config)
    described = {**configuration.describe({"task": task, "config": config}), "torch_dtype": "float32"}
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    outputs = {name: tensor.numpy() for name, tensor in expected(task, config, model).items()}
    return {
        "config.json": (json.dumps(described, indent=1) + "\n").encode(),
        "model.safetensors": packed(arrays),
        "expected.safetensors": packed(outputs),
    }


def packed(arrays):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        safetensors.write(path, arrays, {"note": NOTE})
        return path.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    differing = []
    for name, (task, config) in MODELS.items():
        folder = NATIVE / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files(task, config).items():
            if not check:
                (folder / file).write_bytes(content)
            elif file != "expected.safetensors" and (folder / file).read_bytes() != content:
                differing.append(f"{name}/{file}")
    print("\n".join(differing) or ("all as written" if check else f"{len(MODELS)} models in {NATIVE}"))
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())

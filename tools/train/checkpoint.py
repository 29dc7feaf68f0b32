"""Reads and writes exported checkpoints: demo/public/models/NAME. README.md describes the format."""

import json

import numpy as np
import torch

import configuration
import recipes
import safetensors
from models.classifier import Classifier
from models.diffusion import DiffusionTransformer
from models.language import LanguageModel
from paths import MODELS, replace

BUILDERS = {"language": LanguageModel, "classifier": Classifier, "diffusion": DiffusionTransformer}

FASHION_MNIST = "Fashion-MNIST, Copyright (c) 2017 Zalando SE, https://tech.zalando.com, under the MIT licence"
FASHION_MNIST_LICENCE = f"""Trained on {FASHION_MNIST}:

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
# Everything that is trained on was published before 1930 or is under the MIT licence.
LICENCES = {
    "language": "Trained on Moby-Dick (Herman Melville) and five novels of Jane Austen, all in the public domain.\n",
    "classifier": FASHION_MNIST_LICENCE,
    "diffusion": FASHION_MNIST_LICENCE,
}


def save_weights(name, recipe, model):
    """model.safetensors in f16, and what describes it."""
    weights = {key: value.numpy().astype(np.float16) for key, value in model.state_dict().items()}
    metadata = {"format": "pt", "name": name}
    replace(MODELS / name / "model.safetensors", lambda partial: safetensors.write(partial, weights, metadata))
    save_description(name, recipe)


def save_description(name, recipe):
    """config.json and the licence note."""
    write_json(MODELS / name / "config.json", configuration.describe(recipe))
    note = f"{LICENCES[recipe['task']]}\nThe weights are under the licence of this repository (MIT, see LICENSE).\n"
    replace(MODELS / name / "LICENSE.txt", lambda partial: partial.write_text(note, encoding="utf-8"))


def exported(name):
    """Whether the repository holds this checkpoint, trained to the end by the recipe as it stands now."""
    path = MODELS / name / "training.json"
    if not path.exists():
        return False
    training = read_json(path)
    recipe = recipes.find(name)
    return training["recipe"] == recipe and training["steps"] >= recipe["steps"]


def load(name):
    """The model as a user gets it: f16 weights, computing in f32."""
    config = read_json(MODELS / name / "config.json")
    model = BUILDERS[config.pop("task")]({"dropout": 0.0, **config})
    weights, _ = safetensors.read(MODELS / name / "model.safetensors")
    model.load_state_dict({key: torch.from_numpy(value.astype(np.float32)) for key, value in weights.items()})
    return model.eval()


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path, value):
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    replace(path, lambda partial: partial.write_text(text, encoding="utf-8"))

"""Reads and writes exported checkpoints: demo/public/models/NAME."""

import json

import numpy as np
import torch

import recipes
import safetensors
from models.classifier import Classifier
from models.diffusion import DiffusionTransformer
from models.language import LanguageModel
from paths import MODELS, replace

BUILDERS = {"language": LanguageModel, "classifier": Classifier, "diffusion": DiffusionTransformer}

# Everything that is trained on was published before 1930 or is under the MIT licence.
LICENCES = {
    "language": "Trained on Moby-Dick (Herman Melville) and five novels of Jane Austen, all in the public domain.",
    "classifier": "Trained on Fashion-MNIST (Zalando SE, MIT licence).",
    "diffusion": "Trained on Fashion-MNIST (Zalando SE, MIT licence).",
}


def save_weights(name, recipe, model):
    """config.json, model.safetensors in f16, and the licence note."""
    folder = MODELS / name
    weights = {key: value.numpy().astype(np.float16) for key, value in model.state_dict().items()}
    metadata = {"format": "pt", "name": name}
    replace(folder / "model.safetensors", lambda partial: safetensors.write(partial, weights, metadata))
    config = {"task": recipe["task"], **recipe["config"]}
    write_json(folder / "config.json", config)
    note = f"{LICENCES[recipe['task']]}\nThe weights are under the licence of this repository (MIT, see LICENSE).\n"
    replace(folder / "LICENSE.txt", lambda partial: partial.write_text(note, encoding="utf-8"))


def exported(name):
    """Whether the repository holds this checkpoint, trained to the end by the recipe as it stands now."""
    path = MODELS / name / "training.json"
    if not path.exists():
        return False
    training = json.loads(path.read_text(encoding="utf-8"))
    recipe = recipes.find(name)
    return training["recipe"] == recipe and training["steps"] >= recipe["steps"]


def load(name):
    """The model as a user gets it: f16 weights, computing in f32."""
    config = json.loads((MODELS / name / "config.json").read_text(encoding="utf-8"))
    model = BUILDERS[config.pop("task")](config)
    weights, _ = safetensors.read(MODELS / name / "model.safetensors")
    model.load_state_dict({key: torch.from_numpy(value.astype(np.float32)) for key, value in weights.items()})
    return model.eval()


def write_json(path, value):
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    replace(path, lambda partial: partial.write_text(text, encoding="utf-8"))

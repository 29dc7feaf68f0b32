"""
Writes test/fixtures/native-checkpoints.json: config.json and the shapes of all tensors of every checkpoint, trained or not, so
that loaders are held to the format before there are weights.

    /usr/bin/python3 shapes.py
"""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import json

import checkpoint
import configuration
import recipes
from paths import FIXTURES, replace

PATH = FIXTURES / "native-checkpoints.json"


def describe(recipe):
    model = checkpoint.BUILDERS[recipe["task"]]({"dropout": 0.0, **recipe["config"]})
    tensors = {name: list(value.shape) for name, value in model.state_dict().items()}
    return {"config": configuration.describe(recipe), "tensors": tensors}


def text():
    """A line a checkpoint."""
    lines = [f"{json.dumps(name)}: {json.dumps(describe(recipe))}" for name, recipe in recipes.RECIPES.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    replace(PATH, lambda partial: partial.write_text(text(), encoding="utf-8"))

"""Writes docs/checkpoints.md from the training.json of every exported checkpoint: no figure is typed by hand."""

import json

import recipes
from paths import MODELS, REPOSITORY

PAGE = REPOSITORY / "docs" / "checkpoints.md"
INTRODUCTION = """\
# Checkpoints

Small models that were trained for this repository, one per mechanism. Weights are in `demo/public/models/NAME`, what they
compute on a small input in `test/fixtures/NAME.safetensors`, and how to train them again in
[tools/train](../tools/train/README.md). This page is written by `tools/train/report.py` from each model's `training.json`;
figures are of the exported f16 weights.
"""


def written(task):
    """{name: training.json} of the exported checkpoints, in the order of the recipes."""
    names = [name for name, recipe in recipes.RECIPES.items() if recipe["task"] == task]
    paths = {name: MODELS / name / "training.json" for name in names}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def table(header, rows):
    if not rows:
        return "None is trained yet.\n"
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def spread(name):
    """The figures of three seeds at the short budget."""
    path = MODELS / "short-runs.json"
    runs = json.loads(path.read_text(encoding="utf-8")).get(name, {}) if path.exists() else {}
    return ", ".join(f"{run['figure']:.4f}" for run in runs.values()) or "-"


def language():
    models = written("language")
    twin = models.get("lm-softmax", {}).get("figures", {}).get("bits_per_byte")
    rows = []
    for name, model in models.items():
        bits = model["figures"]["bits_per_byte"]
        behind = f"{100 * (bits / twin - 1):+.1f} %" if twin else "-"
        row = [name, f"{model['parameters']:,}", f"{bits:.4f}", behind, spread(name), model["steps"], model["wall_minutes"]]
        rows.append(row)
    header = ["model", "parameters", "bits per byte", "to softmax", "three seeds, short", "steps", "minutes"]
    text = "## Language models\n\nBits per UTF-8 byte on Persuasion, which no model was trained on; context 512, moved by 256.\n\n"
    text += table(header, rows)
    sinks = models.get("lm-softmax", {}).get("figures", {}).get("sink_rate")
    if sinks:
        heads = [f"head {head}" for head in range(len(sinks["rates"][0]))]
        rates = [[layer, *(f"{100 * rate:.0f} %" for rate in row)] for layer, row in enumerate(sinks["rates"])]
        text += f"\nSink rate of lm-softmax: share of queries that give the begin token more than {sinks['threshold']} of their attention.\n\n"
        text += table(["layer", *heads], rates)
    for name, model in models.items():
        sample = model["figures"]["sample"]["text"].replace("\n", " ")
        text += f"\n{name} writes, at temperature {model['figures']['sample']['temperature']}:\n\n> {sample}\n"
    return text


def classifiers():
    models = written("classifier")
    twin = models.get("image-softmax", {}).get("figures", {}).get("test_accuracy")
    rows = []
    for name, model in models.items():
        right = model["figures"]["test_accuracy"]
        behind = f"{100 * (right - twin):+.2f} points" if twin else "-"
        row = [name, f"{model['parameters']:,}", f"{100 * right:.2f} %", behind, spread(name), model["steps"], model["wall_minutes"]]
        rows.append(row)
    header = ["model", "parameters", "test accuracy", "to softmax", "three seeds, short", "steps", "minutes"]
    return "## Image classifiers\n\nAccuracy on all 10,000 test images of Fashion-MNIST.\n\n" + table(header, rows)


def diffusion():
    rows = []
    for name, model in written("diffusion").items():
        figures = model["figures"]
        recognised = f"{100 * figures['recognised']:.1f} % of {figures['samples']}"
        setting = f"{figures['steps']} steps, guidance {figures['guidance']}"
        rows.append([name, f"{model['parameters']:,}", recognised, setting, model["steps"], model["wall_minutes"]])
    header = ["model", "parameters", "recognised by image-softmax", "sampler", "steps", "minutes"]
    return "## Diffusion transformer\n\nClass-conditional, flow matching, on Fashion-MNIST.\n\n" + table(header, rows)


def write():
    PAGE.write_text("\n".join([INTRODUCTION, language(), classifiers(), diffusion()]), encoding="utf-8")


if __name__ == "__main__":
    write()

"""
Exports finished checkpoints to demo/public/models and test/fixtures, evaluates the exported files, and rewrites
docs/checkpoints.md and test/fixtures/figures.safetensors.

    /usr/bin/python3 tools/train/export.py [NAME ...]           default: every finished one, and the short runs
    /usr/bin/python3 tools/train/export.py --refresh [NAME ...] all but the weights anew, from the exported weights; needs no
                                                                training state (default: every exported one)
"""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import argparse

import torch

import checkpoint
import figure_items
import figures
import fixtures
import provenance
import recipes
import report
import seeds
import text_data
from evaluate import accuracy, bits_per_byte
from loop import parameters
from paths import CACHE, MODELS, SHORT_RUNS, replace
from train import open_run

MEGABYTE = 10**6
LIMIT = 4 * MEGABYTE
# What the short runs are compared by.
FIGURE = {
    "language": lambda model: bits_per_byte(model, limit=seeds.TOKENS)["bits_per_byte"],
    "classifier": accuracy,
}


def finished(name):
    """Whether this machine holds the state of the whole run, by the recipe as it stands now."""
    path = CACHE / name / "state.pt"
    if not path.exists():
        return False
    state, recipe = torch.load(path), recipes.find(name)
    return state["recipe"] == recipe and state["step"] >= recipe["steps"]


def export(name):
    run = open_run(name)
    if not run.done:
        raise SystemExit(f"{name} is at step {run.step} of {run.recipe['steps']}: train it first")
    # The last file to be written says that all of them belong together.
    (MODELS / name / "training.json").unlink(missing_ok=True)
    checkpoint.save_weights(name, run.recipe, run.final_model())
    if run.recipe["task"] == "language":
        source = text_data.tokenizer_file().read_bytes()
        replace(MODELS / name / "tokenizer.json", lambda partial: partial.write_bytes(source))
    known = {"steps": run.step, "wall_minutes": round(run.seconds / 60, 1), "loss_curve": run.curve, "watched": run.monitor}
    describe(name, run.recipe, provenance.describe(run.recipe["task"]), known)


def refresh(name):
    """Weights, tokenizer, recipe, data, curve and minutes stay; all that follows from them is made again."""
    was = checkpoint.read_json(MODELS / name / "training.json")
    task = was["recipe"]["task"]
    # The tokenizer is a function of the training texts.
    if task == "language" and (MODELS / name / "tokenizer.json").read_bytes() != text_data.tokenizer_file().read_bytes():
        raise SystemExit(f"{name} was trained on other texts than are here now: export it from its training state")
    checkpoint.save_description(name, was["recipe"])
    known = {key: was[key] for key in ("steps", "wall_minutes", "loss_curve", "watched")}
    describe(name, was["recipe"], was.get("data") or provenance.describe(task), known)


def describe(name, recipe, data, known):
    """Fixture and training.json of exported weights; `known`: steps, minutes, curve and what was watched."""
    task, folder = recipe["task"], MODELS / name
    model = checkpoint.load(name)
    judge = [checkpoint.load("image-softmax")] if task == "diffusion" else []
    training = {
        "name": name,
        "parameters": parameters(model),
        "seed": recipe["seed"],
        "recipe": recipe,
        "data": data,
        "steps": known["steps"],
        "wall_minutes": known["wall_minutes"],
        "threads": one_thread.THREADS,
        "figures": getattr(figures, task)(model, *judge),
        "loss_curve": known["loss_curve"],
        "watched": known["watched"],
    }
    fixtures.write(name, task, model)
    checkpoint.write_json(folder / "training.json", training)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{name}: {size / MEGABYTE:.2f} MB", flush=True)
    if size > LIMIT:
        raise SystemExit(f"{name} is larger than {LIMIT / MEGABYTE:.0f} MB")


def export_short_runs():
    """Final figures of the short runs of three seeds, which are not exported themselves: of their weights in f16."""
    known = checkpoint.read_json(SHORT_RUNS) if SHORT_RUNS.exists() else {}
    for name in recipes.short_names():
        base, _, seed = name.partition("@")
        recipe = recipes.find(name)
        if known.get(base, {}).get(seed, {}).get("recipe") == recipe or not finished(name):
            continue
        run = open_run(name)
        figure = FIGURE[recipe["task"]](run.final_model().half().float())
        known.setdefault(base, {})[seed] = {"figure": figure, "steps": run.step, "recipe": recipe}
    if known:
        checkpoint.write_json(SHORT_RUNS, known)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(recipes.RECIPES))
    parser.add_argument("--refresh", action="store_true", help="keep the exported weights, make the rest again from them")
    parser.add_argument("--short-runs", action="store_true", help="only the short runs")
    arguments = parser.parse_args()
    if arguments.refresh:
        for name in arguments.names or [name for name in recipes.RECIPES if checkpoint.exported(name)]:
            refresh(name)
    elif not arguments.short_runs:
        for name in arguments.names or [name for name in recipes.RECIPES if finished(name)]:
            export(name)
    if arguments.short_runs or not (arguments.names or arguments.refresh):
        export_short_runs()
    report.write()
    figure_items.write()


if __name__ == "__main__":
    main()

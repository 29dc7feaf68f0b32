"""
Exports finished checkpoints to demo/public/models and test/fixtures, evaluates the exported files, and rewrites
docs/checkpoints.md: /usr/bin/python3 tools/train/export.py [NAME ...]   (default: every finished one)
"""

import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402

import checkpoint  # noqa: E402
import figures  # noqa: E402
import fixtures  # noqa: E402
import recipes  # noqa: E402
import report  # noqa: E402
import text_data  # noqa: E402
from loop import parameters  # noqa: E402
from paths import CACHE, MODELS, replace  # noqa: E402
from train import open_run  # noqa: E402

MEGABYTE = 10**6
LIMIT = 4 * MEGABYTE


def finished(name):
    path = CACHE / name / "state.pt"
    return path.exists() and torch.load(path)["step"] >= recipes.find(name)["steps"]


def export(name):
    run = open_run(name)
    if not run.done:
        raise SystemExit(f"{name} is at step {run.step} of {run.recipe['steps']}: train it first")
    task, folder = run.recipe["task"], MODELS / name
    checkpoint.save_weights(name, run.recipe, run.final_model())
    if task == "language":
        source = text_data.tokenizer_file().read_bytes()
        replace(folder / "tokenizer.json", lambda partial: partial.write_bytes(source))
    model = checkpoint.load(name)
    judge = [checkpoint.load("image-softmax")] if task == "diffusion" else []
    checkpoint.write_json(
        folder / "training.json",
        {
            "name": name,
            "parameters": parameters(model),
            "recipe": run.recipe,
            "steps": run.step,
            "wall_minutes": round(run.seconds / 60, 1),
            "threads": 1,
            "figures": getattr(figures, task)(model, *judge),
            "loss_curve": run.curve,
            "watched": run.monitor,
        },
    )
    fixtures.write(name, task, model)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{name}: {size / MEGABYTE:.2f} MB")
    if size > LIMIT:
        raise SystemExit(f"{name} is larger than {LIMIT / MEGABYTE:.0f} MB")


def export_short_runs():
    """Final figures of the short runs of three seeds, which are not exported themselves."""
    path = MODELS / "short-runs.json"
    figures_by_name = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in recipes.short_names():
        if not finished(name):
            continue
        run = open_run(name)
        base, _, seed = name.partition("@")
        found = getattr(figures, run.recipe["task"])(run.final_model())
        value = found.get("bits_per_byte", found.get("test_accuracy"))
        figures_by_name.setdefault(base, {})[seed] = {"figure": value, "steps": run.step}
    if figures_by_name:
        checkpoint.write_json(path, figures_by_name)


def main():
    names = sys.argv[1:]
    for name in names or [name for name in recipes.RECIPES if finished(name)]:
        export(name)
    if not names:
        export_short_runs()
    report.write()


if __name__ == "__main__":
    main()

"""
Trains one checkpoint, from where its last run stopped: /usr/bin/python3 tools/train/train.py NAME [--minutes N]

Exit code 0: finished. 3: stopped (by --minutes or a signal) with its state saved; the same command goes on.
"""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import argparse
import fcntl
import math
import sys

import checkpoint
import recipes
from loop import Run
from paths import CACHE
from tasks import TASKS


def open_run(name):
    """The run with its saved state, or at its start. A recipe that continues another one starts from what that one shipped."""
    recipe = recipes.find(name)
    initial = []
    if recipe["from"] is not None:
        if not checkpoint.exported(recipe["from"]):
            raise SystemExit(f"{name} continues {recipe['from']}, which is not exported: train and export that first")
        initial = [checkpoint.load(recipe["from"]).state_dict()]
    return Run(name, recipe, TASKS[recipe["task"]](recipe, *initial))


def lock(name):
    """Held until this process ends: two processes that train one checkpoint would overwrite each other's state."""
    path = CACHE / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"{name} is being trained by another process") from None
    return file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help=", ".join(recipes.ALL))
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so long (default: when finished)")
    arguments = parser.parse_args()
    held = lock(arguments.name)
    run = open_run(arguments.name)
    finished = run.train(arguments.minutes)
    print(f"{run.name}: step {run.step} of {run.recipe['steps']}, {run.seconds / 60:.0f} minutes in all", flush=True)
    held.close()
    return 0 if finished else 3


if __name__ == "__main__":
    sys.exit(main())

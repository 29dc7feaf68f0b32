"""
Trains and exports the named recipes and what they need first; without names every checkpoint, then the short runs of
three seeds. Two at a time with one thread each; exported ones are skipped and stopped ones go on. A finished checkpoint
is exported at once. Exit code 0: all ended well, or were stopped and go on with the same command; 1: a training or an
export failed.

    nice -n 19 /usr/bin/python3 tools/train/run_all.py [NAME ...] [--minutes N] [--list] [--no-export]
"""

import argparse
import atexit
import os
import signal
import subprocess
import sys
import time

import checkpoint
import recipes
from paths import CACHE
from train import lock

HERE = os.path.dirname(os.path.abspath(__file__))
SIDE_BY_SIDE = 2
STOPPED = 3  # train.py's exit code, its state saved
# Softmax first: MoH continues it, and the diffusion samples are judged by the softmax classifier.
ORDER = ["lm-softmax", "image-softmax", "lm-moh-75", "lm-moh-50", "image-agent", "image-flow", "image-moh"]
ORDER += ["lm-lightning", "lm-flow", "dit"]


def needs(name):
    """What has to be exported before: what a run continues, and who judges its samples."""
    recipe = recipes.find(name)
    judges = ["image-softmax"] if recipe["task"] == "diffusion" else []
    return [origin for origin in [recipe["from"], *judges] if origin is not None]


def waiting(name):
    return not all(checkpoint.exported(need) for need in needs(name))


def work(names):
    """What is left to train for `names` (none: for all), each after what it needs."""
    wanted = []
    for name in names or [*ORDER, *recipes.short_names()]:
        wanted += [each for each in [*needs(name), name] if each not in wanted]
    return [name for name in wanted if not checkpoint.exported(name)]


def start(name, seconds):
    logs = CACHE / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, os.path.join(HERE, "train.py"), name, "--minutes", f"{seconds / 60:.2f}"]
    with open(logs / f"{name}.log", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def stop(running):
    """Every run saves its state before it ends."""
    for name, process in running.items():
        if process.poll() is None:
            process.terminate()
            print(f"{time.strftime('%H:%M')} stopped {name}", flush=True)


def export(*arguments):
    """Whether export.py ended well."""
    return subprocess.run([sys.executable, os.path.join(HERE, "export.py"), *arguments], check=False).returncode == 0


def ended(name, code, exports):
    """Whether all is well with a run that ended: finished and exported, or stopped with its state saved."""
    print(f"{time.strftime('%H:%M')} {name} ended with exit code {code}", flush=True)
    if code == 0 and exports and name in recipes.RECIPES:
        return export(name)
    return code in (0, STOPPED)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(recipes.ALL)}; NAME@SEED: a short run")
    parser.add_argument("--minutes", type=float, default=10_000, help="stop all training after so long, states saved")
    parser.add_argument("--list", action="store_true", help="print the order of work and end")
    parser.add_argument("--no-export", action="store_true", help="leave the repository as it is; what needs such a run waits")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name.partition("@")[0] not in recipes.ALL]
    if unknown:
        parser.error(f"no recipe is called {', '.join(unknown)}")
    queue = work(arguments.names)
    if arguments.list:
        print("\n".join(queue))
        return 0

    held = lock("run_all")
    end = time.monotonic() + 60 * arguments.minutes
    good, short, running = True, False, {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))
    atexit.register(stop, running)
    while (queue and time.monotonic() < end) or running:
        ready = [name for name in queue if not waiting(name)] if time.monotonic() < end else []
        while ready and len(running) < SIDE_BY_SIDE:
            name = ready.pop(0)
            queue.remove(name)
            running[name] = start(name, end - time.monotonic())
            print(f"{time.strftime('%H:%M')} started {name}", flush=True)
        if not running:
            print(f"not started, for want of what they need: {', '.join(queue)}", flush=True)
            good = good and arguments.no_export
            break
        time.sleep(1)  # at the end of the time each ends by its own --minutes
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                good = ended(name, process.returncode, not arguments.no_export) and good
                short = short or ("@" in name and process.returncode == 0)
    if short and not arguments.no_export:
        good = export("--short-runs") and good
    held.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

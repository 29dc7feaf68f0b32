"""
Trains every checkpoint, then the short runs of three seeds, two at a time with one thread each; exported ones are skipped
and stopped ones go on. A finished checkpoint is exported at once.

    nice -n 19 /usr/bin/python3 tools/train/run_all.py [--minutes N] [--list] [--no-export]
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
# Softmax first: MoH continues it, and the diffusion samples are judged by the softmax classifier.
ORDER = ["lm-softmax", "image-softmax", "lm-moh-75", "lm-moh-50", "image-agent", "image-flow", "image-moh"]
ORDER += ["lm-lightning", "lm-flow", "dit"]


def waiting(name):
    """A run that continues another one starts from what that one exported."""
    origin = recipes.find(name)["from"]
    return origin is not None and not checkpoint.exported(origin)


def start(name, seconds):
    logs = CACHE / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, os.path.join(HERE, "train.py"), name, "--minutes", f"{seconds / 60:.2f}"]
    with open(logs / f"{name}.log", "a") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def stop(running):
    """Every run saves its state before it ends."""
    for name, process in running.items():
        if process.poll() is None:
            process.terminate()
            print(f"{time.strftime('%H:%M')} stopped {name}", flush=True)


def export(name):
    if "@" not in name:
        subprocess.run([sys.executable, os.path.join(HERE, "export.py"), name], check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10_000, help="stop all training after so long, states saved")
    parser.add_argument("--list", action="store_true", help="print the order of work and end")
    parser.add_argument("--no-export", action="store_true", help="leave the repository as it is; what continues such a run waits")
    arguments = parser.parse_args()
    queue = [name for name in ORDER if not checkpoint.exported(name)] + recipes.short_names()
    if arguments.list:
        print("\n".join(queue))
        return 0

    held = lock("run_all")
    end = time.monotonic() + 60 * arguments.minutes
    failed, running = set(), {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    atexit.register(stop, running)
    while (queue or running) and time.monotonic() < end:
        ready = [name for name in queue if not waiting(name)]
        while ready and len(running) < SIDE_BY_SIDE:
            name = ready.pop(0)
            queue.remove(name)
            running[name] = start(name, end - time.monotonic())
            print(f"{time.strftime('%H:%M')} started {name}", flush=True)
        if not running:
            break  # what is left waits for a run that failed
        time.sleep(1)
        for name, process in list(running.items()):
            if process.poll() is None:
                continue
            del running[name]
            if process.returncode != 0:
                failed.add(name)
            print(f"{time.strftime('%H:%M')} {name} ended with exit code {process.returncode}", flush=True)
            if process.returncode == 0 and not arguments.no_export:
                export(name)
    for process in running.values():
        process.wait()  # each ends by its own --minutes
    held.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

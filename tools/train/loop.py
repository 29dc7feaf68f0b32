"""The training loop: a run can stop at any step, and goes on from its saved state as if it had not stopped."""

import math
import signal
import time

import numpy as np
import torch

from muon import Muon
from paths import CACHE, replace

SAVE_SECONDS = 60
CURVE_STEPS = 20
WATCH_STEPS = 100
# Layers from or to something else than hidden channels: pixels, classes, heads to choose.
OUTER = {"patches", "head", "router"}
# What a state holds besides weights, optimiser, generator, and what it is checked by.
KEPT = ("step", "seconds", "curve", "monitor", "recent", "average")


def learning_rate(step, steps, peak, warmup, floor=0.05):
    """Linear warm-up, then a cosine down to `floor` of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


def make_optimizer(model, weight_decay):
    """Muon for the matrices between hidden channels; no weight decay for norms, biases and embeddings."""
    hidden, outer, free = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2 or "embedding" in name or "bias" in name:
            free.append(parameter)
        elif parameter.dim() > 2 or any(part in OUTER for part in name.split(".")):
            outer.append(parameter)
        else:
            hidden.append(parameter)
    return Muon(
        [
            {"params": hidden, "weight_decay": weight_decay, "orthogonal": True},
            {"params": outer, "weight_decay": weight_decay},
            {"params": free},
        ]
    )


class Run:
    """
    One run of a recipe (recipes.py). `task` builds the model and gives the loss of a step; batches are functions of
    seed and step, so weights, optimiser state, step and torch's generator (dropout, noise) are the whole state.
    """

    def __init__(self, name, recipe, task, folder=None):
        self.name, self.recipe, self.task = name, recipe, task
        self.data = getattr(task, "fingerprint", None)
        self.path = (folder or CACHE / name) / "state.pt"
        torch.manual_seed(recipe["seed"])
        self.model = task.build()
        self.optimizer = make_optimizer(self.model, recipe["weight_decay"])
        self.step, self.seconds = 0, 0.0
        self.curve = []  # [step, mean loss of the steps before it]
        self.monitor = []  # [step, the task's figure]: watched, never used to choose
        self.recent = [0.0, 0]
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()} if recipe["ema"] else None
        if self.path.exists():
            self.restore(torch.load(self.path))

    @property
    def done(self):
        return self.step >= self.recipe["steps"]

    def restore(self, state):
        if state["recipe"] != self.recipe:
            raise SystemExit(f"{self.path} was made by another recipe for {self.name}; remove its folder to start over")
        # States of before this key was kept say nothing about their data.
        if state.get("data") not in (None, self.data):
            raise SystemExit(f"{self.path} was trained on other data than are here now; remove its folder to start over")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        for key in KEPT:
            setattr(self, key, state[key])

    def save(self):
        state = {key: getattr(self, key) for key in ("recipe", "data", *KEPT)}
        state.update(model=self.model.state_dict(), optimizer=self.optimizer.state_dict(), random=torch.get_rng_state())
        replace(self.path, lambda partial: torch.save(state, partial))

    def advance(self):
        recipe = self.recipe
        rate = learning_rate(self.step, recipe["steps"], recipe["learning_rate"], recipe["warmup"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        loss, shown = self.task.loss(self.model, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        if self.average is not None:
            self.follow()
        if not math.isfinite(shown):
            raise SystemExit(f"{self.name}: the loss of step {self.step} is {shown}")
        self.recent = [self.recent[0] + shown, self.recent[1] + 1]
        if self.step % CURVE_STEPS == 0 or self.done:
            self.curve.append([self.step, round(self.recent[0] / self.recent[1], 4)])
            self.recent = [0.0, 0]

    def follow(self):
        """The exponential average of the weights, which starts as a plain one."""
        keep = min(self.recipe["ema"], self.step / (self.step + 10))
        for name, value in self.model.state_dict().items():
            self.average[name].mul_(keep).add_(value, alpha=1 - keep)

    def final_model(self):
        """The model that is evaluated and exported: averaged weights where the recipe averages."""
        if self.average is not None:
            self.model.load_state_dict(self.average)
        return self.model.eval()

    def train(self, minutes=math.inf, until=None):
        """Trains until done, until the step `until`, or until the minutes are over; the state is saved in any case."""
        stop = []
        previous = {number: signal.signal(number, lambda *_: stop.append(True)) for number in (signal.SIGTERM, signal.SIGINT)}
        begin = last = saved = time.monotonic()
        every = max(WATCH_STEPS, self.recipe["steps"] // 20)
        goal = self.recipe["steps"] if until is None else until
        while self.step < goal and not stop and time.monotonic() - begin < 60 * minutes:
            self.advance()
            if self.step % every == 0:
                self.watch()
            now = time.monotonic()
            self.seconds += now - last
            last = now
            if now - saved > SAVE_SECONDS:
                self.save()
                saved = now
        self.save()
        for number, handler in previous.items():
            signal.signal(number, handler)
        return self.done

    def watch(self):
        with torch.no_grad():
            figure = self.task.watch(self.model.eval())
        if figure is not None:
            self.monitor.append([self.step, round(float(figure), 4)])
            print(f"{self.name}: step {self.step}, loss {self.curve[-1][1]}, watched {figure:.4f}", flush=True)


def parameters(model):
    return int(np.sum([parameter.numel() for parameter in model.parameters()]))

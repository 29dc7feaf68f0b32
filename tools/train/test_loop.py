"""A resumed run is bit-equal to an uninterrupted one."""

import one_thread  # noqa: F401, I001

import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch

import recipes
from loop import Run
from models.language import LanguageModel

TINY = {"vocabulary": 64, "width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "hidden": 48, "context": 24}
HERE = Path(__file__).parent


class TinyTask:
    """A language model on random ids. A step draws from torch's generator, as the diffusion task does."""

    def __init__(self, recipe, fingerprint="some data"):
        self.recipe, self.fingerprint = recipe, fingerprint

    def build(self):
        return LanguageModel(self.recipe["config"])

    def loss(self, model, step):
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(0, 64, (4, 25), generator=generator)
        logits, auxiliary = model(ids[:, :-1])
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        loss = (losses * (torch.rand_like(losses) < 0.5)).mean()
        return loss + 0.01 * auxiliary, loss.item()

    def watch(self, model):
        return None


def tiny_run(folder, ema=0.0, steps=20, **task):
    config = {**recipes.MOH, **TINY, "shared_heads": 1, "routed_topk": 2}
    recipe = {"config": config, "seed": 5, "steps": steps, "ema": ema}
    recipe.update(learning_rate=1e-2, warmup=5, weight_decay=0.1)
    return Run("tiny", recipe, TinyTask(recipe, **task), Path(folder))


def train_endlessly(folder):
    run = tiny_run(folder, steps=10**6)
    loss = run.task.loss

    def announce(model, step):
        if step == 3:
            print("under way", flush=True)
        return loss(model, step)

    run.task.loss = announce
    run.train()


class Resume(unittest.TestCase):
    def same(self, first, second):
        self.assertEqual(first.step, second.step)
        self.assertEqual(first.curve, second.curve)
        for name, value in first.final_model().state_dict().items():
            self.assertTrue(torch.equal(value, second.final_model().state_dict()[name]), name)

    def test_stopped_at_a_step(self):
        for ema in (0.0, 0.9):
            with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
                straight = tiny_run(one, ema)
                self.assertTrue(straight.train())
                self.assertFalse(tiny_run(two, ema).train(until=10))
                torch.manual_seed(99)  # what another process would have left in the generator
                resumed = tiny_run(two, ema)
                self.assertEqual(resumed.step, 10)
                self.assertTrue(resumed.train())
                self.same(straight, resumed)

    def test_stopped_by_a_signal(self):
        """Another process trains with no end, is told to stop and saves; going on from there equals a straight run."""
        program = f"import sys; sys.path.insert(0, {str(HERE)!r}); import test_loop; test_loop.train_endlessly(sys.argv[1])"
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            child = subprocess.Popen([sys.executable, "-c", program, two], stdout=subprocess.PIPE)
            child.stdout.readline()
            child.send_signal(signal.SIGTERM)
            self.assertEqual(child.wait(timeout=30), 0)
            child.stdout.close()
            resumed = tiny_run(two, steps=10**6)
            self.assertGreater(resumed.step, 0)
            goal = resumed.step + 5
            resumed.train(until=goal)
            straight = tiny_run(one, steps=10**6)
            straight.train(until=goal)
            self.same(straight, resumed)

    def test_time_budget(self):
        with tempfile.TemporaryDirectory() as folder:
            run = tiny_run(folder)
            self.assertFalse(run.train(minutes=0))
            self.assertTrue(run.path.exists())

    def test_averaged_weights_are_the_final_ones(self):
        with tempfile.TemporaryDirectory() as folder:
            run = tiny_run(folder, ema=0.9)
            run.train()
            last = {name: value.clone() for name, value in run.model.state_dict().items()}
            final = run.final_model().state_dict()
            for name, value in run.average.items():
                self.assertTrue(torch.equal(final[name], value), name)
            self.assertFalse(all(torch.equal(final[name], value) for name, value in last.items()))

    def test_other_data_do_not_take_the_state(self):
        with tempfile.TemporaryDirectory() as folder:
            run = tiny_run(folder)
            run.train(until=1)
            with self.assertRaises(SystemExit):
                tiny_run(folder, fingerprint="other data")
            # A state from before it said what it was trained on.
            state = torch.load(run.path)
            del state["data"]
            torch.save(state, run.path)
            self.assertEqual(tiny_run(folder, fingerprint="other data").step, 1)

    def test_another_recipe_does_not_take_the_state(self):
        with tempfile.TemporaryDirectory() as folder:
            tiny_run(folder).train(until=1)
            with self.assertRaises(SystemExit):
                tiny_run(folder, steps=21)


if __name__ == "__main__":
    unittest.main()

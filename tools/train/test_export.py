"""A tiny run from its state to its exported files and back; the page; the seeds; the order of work."""

import math
import tempfile
import unittest
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import checkpoint
import export
import figures
import fixtures
import loop
import recipes
import report
import run_all
import safetensors
import seeds
import text_data
import train

TINY = {"vocabulary": 2048, "width": 32, "layers": 2, "heads": 4, "kv_heads": 2, "hidden": 40, "context": 100}


class Folders(unittest.TestCase):
    """Everything that is written goes to a temporary folder."""

    def setUp(self):
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places = {"CACHE": (loop, export, train), "MODELS": (checkpoint, export, report), "FIXTURES": (fixtures,)}
        for name, modules in {**places, "SHORT_RUNS": (export, seeds), "PAGE": (report,)}.items():
            for module in modules:
                stack.enter_context(mock.patch.object(module, name, self.folder / name.lower()))
        stack.enter_context(redirect_stdout(StringIO()))
        recipe = {**recipes.RECIPES["lm-softmax"], "batch": 2, "steps": 2, "config": {**recipes.SOFTMAX, **TINY}}
        self.recipes = {"tiny": recipe}
        for name in ("RECIPES", "ALL"):
            stack.enter_context(mock.patch.object(recipes, name, self.recipes))
        quick = {"bits_per_byte": 2.0, "tokens": 10, "bytes": 30}
        few = np.random.default_rng(0).integers(1, 2048, 5000).astype(np.uint16)  # all of them take long on a first run
        stack.enter_context(mock.patch.object(text_data, "training_tokens", return_value=few))
        self.language = stack.enter_context(mock.patch.object(figures, "language", return_value=quick))


class Export(Folders):
    def test_files_hold_the_final_weights(self):
        self.assertFalse(export.finished("tiny"))
        run = train.open_run("tiny")
        self.assertTrue(run.train())
        self.assertTrue(export.finished("tiny"))
        export.export("tiny")
        self.assertTrue(checkpoint.exported("tiny"))
        loaded = checkpoint.load("tiny").state_dict()
        for name, value in run.final_model().state_dict().items():
            self.assertTrue(torch.equal(value.half().float(), loaded[name]), name)
        training = checkpoint.read_json(self.folder / "models" / "tiny" / "training.json")
        self.assertEqual((training["seed"], training["steps"], training["figures"]["bits_per_byte"]), (1, 2, 2.0))
        self.assertEqual(training["data"]["held_out"]["bytes_with_line_breaks"], 466_853)

    def test_refresh_keeps_weights_recipe_and_curve(self):
        train.open_run("tiny").train()
        export.export("tiny")
        folder = self.folder / "models" / "tiny"
        weights = (folder / "model.safetensors").read_bytes()
        training = checkpoint.read_json(folder / "training.json")
        (folder / "config.json").write_text("{}")
        self.language.return_value = {"bits_per_byte": 3.0}
        with mock.patch.object(export, "open_run", side_effect=AssertionError("the state is not needed")):
            export.refresh("tiny")
        self.assertEqual((folder / "model.safetensors").read_bytes(), weights)
        now = checkpoint.read_json(folder / "training.json")
        self.assertEqual(now, {**training, "figures": {"bits_per_byte": 3.0}})

    def test_refresh_wants_the_texts_of_training(self):
        train.open_run("tiny").train()
        export.export("tiny")
        (self.folder / "models" / "tiny" / "tokenizer.json").write_text("{}")
        with self.assertRaises(SystemExit):
            export.refresh("tiny")

    def test_a_failed_export_leaves_no_training_json(self):
        train.open_run("tiny").train()
        export.export("tiny")
        with mock.patch.object(fixtures, "write", side_effect=OSError), self.assertRaises(OSError):
            export.export("tiny")
        self.assertFalse(checkpoint.exported("tiny"))

    def test_an_unfinished_run_or_another_recipe_is_not_exported(self):
        train.open_run("tiny").train(until=1)
        self.assertFalse(export.finished("tiny"))
        with self.assertRaises(SystemExit):
            export.export("tiny")
        train.open_run("tiny").train()
        self.recipes["tiny"] = {**self.recipes["tiny"], "learning_rate": 1.0}
        self.assertFalse(export.finished("tiny"))

    def test_short_runs_are_judged_in_f16(self):
        with mock.patch.dict(recipes.SHORT_STEPS, {"language": 2}):
            run = train.open_run("tiny@2")
            run.train()
            judged = []
            with mock.patch.dict(export.FIGURE, {"language": lambda model: judged.append(model.state_dict()) or 2.5}):
                export.export_short_runs()
            self.assertEqual(seeds.figures(), {"tiny": [2.5]})
        for name, value in run.model.state_dict().items():
            self.assertTrue(torch.equal(judged[0][name], value.half().float()), name)

    def test_fixture(self):
        train.open_run("tiny").train()
        export.export("tiny")
        tensors, metadata = safetensors.read(self.folder / "fixtures" / "tiny.safetensors")
        self.assertEqual(tensors["logits"].shape, (1, fixtures.LOGITS, 2048))
        self.assertEqual(tensors["layers.1.q"].shape, (1, 4, fixtures.TOKENS, 8))
        self.assertIn("last 8 positions", metadata["note"])
        logits, _ = checkpoint.load("tiny")(torch.from_numpy(tensors["ids"]).long())
        self.assertLess((logits[:, -fixtures.LOGITS :] - torch.from_numpy(tensors["logits"])).abs().max().item(), 1e-5)


class Page(unittest.TestCase):
    def test_verdicts(self):
        bits = {"lm-softmax": 1.5, "lm-lightning": 1.54, "lm-moh-75": 1.56}
        model = {"parameters": 1, "recipe": recipes.find("lm-moh-75"), "steps": 684, "wall_minutes": 3}
        self.assertEqual(report.language_row("lm-lightning", model, bits)[3:6], ["+2.7 %", "yes", "2052 + 684"])
        self.assertEqual(report.language_row("lm-moh-75", model, bits)[3:5], ["+4.0 %", "no"])
        self.assertEqual(report.language_row("lm-softmax", model, bits)[3:5], ["-", "-"])

    def test_every_task_has_its_verdict(self):
        figures_of = {
            "image-flow": {"test_accuracy": 0.88},
            "dit": {"recognised": 0.81, "samples": 10, "steps": 50, "guidance": 2.0},
        }

        def written(task):
            names = [name for name in figures_of if recipes.find(name)["task"] == task]
            common = {"parameters": 1, "steps": 5, "wall_minutes": 3}
            return {name: {**common, "recipe": recipes.find(name), "figures": figures_of[name]} for name in names}

        with mock.patch.object(report, "written", written):
            self.assertIn("| image-flow | 1 | 4 of 32 | 88.00 % | no |", report.classifiers())
            self.assertIn("image-flow misses its aim", report.classifiers())
            self.assertIn("| dit | 1 | 81.0 % of 10 | yes | 50 steps, guidance 2.0 |", report.diffusion())
            self.assertIn("None is trained yet.", report.language())

    def test_a_missed_aim_needs_a_reason(self):
        with mock.patch.dict(report.NOTES, clear=True):
            self.assertIn("lm-lightning misses its aim, and why is not known", report.notes(["lm-lightning"], {"lm-lightning"}))

    def test_short_runs_are_held_against_their_twin(self):
        runs = {"lm-softmax": [2.0, 2.01, 2.02], "lm-flow": [2.3, 2.31, 2.35], "lm-lightning": [2.0, 2.1]}
        with mock.patch.object(seeds, "figures", return_value=runs):
            rows = report.short_table(list(runs), "lm-softmax", report.decimals, "").splitlines()
        steps = recipes.SHORT_STEPS["language"]
        self.assertIn(f"| {steps} | 2.0000, 2.0100, 2.0200 | 2.0100 ± 0.0100 | - | - |", rows[2])
        self.assertIn("| +0.3100 | yes |", rows[3])
        self.assertIn("needs three seeds of both", rows[4])


class Seeds(unittest.TestCase):
    def test_noise(self):
        self.assertTrue(seeds.beyond_noise([1.0, 1.1, 1.2], [1.3, 1.4, 1.5]))
        self.assertFalse(seeds.beyond_noise([1.0, 1.1, 1.2], [1.2, 1.3, 1.4]))  # 2.45 standard errors
        self.assertIsNone(seeds.beyond_noise([1.0, 1.1], [1.3, 1.4, 1.5]))

    def test_spread(self):
        self.assertEqual(seeds.spread([1.0, 2.0, 3.0]), (2.0, 1.0))
        self.assertTrue(math.isnan(seeds.spread([1.0])[1]))


class Work(unittest.TestCase):
    def test_what_a_run_needs_comes_first(self):
        with mock.patch.object(checkpoint, "exported", return_value=False):
            self.assertEqual(run_all.work(["lm-moh-75", "dit"]), ["lm-softmax", "lm-moh-75", "image-softmax", "dit"])
            self.assertEqual(set(recipes.RECIPES) - set(run_all.work([])), set())
            self.assertTrue(run_all.waiting("lm-moh-50@3"))
            self.assertFalse(run_all.waiting("lm-flow"))
        with mock.patch.object(checkpoint, "exported", side_effect=lambda name: name == "lm-softmax"):
            self.assertEqual(run_all.work(["lm-moh-75", "lm-softmax-continued@2"]), ["lm-moh-75", "lm-softmax-continued@2"])

    def test_ends(self):
        for works in (True, False):
            with mock.patch.object(run_all, "export", return_value=works) as exporting, redirect_stdout(StringIO()):
                self.assertEqual(run_all.ended("lm-flow", 0, exports=True), works)
                exporting.assert_called_once_with("lm-flow")
                self.assertTrue(run_all.ended("lm-flow", 0, exports=False))
                self.assertTrue(run_all.ended("lm-flow", run_all.STOPPED, exports=True))
                self.assertFalse(run_all.ended("lm-flow", 1, exports=True))
                for short in ("lm-flow@1", "lm-softmax-continued"):
                    self.assertTrue(run_all.ended(short, 0, exports=True))
                exporting.assert_called_once()

    def test_the_control_is_continued_softmax_and_never_exported(self):
        control, moh = recipes.find("lm-softmax-continued@1"), recipes.find("lm-moh-75@1")
        self.assertEqual({**control, "config": None}, {**moh, "config": None})
        self.assertEqual(control["config"], recipes.find("lm-softmax")["config"])
        self.assertNotIn("lm-softmax-continued", recipes.RECIPES)
        self.assertIn("lm-softmax-continued@3", recipes.short_names())


if __name__ == "__main__":
    unittest.main()

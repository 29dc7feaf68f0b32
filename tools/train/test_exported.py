"""The shipped checkpoints: they are what their fixtures, descriptions and docs/checkpoints.md say."""

import unittest

import torch

import checkpoint
import configuration
import figure_items
import fixtures
import one_thread
import provenance
import recipes
import report
import safetensors
from loop import parameters
from paths import FIXTURES, MODELS

MEGABYTE = 10**6
NAMES = [name for name in recipes.RECIPES if (MODELS / name / "training.json").exists()]


class Exported(unittest.TestCase):
    def test_models_compute_what_their_fixtures_say(self):
        for name in NAMES:
            task, model = recipes.find(name)["task"], checkpoint.load(name)
            arrays, _ = safetensors.read(FIXTURES / f"{name}.safetensors")
            expected = {key: torch.from_numpy(array) for key, array in arrays.items()}
            inputs = {key: expected.pop(key) for key in fixtures.example(task)}
            got = fixtures.outputs(task, model, inputs)
            self.assertEqual(set(got), set(expected), name)
            for key, value in expected.items():
                bound = 1e-4 * max(1.0, value.abs().max().item())
                self.assertLess((got[key] - value).abs().max().item(), bound, f"{name} {key}")

    def test_figures_are_made_of_the_items_that_are_kept(self):
        kept, _ = safetensors.read(FIXTURES / "figures.safetensors")
        items = {"language": ["bits"], "classifier": ["logits"], "diffusion": ["noise", "samples"]}
        tasks = {name: recipes.find(name)["task"] for name in NAMES}
        named = {f"{name}.{item}" for name, task in tasks.items() for item in items[task]}
        self.assertEqual(set(kept), named | {"ids", "images", "labels"}, "run figure_items.py")
        found = figure_items.arrays()
        for key, value in kept.items():
            self.assertLess(abs(found[key].astype(float) - value).max(), 1e-3, key)

    def test_sizes(self):
        folders = [folder for folder in MODELS.iterdir() if folder.is_dir()]
        sizes = {folder.name: sum(path.stat().st_size for path in folder.iterdir()) for folder in folders}
        for name, size in sizes.items():
            self.assertLessEqual(size, 4 * MEGABYTE, name)
        self.assertLessEqual(sum(sizes.values()), 32 * MEGABYTE)

    def test_one_tokenizer_and_the_texts_that_it_was_trained_on(self):
        """Of every language model, and of the JavaScript tests; the texts are those of now."""
        expected = (FIXTURES / "tokenizer" / "tokenizer.json").read_bytes()
        for name in NAMES:
            if recipes.find(name)["task"] == "language":
                self.assertEqual((MODELS / name / "tokenizer.json").read_bytes(), expected, name)
                data = checkpoint.read_json(MODELS / name / "training.json")["data"]
                self.assertEqual(data["tokenizer_sha256"], provenance.sha256(expected))
                self.assertEqual(data["texts"], provenance.training_texts())

    def test_descriptions(self):
        for name in NAMES:
            training, recipe = checkpoint.read_json(MODELS / name / "training.json"), recipes.find(name)
            self.assertTrue(checkpoint.exported(name), name)
            self.assertEqual(checkpoint.read_json(MODELS / name / "config.json"), configuration.describe(recipe), name)
            self.assertEqual((training["name"], training["seed"]), (name, recipe["seed"]))
            self.assertEqual(training["threads"], one_thread.THREADS)
            self.assertEqual(training["parameters"], parameters(checkpoint.load(name)), name)
            self.assertEqual(training["loss_curve"][-1][0], recipe["steps"], name)
            self.assertIn("data", training)
            licence = (MODELS / name / "LICENSE.txt").read_text(encoding="utf-8")
            self.assertIn(checkpoint.LICENCES[recipe["task"]], licence, name)

    def test_weights_are_f16(self):
        for name in NAMES:
            arrays, _ = safetensors.read(MODELS / name / "model.safetensors")
            self.assertEqual({str(array.dtype) for array in arrays.values()}, {"float16"}, name)

    def test_the_page_shows_these_figures(self):
        self.assertEqual(report.PAGE.read_text(encoding="utf-8"), report.page())


if __name__ == "__main__":
    unittest.main()

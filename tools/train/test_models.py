"""Every recipe's model, small: gradients reach every weight, tokens see no future, and a checkpoint reads back."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import checkpoint
import fixtures
import image_data
import recipes
import text_data
from models.classifier import from_patches, to_patches
from models.diffusion import sample

SMALL = {
    "language": {"vocabulary": 2048, "width": 32, "hidden": 40, "layers": 2, "context": 100, "dropout": 0.0},
    "classifier": {"width": 32, "hidden": 40, "layers": 2, "dropout": 0.0},
    "diffusion": {"width": 32, "hidden": 40, "layers": 2},
}


def small(name):
    torch.manual_seed(3)
    recipe = recipes.find(name)
    recipe = {**recipe, "config": {**recipe["config"], **SMALL[recipe["task"]]}}
    return recipe, checkpoint.BUILDERS[recipe["task"]](recipe["config"])


def output(recipe, model, trace, count=2):
    if recipe["task"] == "language":
        return model(torch.randint(1, 2048, (count, 100)), trace)[0]
    images = torch.rand(count, 1, 28, 28)
    if recipe["task"] == "classifier":
        return model(images, trace)[0]
    return model(images, torch.rand(count), torch.arange(count), trace)


class Models(unittest.TestCase):
    def test_gradients_reach_every_weight(self):
        for name in recipes.RECIPES:
            recipe, model = small(name)
            if recipe["task"] == "diffusion":
                # adaLN-Zero holds most gradients at zero until its own weights have moved.
                for parameter in model.parameters():
                    torch.nn.init.normal_(parameter, std=0.1)
            trace = []
            loss = output(recipe, model, trace).square().mean()
            # The head of a classifier reads the class token alone: the other tokens' last block is seen in its residual.
            (loss + trace[-1]["residual"].square().mean()).backward()
            for key, parameter in model.named_parameters():
                self.assertIsNotNone(parameter.grad, f"{name} {key}")
                self.assertTrue(parameter.grad.abs().max() > 0, f"{name} {key}")

    def test_tokens_see_no_future(self):
        for name in recipes.RECIPES:
            recipe, model = small(name)
            if recipe["task"] != "language":
                continue
            ids = torch.randint(1, 2048, (1, 100))
            other = ids.clone()
            other[0, 60:] = torch.randint(1, 2048, (40,))
            with torch.no_grad():
                first, second = model(ids)[0], model(other)[0]
            self.assertLess((first[:, :60] - second[:, :60]).abs().max().item(), 1e-5, name)
            self.assertGreater((first[:, 60:] - second[:, 60:]).abs().max().item(), 1e-3, name)

    def test_moh_continues_softmax(self):
        _, softmax = small("lm-softmax")
        _, moh = small("lm-moh-75")
        missing, unexpected = moh.load_state_dict(softmax.state_dict(), strict=False)
        self.assertEqual(unexpected, [])
        self.assertTrue(all("router" in key for key in missing))

    def test_checkpoint_reads_back(self):
        for name in recipes.RECIPES:
            with tempfile.TemporaryDirectory() as folder, mock.patch.object(checkpoint, "MODELS", Path(folder)):
                recipe, model = small(name)
                checkpoint.save_weights(name, recipe, model)
                loaded = checkpoint.load(name)
            for key, value in model.state_dict().items():
                self.assertTrue(torch.equal(value.half().float(), loaded.state_dict()[key]), f"{name} {key}")

    def test_fixtures_hold_the_first_and_the_last_layer(self):
        for name in recipes.RECIPES:
            recipe, model = small(name)
            task = recipe["task"]
            tensors = fixtures.outputs(task, model, fixtures.example(task))
            kept = ["q", "k", "v", "attention", "residual"]
            kept += ["gates"] if recipe["config"]["mechanism"] == "moh" else []
            layers = {f"layers.{layer}.{key}" for layer in (0, 1) for key in kept}
            self.assertEqual(set(tensors), layers | {"velocity" if task == "diffusion" else "logits"}, name)
            self.assertTrue(all(tensor.isfinite().all() for tensor in tensors.values()), name)

    def test_sampler(self):
        _, model = small("dit")
        images = sample(model, torch.zeros(2, 1, 28, 28), torch.tensor([0, 1]), steps=2)
        self.assertEqual(images.shape, (2, 1, 28, 28))

    def test_patches(self):
        images = torch.rand(2, 1, 28, 28)
        self.assertTrue(torch.equal(from_patches(to_patches(images, 4), 4), images))
        self.assertTrue(torch.equal(to_patches(images, 4)[0, 1], images[0, 0, :4, 4:8].reshape(-1)))


class Batches(unittest.TestCase):
    def test_an_epoch_of_text_visits_every_window_once(self):
        tokens = np.arange(1, 1000, dtype=np.uint16)
        windows = text_data.windows_per_epoch(tokens, 10)
        starts = []
        for step in range(windows // 4):
            inputs, targets = text_data.batch(tokens, 10, 4, seed=1, step=step)
            self.assertTrue(bool((inputs[:, 0] == 0).all()))
            self.assertTrue(torch.equal(inputs[:, 1:], targets[:, :-1]))
            starts += targets[:, 0].tolist()
        self.assertEqual(len(set(starts)), len(starts))
        self.assertEqual(len({start % 10 for start in starts}), 1)

    def test_images_move_by_two_pixels_at_most(self):
        pixels = np.zeros((8, 28, 28), np.uint8)
        pixels[:, 13:15, 13:15] = 255
        moved = image_data.shifted_and_mirrored(pixels, np.random.default_rng(0))
        self.assertEqual(moved.sum(), pixels.sum())
        self.assertEqual(moved[:, 11:17, 11:17].sum(), pixels.sum())


if __name__ == "__main__":
    unittest.main()

"""What a run trains: how to build the model, the loss of a step, and a figure to watch."""

import hashlib

import torch
from torch.nn import functional as F

import image_data
import text_data
from evaluate import accuracy, bits_per_byte
from mechanisms.moh import BALANCE
from models.classifier import Classifier
from models.diffusion import DiffusionTransformer
from models.language import LanguageModel


def fingerprint(*arrays):
    """Of all that is trained on: a run whose data became others is not the same run."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()


class LanguageTask:
    def __init__(self, recipe, initial=None):
        self.recipe, self.initial = recipe, initial
        self.tokens = text_data.training_tokens()
        self.fingerprint = fingerprint(self.tokens)

    def build(self):
        model = LanguageModel(self.recipe["config"])
        if self.initial is not None:
            missing, unexpected = model.load_state_dict(self.initial, strict=False)
            if unexpected or any("router" not in name for name in missing):
                raise ValueError(f"the initial weights do not fit: {missing} {unexpected}")
        return model

    def loss(self, model, step):
        recipe = self.recipe
        context = recipe["config"]["context"]
        inputs, targets = text_data.batch(self.tokens, context, recipe["batch"], recipe["seed"], step)
        logits, auxiliary = model(inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return loss + BALANCE * auxiliary, loss.item()

    def watch(self, model):
        """Bits per byte on the first 20,000 tokens of the held-out book."""
        return bits_per_byte(model, limit=20_000)["bits_per_byte"]


class ClassifierTask:
    def __init__(self, recipe):
        self.recipe = recipe
        self.images, self.labels = image_data.load("train")
        self.fingerprint = fingerprint(self.images, self.labels)

    def build(self):
        return Classifier(self.recipe["config"])

    def loss(self, model, step):
        recipe = self.recipe
        images, labels = image_data.batch(self.images, self.labels, recipe["batch"], recipe["seed"], step, augment=True)
        logits, auxiliary = model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        return loss + BALANCE * auxiliary, loss.item()

    def watch(self, model):
        return accuracy(model)


class DiffusionTask:
    """
    Flow matching on straight paths: at time t the image is (1 - t) noise + t image, and the model gives the velocity,
    image - noise. One label in ten is replaced by "none", so that the model also samples without a class.
    """

    def __init__(self, recipe):
        self.recipe = recipe
        self.images, self.labels = image_data.load("train")
        self.fingerprint = fingerprint(self.images, self.labels)

    def build(self):
        return DiffusionTransformer(self.recipe["config"])

    def loss(self, model, step):
        recipe = self.recipe
        images, labels = image_data.batch(self.images, self.labels, recipe["batch"], recipe["seed"], step, augment=False)
        labels = torch.where(torch.rand(len(labels)) < recipe["label_dropout"], model.no_label, labels)
        time = torch.sigmoid(torch.randn(len(images)))
        noise = torch.randn_like(images)
        mixed = torch.lerp(noise, images, time[:, None, None, None])
        loss = F.mse_loss(model(mixed, time, labels), images - noise)
        return loss, loss.item()

    def watch(self, model):
        return None


TASKS = {"language": LanguageTask, "classifier": ClassifierTask, "diffusion": DiffusionTask}

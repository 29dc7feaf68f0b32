"""Fashion-MNIST, from Debian's package dataset-fashion-mnist."""

import gzip
from pathlib import Path

import numpy as np
import torch

FOLDER = Path("/usr/share/datasets/fashion-mnist")
SCALE = 127.5  # half of a byte's range
CLASSES = ["t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def images_file(part):
    return FOLDER / f"{part}-images-idx3-ubyte.gz"


def labels_file(part):
    return FOLDER / f"{part}-labels-idx1-ubyte.gz"


def load(part):
    """`part` is "train" (60,000) or "t10k" (10,000). Returns images [N, 28, 28] uint8 and labels [N] int64."""
    images = gzip.decompress(images_file(part).read_bytes())
    labels = gzip.decompress(labels_file(part).read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def normalise(pixels):
    """Bytes to [-1, 1], f32, with a channel axis: [N, 1, 28, 28]."""
    return torch.from_numpy(pixels.astype(np.float32) / SCALE - 1)[:, None]


def batch(images, labels, size, seed, step, augment):
    """Images [size, 1, 28, 28] and labels [size], as a function of seed and step alone."""
    epoch, position = divmod(step, len(images) // size)
    order = np.random.default_rng([seed, epoch]).permutation(len(images))[position * size : (position + 1) * size]
    pixels = images[order]
    if augment:
        pixels = shifted_and_mirrored(pixels, np.random.default_rng([seed, epoch, position]))
    return normalise(pixels), torch.from_numpy(labels[order])


def shifted_and_mirrored(pixels, random, reach=2):
    size = pixels.shape[1]
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach)))
    rows, columns = random.integers(2 * reach + 1, size=(2, len(pixels), 1)) + np.arange(size)
    columns = np.where(random.random((len(pixels), 1)) < 0.5, columns[:, ::-1], columns)
    return padded[np.arange(len(pixels))[:, None, None], rows[:, :, None], columns[:, None, :]]

"""Tokens of the texts, made once and kept in the cache folder, and the windows that a step trains on."""

import hashlib
from functools import lru_cache

import numpy as np
import torch

import bpe
import corpus
from paths import CACHE, replace

VOCABULARY = 2048


@lru_cache(1)
def tokenizer_path():
    """Where the tokenizer of the training texts, and the tokens that it makes of them, are kept."""
    key = hashlib.sha256("\0".join([bpe.PATTERN, str(VOCABULARY), *corpus.training_texts()]).encode()).hexdigest()[:12]
    return CACHE / "data" / key / "tokenizer.json"


def tokenizer_file():
    """tokenizer.json, trained on the training texts when it is not there yet (half a minute)."""
    path = tokenizer_path()
    if not path.exists():
        replace(path, bpe.Tokenizer(bpe.train(corpus.training_texts(), VOCABULARY)).save)
    return path


def training_tokens():
    """All training texts in one row, uint16."""
    path = tokenizer_file().with_name("training.npy")
    if not path.exists():
        tokenizer = bpe.Tokenizer.load(tokenizer_file())
        ids = np.array([index for text in corpus.training_texts() for index in tokenizer.encode(text)], np.uint16)

        def save(partial):
            with open(partial, "wb") as file:
                np.save(file, ids)

        replace(path, save)
    return np.load(path)


def windows_per_epoch(tokens, context):
    return (len(tokens) - context + 1) // context


def batch(tokens, context, size, seed, step):
    """
    Inputs and targets, each [size, context], as a function of seed and step alone.

    Every epoch shifts the window borders and shuffles anew. A window opens with the begin token (id 0) in place of
    what came before it, so its first target is predicted from nothing.
    """
    windows = windows_per_epoch(tokens, context)
    epoch, position = divmod(step, windows // size)
    random = np.random.default_rng([seed, epoch])
    shift = random.integers(context)
    starts = shift + context * random.permutation(windows)[position * size : (position + 1) * size]
    targets = torch.from_numpy(tokens[starts[:, None] + np.arange(context)].astype(np.int64))
    inputs = torch.cat((torch.zeros(size, 1, dtype=torch.int64), targets[:, :-1]), 1)
    return inputs, targets

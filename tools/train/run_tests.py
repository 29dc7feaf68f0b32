"""Runs the tests beside this file and ends with "N passed, N failed", which .ci/run counts."""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

# No state is touched, and the tokenizer is the recorded one: to train it takes half a minute, and test_exported.py tells
# whether it is that of the texts.
cache = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = cache.name

import text_data  # noqa: E402
from paths import FIXTURES  # noqa: E402

text_data.tokenizer_path().parent.mkdir(parents=True)
shutil.copy(FIXTURES / "tokenizer" / "tokenizer.json", text_data.tokenizer_path())

suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
failed = len(result.failures) + len(result.errors)
print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
sys.exit(failed > 0)

"""Runs the tests beside this file and ends with "N passed, N failed", which .ci/run counts."""

import one_thread  # noqa: F401, I001  before all that loads numpy or torch

import sys
import unittest
from pathlib import Path

suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
result = unittest.TextTestRunner(stream=sys.stdout).run(suite)
failed = len(result.failures) + len(result.errors)
print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
sys.exit(failed > 0)

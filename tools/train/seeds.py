"""Whether two mechanisms differ by more than noise, from the short runs of three seeds (short-runs.json)."""

import math
import statistics

import checkpoint
import recipes
from paths import SHORT_RUNS

# Language models are judged by the held-out book's first tokens: eighteen runs are many.
TOKENS = 40_000
# Student's t for twice three seeds (4 degrees of freedom), two-sided at 5 %.
CRITICAL = 2.776


def figures():
    """{base name: [figure of each seed]}, by the recipes as they stand now."""
    known = checkpoint.read_json(SHORT_RUNS) if SHORT_RUNS.exists() else {}
    found = {}
    for base, runs in known.items():
        for seed, run in sorted(runs.items()):
            if base in recipes.ALL and run["recipe"] == recipes.find(f"{base}@{seed}"):
                found.setdefault(base, []).append(run["figure"])
    return found


def spread(values):
    """Mean and standard deviation (n - 1)."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def beyond_noise(values, others):
    """True, False, or None where three seeds of both are not there: is the difference of the means 5 % significant?"""
    if len(values) != len(recipes.SEEDS) or len(others) != len(recipes.SEEDS):
        return None
    error = math.sqrt((statistics.variance(values) + statistics.variance(others)) / len(values))
    return abs(statistics.mean(values) - statistics.mean(others)) > CRITICAL * error

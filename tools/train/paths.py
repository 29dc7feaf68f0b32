"""Where things are kept: unfinished training in the user's cache folder, finished checkpoints in the repository."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "demo" / "public" / "models"
FIXTURES = REPOSITORY / "test" / "fixtures"
SHORT_RUNS = REPOSITORY / "tools" / "train" / "short-runs.json"
GOLDEN = REPOSITORY / "test" / "golden"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "webgpu-attention" / "train"


def replace(path, write):
    """Calls `write` with a path beside `path`, then renames: a reader sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    write(partial)
    os.replace(partial, path)

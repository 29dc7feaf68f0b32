"""
Holds numpy and PyTorch to one thread: import this before either. Two runs on two cores are faster than one run on both,
and the order of a sum, and so its last bit, may depend on the number of threads.
"""

import os

THREADS = 1
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)

import torch  # noqa: E402

torch.set_num_threads(THREADS)

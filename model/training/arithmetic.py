"""How a GPU computes while a run lasts."""

import contextlib
from collections.abc import Iterator

import torch

from model.inference.device import TrainingPrecision


@contextlib.contextmanager
def training_arithmetic(precision: TrainingPrecision) -> Iterator[None]:
    """Let a GPU take its fastest kernels while a run in ``precision`` lasts.

    Convolutions keep their shapes for a whole run, so that it pays to try their algorithms once. In
    bfloat16 matrices are products of numbers of 8 binary digits, which TF32 holds exactly; where
    they are gradients, its 11 digits are as good as any.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, matmul.allow_tf32
    cudnn.benchmark, matmul.allow_tf32 = True, precision == "bfloat16"
    try:
        yield
    finally:
        cudnn.benchmark, matmul.allow_tf32 = before

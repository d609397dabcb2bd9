"""Quantisation-aware training: the net computes with the 8-bit weights it is shipped with.

Weights are rounded as the exporters round them (symmetric, one scale a row) for the forward and
the backward pass; the optimiser moves the weights behind them (the straight-through estimator,
Bengio et al. 2013). The states need none of this: the runtime keeps them in 16 and 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LARGEST = 127.0


def rounded(weight: Tensor) -> Tensor:
    """The matrix [rows, columns] as 8 bits and a scale a row can hold it; the same shape."""
    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LARGEST
    return torch.round(weight / scale) * scale


@contextmanager
def quantised_weights(net: nn.Module, active: bool = True) -> Iterator[None]:
    """Within it every matrix of the net is rounded; afterwards the exact ones are back."""
    matrices = [parameter for parameter in net.parameters() if parameter.dim() == 2]
    exact = [matrix.data for matrix in matrices]
    if active:
        for matrix in matrices:
            matrix.data = rounded(matrix.data)
    try:
        yield
    finally:
        for matrix, data in zip(matrices, exact, strict=True):
            matrix.data = data

"""What training computes step by step in time, as kernels for a GPU.

Each program of a kernel takes a block of elements of one step (of the LSTM) or of whole sequences
(of the compressor); the CPU's versions stand beside their callers. Imported only where a tensor
lies on a GPU: torch's builds for one bring Triton along.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256


@triton.jit
def _tanh(x):  # type: ignore[no-untyped-def]
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def _lstm_forward(  # type: ignore[no-untyped-def]
    gates, cells, next_cells, next_hiddens, squashed, width, total, bound, block: tl.constexpr
):
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < total
    z = gates + (at // width) * 4 * width + at % width
    i = tl.sigmoid(tl.load(z, inside))
    f = tl.sigmoid(tl.load(z + width, inside))
    g = _tanh(tl.load(z + 2 * width, inside))
    o = tl.sigmoid(tl.load(z + 3 * width, inside))
    cell = f * tl.load(cells + at, inside) + i * g
    cell = tl.minimum(tl.maximum(cell, -bound), bound)
    small = _tanh(cell)
    tl.store(z, i, inside)
    tl.store(z + width, f, inside)
    tl.store(z + 2 * width, g, inside)
    tl.store(z + 3 * width, o, inside)
    tl.store(next_cells + at, cell, inside)
    tl.store(squashed + at, small, inside)
    tl.store(next_hiddens + at, o * small, inside)


@triton.jit
def _lstm_backward(  # type: ignore[no-untyped-def]
    gates,
    cells,
    next_cells,
    squashed,
    grad_outputs,
    d_hidden,
    d_cell,
    grad_drive,
    width,
    total,
    bound,
    block: tl.constexpr,
):
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < total
    place = (at // width) * 4 * width + at % width
    i = tl.load(gates + place, inside)
    f = tl.load(gates + place + width, inside)
    g = tl.load(gates + place + 2 * width, inside)
    o = tl.load(gates + place + 3 * width, inside)
    small = tl.load(squashed + at, inside)
    hidden = tl.load(d_hidden + at, inside) + tl.load(grad_outputs + at, inside)
    cell = tl.load(d_cell + at, inside) + hidden * o * (1.0 - small * small)
    cell = tl.where(tl.abs(tl.load(next_cells + at, inside)) >= bound, 0.0, cell)
    tl.store(grad_drive + place, cell * g * i * (1.0 - i), inside)
    tl.store(grad_drive + place + width, cell * tl.load(cells + at, inside) * f * (1.0 - f), inside)
    tl.store(grad_drive + place + 2 * width, cell * i * (1.0 - g * g), inside)
    tl.store(grad_drive + place + 3 * width, hidden * small * o * (1.0 - o), inside)
    tl.store(d_cell + at, cell * f, inside)


@triton.jit
def _track(  # type: ignore[no-untyped-def]
    level,
    tracked,
    start,
    attack,
    release,
    channels,
    total,
    steps: tl.constexpr,
    block: tl.constexpr,
):
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < total
    place = (at // channels) * steps * channels + at % channels
    now = tl.zeros([block], tl.float32) + start
    for _ in range(steps):
        rise = tl.load(level + place, inside, other=0.0) - now
        now += rise * tl.where(rise > 0.0, attack, release)
        tl.store(tracked + place, now, inside)
        place += channels


def lstm_forward(
    gates: Tensor,
    cells: Tensor,
    next_cells: Tensor,
    next_hiddens: Tensor,
    squashed: Tensor,
    bound: float,
) -> None:
    """One step: gate inputs [batch, 4 width] to gates, in place, and the next states."""
    total, width = cells.numel(), cells.shape[1]
    _lstm_forward[(triton.cdiv(total, BLOCK),)](
        gates, cells, next_cells, next_hiddens, squashed, width, total, bound, BLOCK
    )


def lstm_backward(
    gates: Tensor,
    cells: Tensor,
    next_cells: Tensor,
    squashed: Tensor,
    grad_outputs: Tensor,
    d_hidden: Tensor,
    d_cell: Tensor,
    grad_drive: Tensor,
    bound: float,
) -> None:
    """One step back: the gradient of the gate inputs; `d_cell` moves to the step before."""
    total, width = cells.numel(), cells.shape[1]
    _lstm_backward[(triton.cdiv(total, BLOCK),)](
        gates,
        cells,
        next_cells,
        squashed,
        grad_outputs,
        d_hidden,
        d_cell,
        grad_drive,
        width,
        total,
        bound,
        BLOCK,
    )


def track(level: Tensor, start: float, attack: float, release: float) -> Tensor:
    """Tracked levels of momentary ones, both [batch, steps, channels], dB SPL."""
    batch, steps, channels = level.shape
    tracked = level.new_empty(level.shape)
    total = batch * channels
    _track[(triton.cdiv(total, 32),)](
        level, tracked, start, attack, release, channels, total, steps, 32
    )
    return tracked

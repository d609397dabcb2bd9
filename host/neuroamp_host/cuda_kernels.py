"""What training computes step by step in time, as kernels for a GPU.

Each program of a kernel takes a block of elements of one step (of the LSTM) or of whole sequences
(of the compressor); the CPU's versions stand beside their callers. Imported only where a tensor
lies on a GPU: torch's builds for one bring Triton along.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256
ROWS: tl.constexpr = tl.constexpr(16)
"""Signals of a program that computes whole sequences: the least that the matrix units take."""

PRODUCT = torch.bfloat16
"""Factors of the recurrent product where whole sequences are one kernel."""

WIDEST = 128
"""Of a layer whose recurrent weights fit into one processor of the GPU as bfloat16."""


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
def _lstm_sequence_forward(  # type: ignore[no-untyped-def]
    gates,
    recurrent,
    cells,
    hiddens,
    squashed,
    batch,
    bound,
    steps: tl.constexpr,
    width: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.arange(0, width)
    inside = (rows < batch)[:, None]
    at = rows[:, None] * width + k[None, :]
    place = rows[:, None] * 4 * width + k[None, :]
    # From the unit heard, down, to the unit driven, across.
    weights = recurrent + k[None, :] * width + k[:, None]
    to_i = tl.load(weights)
    to_f = tl.load(weights + width * width)
    to_g = tl.load(weights + 2 * width * width)
    to_o = tl.load(weights + 3 * width * width)
    cell = tl.load(cells + at, inside, other=0.0)
    hidden = tl.load(hiddens + at, inside, other=0.0)
    for t in range(steps):
        heard = hidden.to(to_i.dtype)
        z = gates + t * batch * 4 * width + place
        i = tl.sigmoid(tl.load(z, inside, other=0.0) + tl.dot(heard, to_i))
        f = tl.sigmoid(tl.load(z + width, inside, other=0.0) + tl.dot(heard, to_f))
        g = _tanh(tl.load(z + 2 * width, inside, other=0.0) + tl.dot(heard, to_g))
        o = tl.sigmoid(tl.load(z + 3 * width, inside, other=0.0) + tl.dot(heard, to_o))
        cell = tl.minimum(tl.maximum(f * cell + i * g, -bound), bound)
        small = _tanh(cell)
        hidden = o * small
        tl.store(z, i, inside)
        tl.store(z + width, f, inside)
        tl.store(z + 2 * width, g, inside)
        tl.store(z + 3 * width, o, inside)
        tl.store(cells + (t + 1) * batch * width + at, cell, inside)
        tl.store(squashed + t * batch * width + at, small, inside)
        tl.store(hiddens + (t + 1) * batch * width + at, hidden, inside)


@triton.jit
def _lstm_sequence_backward(  # type: ignore[no-untyped-def]
    gates,
    recurrent,
    cells,
    squashed,
    grad_outputs,
    d_hidden,
    d_cell,
    grad_drive,
    batch,
    bound,
    steps: tl.constexpr,
    width: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.arange(0, width)
    inside = (rows < batch)[:, None]
    at = rows[:, None] * width + k[None, :]
    place = rows[:, None] * 4 * width + k[None, :]
    # From the unit driven, down, back to the unit heard, across.
    weights = recurrent + k[:, None] * width + k[None, :]
    from_i = tl.load(weights)
    from_f = tl.load(weights + width * width)
    from_g = tl.load(weights + 2 * width * width)
    from_o = tl.load(weights + 3 * width * width)
    hidden_back = tl.load(d_hidden + at, inside, other=0.0)
    cell_back = tl.load(d_cell + at, inside, other=0.0)
    for back in range(steps):
        t = steps - 1 - back
        z = gates + t * batch * 4 * width + place
        d = grad_drive + t * batch * 4 * width + place
        step = t * batch * width + at
        i = tl.load(z, inside, other=0.0)
        f = tl.load(z + width, inside, other=0.0)
        g = tl.load(z + 2 * width, inside, other=0.0)
        o = tl.load(z + 3 * width, inside, other=0.0)
        small = tl.load(squashed + step, inside, other=0.0)
        hidden = hidden_back + tl.load(grad_outputs + step, inside, other=0.0)
        cell = cell_back + hidden * o * (1.0 - small * small)
        after = tl.load(cells + step + batch * width, inside, other=0.0)
        cell = tl.where(tl.abs(after) >= bound, 0.0, cell)
        d_i = cell * g * i * (1.0 - i)
        d_f = cell * tl.load(cells + step, inside, other=0.0) * f * (1.0 - f)
        d_g = cell * i * (1.0 - g * g)
        d_o = hidden * small * o * (1.0 - o)
        tl.store(d, d_i, inside)
        tl.store(d + width, d_f, inside)
        tl.store(d + 2 * width, d_g, inside)
        tl.store(d + 3 * width, d_o, inside)
        hidden_back = tl.dot(d_i.to(from_i.dtype), from_i)
        hidden_back += tl.dot(d_f.to(from_i.dtype), from_f)
        hidden_back += tl.dot(d_g.to(from_i.dtype), from_g)
        hidden_back += tl.dot(d_o.to(from_i.dtype), from_o)
        cell_back = cell * f
    tl.store(d_hidden + at, hidden_back, inside)
    tl.store(d_cell + at, cell_back, inside)


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


def fits(width: int) -> bool:
    """Whether a layer's whole sequence can be one kernel, its weights held where they are used."""
    return width in (16, 32, 64, WIDEST)


def lstm_sequence_forward(
    gates: Tensor, recurrent: Tensor, cells: Tensor, hiddens: Tensor, squashed: Tensor, bound: float
) -> None:
    """All steps: gate inputs [steps, batch, 4 width] to gates, and the states after state 0.

    The product with the recurrent weights [4 width, width] is of bfloat16, its sums of float32.
    """
    steps, batch, width = squashed.shape
    _lstm_sequence_forward[(triton.cdiv(batch, ROWS.value),)](
        gates,
        recurrent.to(PRODUCT).contiguous(),
        cells,
        hiddens,
        squashed,
        batch,
        bound,
        steps,
        width,
        num_warps=8,
    )


def lstm_sequence_backward(
    gates: Tensor,
    recurrent: Tensor,
    cells: Tensor,
    squashed: Tensor,
    grad_outputs: Tensor,
    d_hidden: Tensor,
    d_cell: Tensor,
    grad_drive: Tensor,
    bound: float,
) -> None:
    """All steps back; `d_hidden` and `d_cell` move from the last state to state 0."""
    steps, batch, width = squashed.shape
    _lstm_sequence_backward[(triton.cdiv(batch, ROWS.value),)](
        gates,
        recurrent.to(PRODUCT).contiguous(),
        cells,
        squashed,
        grad_outputs,
        d_hidden,
        d_cell,
        grad_drive,
        batch,
        bound,
        steps,
        width,
        num_warps=8,
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

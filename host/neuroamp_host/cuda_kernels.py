"""What training computes step by step in time, as kernels for a GPU.

Each program of a kernel takes a block of elements of one step (of the LSTM) or of whole sequences
(of the compressor); the CPU's versions stand beside their callers. Imported only where a tensor
lies on a GPU: torch's builds for one bring Triton along.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from neuroamp.wdrc import STEADYING_LOUDEST, STEADYING_REACH_DB
from torch import Tensor

BLOCK = 256

SEQUENCE_ROWS = 16
"""Signals of a batch in one program of a whole-sequence kernel; a matrix unit takes no fewer."""

FORWARD_WARPS = 16
BACKWARD_WARPS = 8
"""The faster of 8 and 16 on an H100, at 128 units."""


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
def _weights(at, width: tl.constexpr):  # type: ignore[no-untyped-def]
    """The four gates' matrices, the first of which lies at the pointers `at`."""
    size: tl.constexpr = width * width
    return tl.load(at), tl.load(at + size), tl.load(at + 2 * size), tl.load(at + 3 * size)


@triton.jit
def _gates(at, inside, width: tl.constexpr):  # type: ignore[no-untyped-def]
    """Values of the four gates, the first of which lie at the pointers `at`."""
    i = tl.load(at, inside, other=0.0)
    f = tl.load(at + width, inside, other=0.0)
    g = tl.load(at + 2 * width, inside, other=0.0)
    o = tl.load(at + 3 * width, inside, other=0.0)
    return i, f, g, o


@triton.jit
def _store_gates(at, i, f, g, o, inside, width: tl.constexpr):  # type: ignore[no-untyped-def]
    tl.store(at, i, inside)
    tl.store(at + width, f, inside)
    tl.store(at + 2 * width, g, inside)
    tl.store(at + 3 * width, o, inside)


@triton.jit
def _lstm_sequence_forward(  # type: ignore[no-untyped-def]
    gates,
    recurrent,
    cells,
    hiddens,
    batch,
    steps,
    bound,
    width: tl.constexpr,
    rows: tl.constexpr,
):
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    unit = tl.arange(0, width)
    inside = (row < batch)[:, None]
    weight = recurrent + unit[None, :] * width + unit[:, None]
    w_i, w_f, w_g, w_o = _weights(weight, width)
    place = row[:, None] * width + unit[None, :]
    z = gates + row[:, None] * 4 * width + unit[None, :]
    cell = tl.load(cells + place, inside, other=0.0)
    hidden = tl.load(hiddens + place, inside, other=0.0).to(tl.float16)
    next_i, next_f, next_g, next_o = _gates(z, inside, width)
    for t in range(steps):
        z_i, z_f, z_g, z_o = next_i, next_f, next_g, next_o
        # Asked for a step ahead (the last step for itself): memory is slower than a step.
        following = z + (tl.minimum(t + 1, steps - 1) - t) * batch * 4 * width
        next_i, next_f, next_g, next_o = _gates(following, inside, width)
        i = tl.sigmoid(tl.dot(hidden, w_i, z_i))
        f = tl.sigmoid(tl.dot(hidden, w_f, z_f))
        g = _tanh(tl.dot(hidden, w_g, z_g))
        o = tl.sigmoid(tl.dot(hidden, w_o, z_o))
        cell = f * cell + i * g
        cell = tl.minimum(tl.maximum(cell, -bound), bound)
        out = o * _tanh(cell)
        hidden = out.to(tl.float16)
        _store_gates(z, i, f, g, o, inside, width)
        place += batch * width
        tl.store(cells + place, cell, inside)
        tl.store(hiddens + place, out, inside)
        z = following


@triton.jit
def _as_halves(gradient, scale):  # type: ignore[no-untyped-def]
    """Gradients scaled into the range of 16-bit numbers."""
    return tl.minimum(tl.maximum(gradient * scale, -60000.0), 60000.0).to(tl.float16)


@triton.jit
def _lstm_sequence_backward(  # type: ignore[no-untyped-def]
    gates,
    recurrent,
    cells,
    grad_outputs,
    grad_hidden,
    grad_cell,
    grad_drive,
    scales,
    batch,
    steps,
    bound,
    width: tl.constexpr,
    rows: tl.constexpr,
):
    row = tl.program_id(0) * rows + tl.arange(0, rows)
    unit = tl.arange(0, width)
    inside = (row < batch)[:, None]
    weight = recurrent + unit[:, None] * width + unit[None, :]
    w_i, w_f, w_g, w_o = _weights(weight, width)
    scale = tl.load(scales)
    first = row[:, None] * width + unit[None, :]
    d_hidden = tl.load(grad_hidden + first, inside, other=0.0)
    d_cell = tl.load(grad_cell + first, inside, other=0.0)
    last = tl.full([1, 1], steps - 1, tl.int64) * batch * width
    z = gates + (row[:, None] * 4 * width + unit[None, :] + 4 * last)
    place = first + last
    wide = row[:, None] * 4 * width + unit[None, :] + 4 * last
    after = tl.load(cells + place + batch * width, inside, other=0.0)
    next_i, next_f, next_g, next_o = _gates(z, inside, width)
    next_before = tl.load(cells + place, inside, other=0.0)
    next_out = tl.load(grad_outputs + place, inside, other=0.0)
    for t in range(steps):
        i, f, g, o = next_i, next_f, next_g, next_o
        before, d_out = next_before, next_out + d_hidden
        # Asked for a step ahead (the first step for itself): memory is slower than a step.
        back = (tl.minimum(t + 1, steps - 1) - t) * batch * width
        z -= 4 * back
        next_i, next_f, next_g, next_o = _gates(z, inside, width)
        next_before = tl.load(cells + place - back, inside, other=0.0)
        next_out = tl.load(grad_outputs + place - back, inside, other=0.0)
        small = _tanh(after)
        cell = d_cell + d_out * o * (1.0 - small * small)
        cell = tl.where(tl.abs(after) >= bound, 0.0, cell)
        d_i = cell * g * i * (1.0 - i)
        d_f = cell * before * f * (1.0 - f)
        d_g = cell * i * (1.0 - g * g)
        d_o = d_out * small * o * (1.0 - o)
        d_cell = cell * f
        after = before
        _store_gates(grad_drive + wide, d_i, d_f, d_g, d_o, inside, width)
        d_hidden = tl.dot(_as_halves(d_i, scale), w_i)
        d_hidden = tl.dot(_as_halves(d_f, scale), w_f, d_hidden)
        d_hidden = tl.dot(_as_halves(d_g, scale), w_g, d_hidden)
        d_hidden = tl.dot(_as_halves(d_o, scale), w_o, d_hidden) / scale
        place -= back
        wide -= 4 * back
    tl.store(grad_hidden + first, d_hidden, inside)
    tl.store(grad_cell + first, d_cell, inside)


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


@triton.jit
def _running_mean_db(  # type: ignore[no-untyped-def]
    level_db,
    weight,
    means_db,
    share,
    loudest,
    reach_db,
    values,
    total,
    steps: tl.constexpr,
    block: tl.constexpr,
):
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < total
    place = (at // values) * steps * values + at % values
    mean_weight = tl.load(weight + place, inside, other=1.0)
    mean_db = tl.load(level_db + place, inside, other=0.0)
    for _ in range(steps):
        now = tl.minimum(tl.load(weight + place, inside, other=1.0), loudest * mean_weight)
        mean_weight += share * (now - mean_weight)
        away_db = tl.load(level_db + place, inside, other=0.0) - mean_db
        away_db = tl.minimum(tl.maximum(away_db, -reach_db), reach_db)
        mean_db += share * now / mean_weight * away_db
        tl.store(means_db + place, mean_db, inside)
        place += values


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


def takes_whole_sequences(width: int) -> bool:
    """Whether a layer's recurrent weights fit beside a multiprocessor, so that one kernel can
    run all its steps: a power of two up to 128."""
    return width in (16, 32, 64, 128)


def lstm_sequence_forward(
    gates: Tensor, recurrent: Tensor, cells: Tensor, hiddens: Tensor, bound: float
) -> None:
    """All steps: gate inputs [steps, batch, 4 width] to gates, in place, and the states.

    The products are of 16-bit numbers, summed in 32 bits.
    """
    steps, batch, width = gates.shape[0], gates.shape[1], gates.shape[2] // 4
    _lstm_sequence_forward[(triton.cdiv(batch, SEQUENCE_ROWS),)](
        gates,
        recurrent.to(torch.float16),
        cells,
        hiddens,
        batch,
        steps,
        bound,
        width,
        SEQUENCE_ROWS,
        num_warps=FORWARD_WARPS,
        num_stages=1,
    )


def lstm_sequence_backward(
    gates: Tensor,
    recurrent: Tensor,
    cells: Tensor,
    grad_outputs: Tensor,
    d_hidden: Tensor,
    d_cell: Tensor,
    grad_drive: Tensor,
    bound: float,
) -> None:
    """All steps back, as `lstm_backward` with the product after it, of 16-bit numbers.

    What they are scaled with lets gradients grow to 600 times the largest that comes in.
    """
    steps, batch, width = grad_outputs.shape
    largest = torch.maximum(grad_outputs.abs().amax(), d_hidden.abs().amax())
    scale = 100.0 / torch.clamp(largest, min=1e-20)
    _lstm_sequence_backward[(triton.cdiv(batch, SEQUENCE_ROWS),)](
        gates,
        recurrent.to(torch.float16),
        cells,
        grad_outputs,
        d_hidden,
        d_cell,
        grad_drive,
        scale,
        batch,
        steps,
        bound,
        width,
        SEQUENCE_ROWS,
        num_warps=BACKWARD_WARPS,
        num_stages=1,
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


def running_mean_db(level_db: Tensor, weight: Tensor, share: float) -> Tensor:
    """Weighted running means, all [batch, steps, values]; see `training.examples`."""
    batch, steps, values = level_db.shape
    means_db = level_db.new_empty(level_db.shape)
    total = batch * values
    _running_mean_db[(triton.cdiv(total, 32),)](
        level_db,
        weight,
        means_db,
        share,
        STEADYING_LOUDEST,
        STEADYING_REACH_DB,
        values,
        total,
        steps,
        32,
    )
    return means_db

"""An LSTM layer whose cell state is bounded, so that it survives quantisation.

The cell of a freely trained LSTM can grow to hundreds, which no 8- or 16-bit scale holds
beside values near one; here it is clamped to `CELL_BOUND` in training as on the device. Where
the clamp is active its gradient is zero. The backward pass is written out (backpropagation
through time after Graves 2012, ch. 4): a Python loop under autograd is several times slower on
a CPU, and torch's own LSTM has no clamp.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CELL_BOUND = 4.0
"""Bound of the cell state; tanh(4) is 0.9993, so nothing that the output can tell is lost."""


class _Sequence(torch.autograd.Function):
    """All steps of one layer. Gate order in the last axis: input, forget, candidate, output."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, drive: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, batch, width = drive.shape[0], drive.shape[1], hidden.shape[1]
        # tanh(x) = 2 sigmoid(2 x) - 1: with the candidate's rows doubled, one sigmoid over a
        # contiguous block serves all four gates.
        candidate = slice(2 * width, 3 * width)
        gates = drive.clone()
        gates[:, :, candidate] *= 2.0
        cells = drive.new_empty(steps + 1, batch, width)
        hiddens = drive.new_empty(steps + 1, batch, width)
        squashed = drive.new_empty(steps, batch, width)
        cells[0], hiddens[0] = cell, hidden
        weights = recurrent.t().contiguous()
        weights[:, candidate] *= 2.0
        for t in range(steps):
            z = gates[t].addmm_(hiddens[t], weights).sigmoid_()
            z[:, candidate].mul_(2.0).sub_(1.0)
            i, f, g, o = z.split(width, dim=1)
            torch.mul(f, cells[t], out=cells[t + 1])
            cells[t + 1].addcmul_(i, g).clamp_(-CELL_BOUND, CELL_BOUND)
            torch.tanh(cells[t + 1], out=squashed[t])
            torch.mul(o, squashed[t], out=hiddens[t + 1])
        ctx.save_for_backward(recurrent, gates, cells, hiddens, squashed)
        return hiddens[1:].clone(), hiddens[-1].clone(), cells[-1].clone()

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad_outputs: Tensor, grad_hidden: Tensor, grad_cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        recurrent, gates, cells, hiddens, squashed = ctx.saved_tensors
        steps, _, width = squashed.shape
        i, f, g, o = gates.split(width, dim=2)
        # Everything that does not depend on the recursion, for all steps at once.
        through_tanh = o * (1.0 - squashed * squashed)
        free = (cells[1:].abs() < CELL_BOUND).to(cells.dtype)
        slope_i = g * i * (1.0 - i)
        slope_f = cells[:-1] * f * (1.0 - f)
        slope_g = i * (1.0 - g * g)
        slope_o = squashed * o * (1.0 - o)
        grad_drive = torch.empty_like(gates)
        d_hidden, d_cell = grad_hidden.clone(), grad_cell.clone()
        for t in range(steps - 1, -1, -1):
            d_hidden = d_hidden + grad_outputs[t]
            d_cell = d_cell.addcmul(d_hidden, through_tanh[t]).mul_(free[t])
            d_gates = grad_drive[t]
            torch.mul(d_cell, slope_i[t], out=d_gates[:, :width])
            torch.mul(d_cell, slope_f[t], out=d_gates[:, width : 2 * width])
            torch.mul(d_cell, slope_g[t], out=d_gates[:, 2 * width : 3 * width])
            torch.mul(d_hidden, slope_o[t], out=d_gates[:, 3 * width :])
            d_cell = d_cell * f[t]
            d_hidden = d_gates @ recurrent
        flat = grad_drive.reshape(-1, 4 * width)
        grad_recurrent = flat.t() @ hiddens[:-1].reshape(-1, width)
        return grad_drive, grad_recurrent, d_hidden, d_cell


class BoundedLstm(nn.Module):
    """One LSTM layer with one bias per gate (as Keras counts) and a clamped cell.

    Shapes: input [batch, steps, inputs], states [batch, width]; gates in the order input,
    forget, candidate, output.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.input_weight = nn.Parameter(torch.empty(4 * width, inputs))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * width, width))
        self.bias = nn.Parameter(torch.zeros(4 * width))
        nn.init.xavier_uniform_(self.input_weight)
        for gate in self.recurrent_weight.data.split(width):
            nn.init.orthogonal_(gate)
        # Gers et al. (2000): begin by remembering.
        self.bias.data[width : 2 * width] = 1.0

    def forward(
        self, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Outputs [batch, steps, width] and the last hidden and cell state."""
        batch = inputs.shape[0]
        if state is None:
            zeros = inputs.new_zeros(batch, self.width)
            state = (zeros, zeros)
        drive = nn.functional.linear(inputs.transpose(0, 1), self.input_weight, self.bias)
        outputs, hidden, cell = _Sequence.apply(
            drive.contiguous(), self.recurrent_weight, state[0], state[1]
        )
        return outputs.transpose(0, 1), (hidden, cell)

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """One step in plain operations, for export: [batch, inputs] to the next states."""
        z = nn.functional.linear(inputs, self.input_weight, self.bias) + nn.functional.linear(
            hidden, self.recurrent_weight
        )
        i, f, g, o = z.split(self.width, dim=1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        cell = torch.clamp(cell, -CELL_BOUND, CELL_BOUND)
        return torch.sigmoid(o) * torch.tanh(cell), cell

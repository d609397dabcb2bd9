"""An LSTM layer whose cell state is bounded, so that it survives quantisation.

The cell of a freely trained LSTM can grow to hundreds, which no 8- or 16-bit scale holds
beside values near one; here it is clamped to `CELL_BOUND` in training as on the device. Where
the clamp is active its gradient is zero. The backward pass is written out (backpropagation
through time after Graves 2012, ch. 4), and what follows a step's matrix product is one compiled
loop: dozens of small operations a step, under autograd above all, cost several times the products,
and torch's own LSTM has no clamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numba import njit
from torch import Tensor, nn

from neuroamp_host.vector_math import fast_exp

CELL_BOUND = 4.0
"""Bound of the cell state; tanh(4) is 0.9993, so nothing that the output can tell is lost."""

_LARGEST = 80.0
"""Arguments of the exponential are clamped to this; its sigmoid is 0 or 1 long before."""


@njit(inline="always")
def _sigmoid(x):  # type: ignore[no-untyped-def]  # numba infers
    """1 / (1 + exp(-x)), without branches, so that loops of it become SIMD; NaN stays NaN."""
    bounded = min(max(x, -_LARGEST), _LARGEST) + (x - x)
    return 1.0 / (1.0 + fast_exp(-bounded))


@njit(cache=True, error_model="numpy")
def _to_sigmoid(values):  # type: ignore[no-untyped-def]
    """Sigmoid of [n], in place, so that the compiler need not ask whether two arrays overlap."""
    for k in range(values.size):
        values[k] = _sigmoid(values[k])


@njit(cache=True, error_model="numpy")
def _to_tanh(values):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent of [n], in place."""
    for k in range(values.size):
        values[k] = 2.0 * _sigmoid(2.0 * values[k]) - 1.0


@njit(cache=True, error_model="numpy")
def _forward_step(gates, cells, hiddens, squashed, t):  # type: ignore[no-untyped-def]
    """Gate inputs [batch, 4 width] of step t to gates, and the states of step t + 1."""
    batch, width = squashed.shape[1:]
    for row in range(batch):
        z, small = gates[t, row], squashed[t, row]
        _to_sigmoid(z[: 2 * width])
        _to_tanh(z[2 * width : 3 * width])
        _to_sigmoid(z[3 * width :])
        for k in range(width):
            cell = z[width + k] * cells[t, row, k] + z[k] * z[2 * width + k]
            cell = min(max(cell, -CELL_BOUND), CELL_BOUND) + (cell - cell)
            cells[t + 1, row, k] = cell
            small[k] = cell
        _to_tanh(small)
        for k in range(width):
            hiddens[t + 1, row, k] = z[3 * width + k] * small[k]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _backward_step(  # type: ignore[no-untyped-def]
    gates, cells, squashed, grad_outputs, d_hidden, d_cell, grad_drive, t
):
    """Gradients of step t's gate inputs from those of its states; `d_cell` moves to step t - 1."""
    batch, width = squashed.shape[1:]
    for row in range(batch):
        z, d = gates[t, row], grad_drive[t, row]
        for k in range(width):
            i, f = z[k], z[width + k]
            g, o = z[2 * width + k], z[3 * width + k]
            small = squashed[t, row, k]
            hidden = d_hidden[row, k] + grad_outputs[t, row, k]
            cell = d_cell[row, k] + hidden * o * (1.0 - small * small)
            if abs(cells[t + 1, row, k]) >= CELL_BOUND:
                cell *= 0.0
            d[k] = cell * g * i * (1.0 - i)
            d[width + k] = cell * cells[t, row, k] * f * (1.0 - f)
            d[2 * width + k] = cell * i * (1.0 - g * g)
            d[3 * width + k] = hidden * small * o * (1.0 - o)
            d_cell[row, k] = cell * f


class _Sequence(torch.autograd.Function):
    """All steps of one layer. Gate order in the last axis: input, forget, candidate, output."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, drive: Tensor, recurrent: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, batch, width = drive.shape[0], drive.shape[1], hidden.shape[1]
        gates = drive.clone()
        cells = drive.new_empty(steps + 1, batch, width)
        hiddens = drive.new_empty(steps + 1, batch, width)
        squashed = drive.new_empty(steps, batch, width)
        cells[0], hiddens[0] = cell, hidden
        weights = recurrent.t().contiguous()
        if drive.is_cuda:
            from neuroamp_host import cuda_kernels

            if cuda_kernels.takes_whole_sequences(width):
                cuda_kernels.lstm_sequence_forward(
                    gates, recurrent.detach(), cells, hiddens, CELL_BOUND
                )
            else:
                for t in range(steps):
                    gates[t].addmm_(hiddens[t], weights)
                    cuda_kernels.lstm_forward(
                        gates[t], cells[t], cells[t + 1], hiddens[t + 1], squashed[t], CELL_BOUND
                    )
        else:
            z, c, h, s = (tensor.numpy() for tensor in (gates, cells, hiddens, squashed))
            for t in range(steps):
                gates[t].addmm_(hiddens[t], weights)
                _forward_step(z, c, h, s, t)
        ctx.save_for_backward(recurrent, gates, cells, hiddens, squashed)
        return hiddens[1:].clone(), hiddens[-1].clone(), cells[-1].clone()

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad_outputs: Tensor, grad_hidden: Tensor, grad_cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        recurrent, gates, cells, hiddens, squashed = ctx.saved_tensors
        steps, _, width = squashed.shape
        grad_drive = torch.empty_like(gates)
        d_hidden, d_cell = grad_hidden.clone(), grad_cell.clone()
        weights = recurrent.detach().contiguous()
        grad_outputs = grad_outputs.contiguous()
        if gates.is_cuda:
            from neuroamp_host import cuda_kernels

            if cuda_kernels.takes_whole_sequences(width):
                cuda_kernels.lstm_sequence_backward(
                    gates,
                    weights,
                    cells,
                    grad_outputs,
                    d_hidden,
                    d_cell,
                    grad_drive,
                    CELL_BOUND,
                )
            else:
                for t in range(steps - 1, -1, -1):
                    cuda_kernels.lstm_backward(
                        gates[t],
                        cells[t],
                        cells[t + 1],
                        squashed[t],
                        grad_outputs[t],
                        d_hidden,
                        d_cell,
                        grad_drive[t],
                        CELL_BOUND,
                    )
                    torch.mm(grad_drive[t], weights, out=d_hidden)
        else:
            z, c, s = gates.numpy(), cells.numpy(), squashed.numpy()
            d_out, d_z = grad_outputs.numpy(), grad_drive.numpy()
            d_h, d_c = d_hidden.numpy(), d_cell.numpy()
            for t in range(steps - 1, -1, -1):
                _backward_step(z, c, s, d_out, d_h, d_c, d_z, t)
                torch.mm(grad_drive[t], weights, out=d_hidden)
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


class TwoWayLstm(nn.Module):
    """A layer forwards and one backwards in time, joined: [batch, steps, 2 width]."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.forwards = BoundedLstm(inputs, width)
        self.backwards = BoundedLstm(inputs, width)

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Outputs [batch, steps, 2 width]; there is no state to go on from."""
        later, _ = self.backwards(inputs.flip(1))
        earlier, _ = self.forwards(inputs)
        return torch.cat([earlier, later.flip(1)], dim=2), None


class LstmStack(nn.ModuleList):
    """LSTM layers, each on the outputs of the one before.

    Args:
        inputs: width of what the first layer takes.
        widths: of each layer; of each of its directions where they run both ways.
        two_way: whether the layers run both ways, which leaves no `step`.
    """

    def __init__(self, inputs: int, widths: Sequence[int], two_way: bool = False) -> None:
        super().__init__()
        self._widths = tuple(widths)
        for width in widths:
            self.append(TwoWayLstm(inputs, width) if two_way else BoundedLstm(inputs, width))
            inputs = 2 * width if two_way else width
        self.output_width = inputs

    @property
    def state_widths(self) -> dict[str, int]:
        """Widths of the states by name: `hidden0`, `cell0`, `hidden1`, ..."""
        return {
            f"{kind}{layer}": width
            for layer, width in enumerate(self._widths)
            for kind in ("hidden", "cell")
        }

    def forward(self, sequence: Tensor) -> Tensor:
        """Outputs [batch, steps, output_width] of [batch, steps, inputs]."""
        for layer in self:
            sequence, _ = layer(sequence)
        return sequence

    def step(self, value: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One step, [1, inputs] and the states, to the output [1, width] and the next states."""
        following: list[Tensor] = []
        for index, layer in enumerate(self):
            assert isinstance(layer, BoundedLstm)
            value, cell = layer.step(value, states[2 * index], states[2 * index + 1])
            following += [value, cell]
        return value, following

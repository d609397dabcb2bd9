"""The quantised LSTM net in integers: the readable specification of device/core/src/lstm.c.

int8 weights with one scale a row, int16 inputs and hidden states, int32 cell states. Hidden
states have 16 bits because their rounding errors feed back and grow with the stream; what 8 bits
would cost, tools/measure_state_width.py measures. A cell that remembers for minutes has a forget
gate within 1e-4 of one, which 16 bits hardly tell from one: in place of the gate a table has the
root of what is forgotten, whose square keeps its digits. All of it is integer arithmetic, so that
C equals it exactly on every target.

Fixed-point formats ('Qn': the number times 2^n): features and listener units Q13, hidden states
and activations Q15, gate inputs Q14, cell states Q29 (saturating, and so bounded to -4..4
as in training).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.features import AUDIOGRAM_SPAN_DB

FEATURE_BITS = 13
GATE_BITS = 14
HIDDEN_BITS = 15
CELL_BITS = 29

MULTIPLIER_BITS = 31
MAX_MULTIPLIER = 1 << 29
MAX_BIAS = 1 << 29
"""Bounds with which the sum of three products and a bias stays within 32 bits."""

MAX_COLUMNS = 480
"""Longest row whose sum of int8 times int16 cannot leave 32 bits."""

ACTIVATION_END = 8
ACTIVATION_STEP_BITS = 6
"""Tables of activations have points 1/64 apart from -8 to 8; in between they are linear."""

FORGETTING_END = 16
FORGETTING_STEP_BITS = 5
"""The table of what is forgotten has points 1/32 apart from -16 to 16."""

Integers = NDArray[np.int64]


def activation_tables() -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Sigmoid and tanh in Q15, each of shape [1025]; one itself is not in the format."""
    points = np.arange(-ACTIVATION_END, ACTIVATION_END + 1e-9, 2.0**-ACTIVATION_STEP_BITS)
    one = 2**HIDDEN_BITS
    tables = (1.0 / (1.0 + np.exp(-points)), np.tanh(points))
    sigmoid, tanh = (np.clip(np.rint(t * one), 1 - one, one - 1).astype(np.int16) for t in tables)
    return sigmoid, tanh


def forgetting_table() -> NDArray[np.int16]:
    """Root of one minus the sigmoid, Q15, shape [1025]; one itself is not in the format."""
    points = np.arange(-FORGETTING_END, FORGETTING_END + 1e-9, 2.0**-FORGETTING_STEP_BITS)
    one = 2**HIDDEN_BITS
    root = np.sqrt(1.0 / (1.0 + np.exp(points)))
    return np.minimum(np.rint(root * one), one - 1).astype(np.int16)


@dataclasses.dataclass(frozen=True)
class IntegerMatrix:
    """A matrix and what makes gate inputs of its sums.

    Attributes:
        weights: int8, shape [rows, columns].
        multipliers: int32, shape [rows], 0 to `MAX_MULTIPLIER`: a row's sum times this, divided
            by 2^31, is in Q14.
        bias: int32, shape [rows], Q14; None where another matrix has it.
    """

    weights: NDArray[np.int8]
    multipliers: NDArray[np.int32]
    bias: NDArray[np.int32] | None = None

    def __call__(self, x: ArrayLike) -> Integers:
        """Q14 values, shape [rows], of an int16 vector, shape [columns]."""
        sums = self.weights.astype(np.int64) @ np.asarray(x, dtype=np.int64)
        scaled = shift_right(sums * self.multipliers.astype(np.int64), MULTIPLIER_BITS)
        return scaled if self.bias is None else scaled + self.bias.astype(np.int64)


@dataclasses.dataclass(frozen=True)
class IntegerWeights:
    """A whole quantised net; gates in the order input, forget, candidate, output.

    Attributes:
        audiogram: six points to listener units (ReLU).
        listener: listener units to the first layer's gates.
        inputs, recurrents: per layer, to the gates.
        output: the last hidden state to the net's output.
    """

    audiogram: IntegerMatrix
    listener: IntegerMatrix
    inputs: tuple[IntegerMatrix, ...]
    recurrents: tuple[IntegerMatrix, ...]
    output: IntegerMatrix

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of units of each layer."""
        return tuple(matrix.weights.shape[1] for matrix in self.recurrents)


def shift_right(value: Integers, bits: int) -> Integers:
    """Division by 2^bits, rounded to nearest, halves upwards."""
    return (value + (1 << (bits - 1))) >> bits


def to_int16(value: ArrayLike, bits: int) -> Integers:
    """Qn of float32 numbers: rounded to nearest, halves away from zero, and saturated."""
    scaled = np.asarray(value, dtype=np.float32) * np.float32(2**bits)
    bounded = np.clip(scaled, np.float32(-32767.0), np.float32(32767.0))
    return np.trunc(bounded + np.copysign(np.float32(0.5), bounded)).astype(np.int64)


class IntegerNet:
    """Runs a quantised net step by step for one listener."""

    def __init__(self, weights: IntegerWeights, output_is_gain: bool) -> None:
        """A net at rest; `output_is_gain` chooses sigmoid (else ReLU) at the output."""
        self.weights = weights
        self._output_is_gain = output_is_gain
        self._sigmoid, self._tanh = (table.astype(np.int64) for table in activation_tables())
        self._forgetting = forgetting_table().astype(np.int64)
        self._listener = np.zeros(4 * weights.widths[0], dtype=np.int64)
        self.reset()

    def reset(self) -> None:
        """Sets all states to zero."""
        self.hidden = [np.zeros(width, dtype=np.int64) for width in self.weights.widths]
        self.cell = [np.zeros(width, dtype=np.int64) for width in self.weights.widths]

    def set_audiogram(self, thresholds_db_hl: ArrayLike) -> None:
        """Prepares for a listener: thresholds [6] in dB HL."""
        thresholds = np.asarray(thresholds_db_hl, dtype=np.float32)
        # One rounding, as in C: the scale is one float32 number.
        per_db = np.float32(2.0**FEATURE_BITS / AUDIOGRAM_SPAN_DB)
        points = to_int16(thresholds * per_db, 0)
        units = np.maximum(self.weights.audiogram(points), 0)
        to_q13 = shift_right(units, GATE_BITS - FEATURE_BITS)
        self._listener = self.weights.listener(np.minimum(to_q13, 32767))

    def step(self, features: ArrayLike) -> NDArray[np.float32]:
        """The net's output, shape [features], of features in the net's units, same shape."""
        value = to_int16(features, FEATURE_BITS)
        for layer in range(len(self.weights.inputs)):
            value = self._step_layer(layer, value)
        z = self.weights.output(value)
        if self._output_is_gain:
            return (self._activate(self._sigmoid, z) / 2.0**HIDDEN_BITS).astype(np.float32)
        return (np.maximum(z, 0) / 2.0**GATE_BITS).astype(np.float32)

    def _step_layer(self, layer: int, value: Integers) -> Integers:
        z = self.weights.inputs[layer](value) + self.weights.recurrents[layer](self.hidden[layer])
        if layer == 0:
            z = z + self._listener
        z_take, z_keep, z_candidate, z_give = np.split(z, 4)
        take = self._activate(self._sigmoid, z_take)
        root = self._activate(self._forgetting, z_keep, FORGETTING_END, FORGETTING_STEP_BITS)
        candidate = self._activate(self._tanh, z_candidate)
        give = self._activate(self._sigmoid, z_give)
        forgotten = shift_right(self.cell[layer] * (2 * root * root), MULTIPLIER_BITS)
        kept = self.cell[layer] - forgotten
        added = shift_right(take * candidate, 2 * HIDDEN_BITS - CELL_BITS)
        self.cell[layer] = np.clip(kept + added, -(1 << 31), (1 << 31) - 1)
        squashed = self._activate(self._tanh, shift_right(self.cell[layer], CELL_BITS - GATE_BITS))
        self.hidden[layer] = shift_right(give * squashed, HIDDEN_BITS)
        return self.hidden[layer]

    @staticmethod
    def _activate(
        table: Integers,
        z: Integers,
        end_at: int = ACTIVATION_END,
        steps_in_one: int = ACTIVATION_STEP_BITS,
    ) -> Integers:
        end = end_at << GATE_BITS
        position = np.clip(z, -end, end - 1) + end
        step_bits = GATE_BITS - steps_in_one
        index, fraction = position >> step_bits, position & ((1 << step_bits) - 1)
        mixed = table[index] * ((1 << step_bits) - fraction) + table[index + 1] * fraction
        return shift_right(mixed, step_bits)

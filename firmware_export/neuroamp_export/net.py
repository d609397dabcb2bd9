"""What the exporters need of a net, and the step that they write down.

Nothing here knows the trainer: a net is anything with a profile, named states and a step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from neuroamp.model_file import ModelInfo
from neuroamp.profile import Profile
from numpy.typing import NDArray
from torch import Tensor, nn

Floats32 = NDArray[np.float32]

CELL_BOUND = 4.0
"""The nets clamp the cell state of every LSTM layer to plus and minus this."""


class StreamingNet(Protocol):
    """A causal net, one frame at a time, with its states outside."""

    @property
    def profile(self) -> Profile:
        """What the net was trained for."""
        ...

    @property
    def state_shapes(self) -> dict[str, tuple[int, int]]:
        """Names and shapes, (1, width), of the states, in the order in which `step` takes them;
        in a net of LSTM layers `hidden0`, `cell0`, `hidden1`, ..."""
        ...

    def step(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """[1, features], [1, 6] and the states to the output [1, features] and the next states."""
        ...

    def state_dict(self) -> Mapping[str, Tensor]:
        """The weights by name, as torch has it."""
        ...


@dataclasses.dataclass(frozen=True)
class Stream:
    """What a net hears of one listener's stream.

    Attributes:
        features: [steps, features], as `neuroamp.features.Features` gives them.
        audiogram: [6], as `neuroamp.features.audiogram_input` gives it.
    """

    features: Floats32
    audiogram: Floats32


@dataclasses.dataclass(frozen=True)
class Dense:
    """One matrix product: `weight` [outputs, inputs], `bias` [outputs]."""

    weight: Floats32
    bias: Floats32


@dataclasses.dataclass(frozen=True)
class RecurrentWeights:
    """The weights of a net of LSTM layers, each layer as one matrix product.

    Attributes:
        audiogram: the layer on the audiogram, followed by ReLU and joined to the features.
        layers: per LSTM layer the product that takes [inputs | hidden] to the gates; its rows are
            those of the input, forget and output gate, which share the sigmoid, and then those of
            the candidate: [4 width, inputs + width].
        output: the last layer.
        gains: whether a sigmoid follows it ('band-gain'), else ReLU ('log-magnitude').
    """

    audiogram: Dense
    layers: tuple[Dense, ...]
    output: Dense
    gains: bool


def is_lstm_stack(net: StreamingNet) -> bool:
    """Whether the net is made of LSTM layers between two dense ones, and of nothing else."""
    dense = {
        f"{layer}_layer.{part}" for layer in ("audiogram", "output") for part in ("weight", "bias")
    }
    recurrent = {
        f"layers.{index}.{part}"
        for index in range(len(net.state_shapes) // 2)
        for part in ("input_weight", "recurrent_weight", "bias")
    }
    return set(net.state_dict()) == dense | recurrent


def recurrent_weights(net: StreamingNet) -> RecurrentWeights:
    """The weights of a net that `is_lstm_stack`, rearranged; it keeps its own order, torch's."""
    found = {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}
    layers = []
    for index in range(len(net.state_shapes) // 2):
        matrices = [found[f"layers.{index}.{kind}_weight"] for kind in ("input", "recurrent")]
        joined = np.concatenate(matrices, axis=1)
        bias = found[f"layers.{index}.bias"]
        layers.append(Dense(_output_gate_third(joined), _output_gate_third(bias)))
    return RecurrentWeights(
        Dense(found["audiogram_layer.weight"], found["audiogram_layer.bias"]),
        tuple(layers),
        Dense(found["output_layer.weight"], found["output_layer.bias"]),
        net.profile.output == "band-gain",
    )


def _output_gate_third(rows: Floats32) -> Floats32:
    """Rows in the order input, forget, candidate, output gate with the last two exchanged."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([i, f, o, g])


class ExportedStep(nn.Module):
    """The net's step with one matrix product per layer, for a converter that reads torch.

    `clamp` leaves out the bound of the cell where the file's own number format is the bound: an
    integer tensor whose range is plus and minus `CELL_BOUND` saturates there.
    """

    def __init__(self, weights: RecurrentWeights, clamp: bool = True) -> None:
        super().__init__()
        self._gains, self._clamp = weights.gains, clamp
        self.audiogram_layer = _linear(weights.audiogram)
        self.layers = nn.ModuleList(_linear(layer) for layer in weights.layers)
        self.output_layer = _linear(weights.output)

    def forward(self, features: Tensor, audiogram: Tensor, **states: Tensor) -> dict[str, Tensor]:
        """The output and the next states by name."""
        value = torch.cat([features, torch.relu(self.audiogram_layer(audiogram))], dim=1)
        following: dict[str, Tensor] = {}
        for index, layer in enumerate(self.layers):
            hidden, cell = states[f"hidden{index}"], states[f"cell{index}"]
            width = hidden.shape[1]
            gates = layer(torch.cat([value, hidden], dim=1))
            squashed = torch.sigmoid(gates[:, : 3 * width])
            i, f, o = squashed.split(width, dim=1)
            cell = f * cell + i * torch.tanh(gates[:, 3 * width :])
            if self._clamp:
                cell = torch.clamp(cell, -CELL_BOUND, CELL_BOUND)
            value = o * torch.tanh(cell)
            following |= {f"hidden{index}_next": value, f"cell{index}_next": cell}
        raw = self.output_layer(value)
        return {"output": torch.sigmoid(raw) if self._gains else torch.relu(raw), **following}


def _linear(dense: Dense) -> nn.Linear:
    outputs, inputs = dense.weight.shape
    layer = nn.Linear(inputs, outputs)
    layer.weight = nn.Parameter(torch.from_numpy(dense.weight.copy()), requires_grad=False)
    layer.bias = nn.Parameter(torch.from_numpy(dense.bias.copy()), requires_grad=False)
    return layer


def model_info(net: StreamingNet, name: str, net_name: str, quantisation: str) -> ModelInfo:
    """What a file of this net says about itself; names as in `neuroamp.model_file.ModelInfo`."""
    return ModelInfo(name, net_name, net.profile, dict(net.state_shapes), quantisation)


def run_net(net: StreamingNet, stream: Stream) -> Floats32:
    """The net's own outputs [steps, features] over a stream: what every file is compared with."""
    states = [torch.zeros(shape) for shape in net.state_shapes.values()]
    features = torch.from_numpy(stream.features)
    audiogram = torch.from_numpy(stream.audiogram)[None]
    outputs = np.empty_like(stream.features)
    with torch.inference_mode():
        for t in range(len(outputs)):
            output, *states = net.step(features[t : t + 1], audiogram, *states)
            outputs[t] = output.numpy()
    return outputs

"""The recurrent nets: the paper's LSTM (basic and optimised) and the wearable net.

All three are one shape: Dense on the audiogram, concatenation with the spectral features,
LSTM layers, Dense out. The paper's count of parameters is Keras's (one bias per gate), which
`BoundedLstm` shares.
"""

from __future__ import annotations

import dataclasses
import itertools

import torch
from neuroamp.profile import PAPER, WEAR, Profile
from torch import Tensor, nn

from neuroamp_host.networks.bounded_lstm import BoundedLstm

AUDIOGRAM_POINTS = 6


@dataclasses.dataclass(frozen=True)
class LstmShape:
    """What tells one net of this file from another.

    Attributes:
        audiogram_units: width of the Dense layer on the six audiogram points.
        widths: width of each LSTM layer.
    """

    audiogram_units: int
    widths: tuple[int, ...]


class LstmNet(nn.Module):
    """Spectral features and an audiogram to one output per feature, causal, frame by frame."""

    def __init__(self, profile: Profile, shape: LstmShape) -> None:
        super().__init__()
        self.profile = profile
        self.shape = shape
        features = profile.feature_count
        self.audiogram_layer = nn.Linear(AUDIOGRAM_POINTS, shape.audiogram_units)
        sizes = (features + shape.audiogram_units, *shape.widths)
        self.layers = nn.ModuleList(
            BoundedLstm(inputs, width) for inputs, width in itertools.pairwise(sizes)
        )
        self.output_layer = nn.Linear(shape.widths[-1], features)
        if profile.output == "band-gain":
            # An untrained net leaves the prescription alone: its output means 0 dB.
            rest = -profile.gain_min_db / (profile.gain_max_db - profile.gain_min_db)
            nn.init.constant_(self.output_layer.bias, float(torch.logit(torch.tensor(rest))))
            self.output_layer.weight.data.mul_(0.1)

    @property
    def state_shapes(self) -> dict[str, tuple[int, int]]:
        """Names and shapes of the states, in the order in which `step` takes them."""
        return {
            f"{kind}{layer}": (1, width)
            for layer, width in enumerate(self.shape.widths)
            for kind in ("hidden", "cell")
        }

    def forward(self, features: Tensor, audiogram: Tensor) -> Tensor:
        """Outputs [batch, steps, features] of [batch, steps, features] and [batch, 6]."""
        listener = torch.relu(self.audiogram_layer(audiogram))
        spread = listener[:, None, :].expand(-1, features.shape[1], -1)
        sequence = torch.cat([features, spread], dim=2)
        for layer in self.layers:
            sequence, _ = layer(sequence)
        return self._bound(self.output_layer(sequence))

    def step(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One frame: [1, features], [1, 6] and the states to the output and the next states."""
        value = torch.cat([features, torch.relu(self.audiogram_layer(audiogram))], dim=1)
        following: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, BoundedLstm)
            value, cell = layer.step(value, states[2 * index], states[2 * index + 1])
            following += [value, cell]
        return (self._bound(self.output_layer(value)), *following)

    def _bound(self, raw: Tensor) -> Tensor:
        """Band gains are a share of the profile's range (0..1); magnitudes are not negative."""
        return torch.sigmoid(raw) if self.profile.output == "band-gain" else torch.relu(raw)


NETS: dict[str, tuple[Profile, LstmShape]] = {
    "wear": (WEAR, LstmShape(audiogram_units=16, widths=(128, 128))),
    "paper-lstm-basic": (PAPER, LstmShape(audiogram_units=6, widths=(225,))),
    "paper-lstm": (PAPER, LstmShape(audiogram_units=16, widths=(256, 256))),
}
"""The nets by name. 'paper-lstm' is Table I's optimised LSTM (1,134,193 parameters),
'paper-lstm-basic' its basic one (498,224)."""


def build(name: str) -> LstmNet:
    """A freshly initialised net of `NETS`; seed torch first for a reproducible start."""
    profile, shape = NETS[name]
    return LstmNet(profile, shape)


def parameter_count(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in net.parameters())

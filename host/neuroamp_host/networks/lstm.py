"""The recurrent nets: the paper's LSTM (basic and optimised) and the wearable net.

All three are one shape: Dense on the audiogram, concatenation with the spectral features,
LSTM layers, Dense out. The paper's count of parameters is Keras's (one bias per gate), which
`BoundedLstm` shares.
"""

from __future__ import annotations

import dataclasses

import torch
from neuroamp.profile import Profile
from torch import Tensor, nn

from neuroamp_host.networks.bounded_lstm import LstmStack
from neuroamp_host.networks.net import AUDIOGRAM_POINTS, Net, join_listener


@dataclasses.dataclass(frozen=True)
class LstmShape:
    """What tells one net of this file from another.

    Attributes:
        audiogram_units: width of the Dense layer on the six audiogram points.
        widths: width of each LSTM layer.
        two_way_widths: width of each direction of each layer in the net that is not causal,
            chosen for the same number of parameters; empty where there is no such net.
    """

    audiogram_units: int
    widths: tuple[int, ...]
    two_way_widths: tuple[int, ...] = ()


class LstmNet(Net):
    """LSTM layers between two dense ones. Where it is not causal, each layer runs both ways."""

    def __init__(self, profile: Profile, shape: LstmShape, causal: bool = True) -> None:
        super().__init__(profile, causal)
        self.shape = shape
        features = profile.feature_count
        self.audiogram_layer = nn.Linear(AUDIOGRAM_POINTS, shape.audiogram_units)
        self.layers = LstmStack(
            features + shape.audiogram_units,
            shape.widths if causal else shape.two_way_widths,
            two_way=not causal,
        )
        self.output_layer = nn.Linear(self.layers.output_width, features)
        if profile.output == "band-gain":
            # An untrained net leaves the prescription alone: its output means 0 dB.
            rest = -profile.gain_min_db / (profile.gain_max_db - profile.gain_min_db)
            nn.init.constant_(self.output_layer.bias, float(torch.logit(torch.tensor(rest))))
            self.output_layer.weight.data.mul_(0.1)

    def _state_widths(self) -> dict[str, int]:
        return self.layers.state_widths

    def forward(self, features: Tensor, audiogram: Tensor) -> Tensor:
        """See `Net.forward`."""
        listener = torch.relu(self.audiogram_layer(audiogram))
        sequence = self.layers(join_listener(features, listener))
        return self._bound(self.output_layer(sequence))

    def step(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """See `Net.step`; the states are `hidden0`, `cell0`, `hidden1`, ..."""
        joined = torch.cat([features, torch.relu(self.audiogram_layer(audiogram))], dim=1)
        value, following = self.layers.step(joined, states)
        return (self._bound(self.output_layer(value)), *following)

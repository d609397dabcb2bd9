"""The paper's CRNN: the CNN's convolutional layers, LSTM layers on what they find, Dense out."""

from __future__ import annotations

import dataclasses

from neuroamp.profile import Profile
from torch import Tensor, nn

from neuroamp_host.networks.bounded_lstm import LstmStack
from neuroamp_host.networks.convolution import ConvShape, ConvStack
from neuroamp_host.networks.net import Net


@dataclasses.dataclass(frozen=True)
class CrnnShape:
    """What tells the basic net from the optimised one.

    Attributes:
        convolutions: the convolutional part.
        widths, two_way_widths: of the LSTM layers, as in `LstmShape`.
    """

    convolutions: ConvShape
    widths: tuple[int, ...]
    two_way_widths: tuple[int, ...]


class CrnnNet(Net):
    """Convolutions, then LSTM layers; where it is not causal, these run both ways."""

    def __init__(self, profile: Profile, shape: CrnnShape, causal: bool = True) -> None:
        super().__init__(profile, causal)
        self.convolutions = ConvStack(profile.feature_count, shape.convolutions, causal)
        self.recurrent = LstmStack(
            self.convolutions.output_width,
            shape.widths if causal else shape.two_way_widths,
            two_way=not causal,
        )
        self.output_layer = nn.Linear(self.recurrent.output_width, profile.feature_count)

    def _state_widths(self) -> dict[str, int]:
        return self.convolutions.state_widths | self.recurrent.state_widths

    def forward(self, features: Tensor, audiogram: Tensor) -> Tensor:
        """See `Net.forward`."""
        latents = self.convolutions(features, audiogram)
        return self._bound(self.output_layer(self.recurrent(latents)))

    def step(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """See `Net.step`; the states are `past0`, ..., then `hidden0`, `cell0`, ..."""
        split = len(self.convolutions.state_widths)
        latent, past = self.convolutions.step(features, audiogram, states[:split])
        value, recurrent = self.recurrent.step(latent, states[split:])
        return (self._bound(self.output_layer(value)), *past, *recurrent)

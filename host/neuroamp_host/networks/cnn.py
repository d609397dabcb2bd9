"""The paper's CNN: four convolutional layers over time and frequency, flattened into Dense."""

from __future__ import annotations

from neuroamp.profile import Profile
from torch import Tensor, nn

from neuroamp_host.networks.convolution import ConvShape, ConvStack
from neuroamp_host.networks.net import Net


class CnnNet(Net):
    """Convolutions and a dense layer: each layer remembers two frames, four layers eight."""

    def __init__(self, profile: Profile, shape: ConvShape, causal: bool = True) -> None:
        super().__init__(profile, causal)
        self.convolutions = ConvStack(profile.feature_count, shape, causal)
        self.output_layer = nn.Linear(self.convolutions.output_width, profile.feature_count)

    def _state_widths(self) -> dict[str, int]:
        return self.convolutions.state_widths

    def forward(self, features: Tensor, audiogram: Tensor) -> Tensor:
        """See `Net.forward`."""
        return self._bound(self.output_layer(self.convolutions(features, audiogram)))

    def step(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """See `Net.step`; the states are `past0`, `past1`, ..."""
        latent, following = self.convolutions.step(features, audiogram, states)
        return (self._bound(self.output_layer(latent)), *following)

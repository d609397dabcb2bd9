"""What every net is: features and an audiogram to one output a feature, whole or by frames."""

from __future__ import annotations

import torch
from neuroamp.errors import NeuroampError
from neuroamp.profile import Profile
from torch import Tensor, nn

AUDIOGRAM_POINTS = 6


class Net(nn.Module):
    """A net of a profile; the subclasses are the architectures.

    A causal net has two ways to the same numbers: `forward` over a whole sequence, for training,
    and `step` over one frame with its states outside, for export. A net that is not causal hears
    the future: it says what causality costs, and has no step.
    """

    def __init__(self, profile: Profile, causal: bool) -> None:
        super().__init__()
        self.profile = profile
        self.causal = causal

    @property
    def state_shapes(self) -> dict[str, tuple[int, int]]:
        """Names and shapes, (1, width), of the states, in the order in which `step` takes them.

        All are zero at the start of a stream.

        Raises:
            NeuroampError: the net is not causal.
        """
        if not self.causal:
            raise NeuroampError(
                "the net was trained with causal = false and hears the future, so it cannot run "
                "frame by frame; train it with causal = true to export it."
            )
        return {name: (1, width) for name, width in self._state_widths().items()}

    def _state_widths(self) -> dict[str, int]:
        raise NotImplementedError

    def forward(self, features: Tensor, audiogram: Tensor) -> Tensor:
        """Outputs [batch, steps, features] of [batch, steps, features] and [batch, 6]."""
        raise NotImplementedError

    def step(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One frame: [1, features], [1, 6] and the states to the output and the next states."""
        raise NotImplementedError

    def _bound(self, raw: Tensor) -> Tensor:
        """Band gains are a share of the profile's range (0..1); magnitudes are not negative."""
        return torch.sigmoid(raw) if self.profile.output == "band-gain" else torch.relu(raw)


def join_listener(features: Tensor, listener: Tensor) -> Tensor:
    """Features [batch, steps, n] and a listener's units [batch, m] as [batch, steps, n + m]."""
    spread = listener[:, None, :].expand(-1, features.shape[1], -1)
    return torch.cat([features, spread], dim=2)


def parameter_count(net: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in net.parameters())

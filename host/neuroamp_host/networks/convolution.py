"""Convolutions over time and frequency, causal, for the CNN and the CRNN.

Each layer looks at three frames and at three neighbouring positions of the frequency axis, and
moves on by three of them (stride = kernel), so that the axis shrinks to a third: 257 bins,
86, 29, 10, 4. A layer's window of frequencies overlaps no other, which makes one frame a plain
matrix product.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuroamp_host.networks.net import AUDIOGRAM_POINTS

FRAMES = 3
"""Frames that a layer looks at: the present and two of the past, or one of either side."""

POSITIONS = 3
"""Neighbouring frequencies that a layer joins into one."""


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """The convolutional part of a net.

    Attributes:
        listener_maps: maps over frequency that a Dense layer makes of the audiogram.
        filters: of each layer.
    """

    listener_maps: int
    filters: tuple[int, ...]


class ConvLayer(nn.Module):
    """A convolution with ReLU; `weight` is [filters, frames * positions * inputs]."""

    def __init__(self, inputs: int, filters: int, width: int) -> None:
        super().__init__()
        self.inputs, self.filters, self.width = inputs, filters, width
        # One position of nothing below the first frequency, and what is missing above the last.
        self.output_width = -(-(1 + width) // POSITIONS)
        self._margins = (1, POSITIONS * self.output_width - width - 1)
        self.weight = nn.Parameter(torch.empty(filters, FRAMES * POSITIONS * inputs))
        self.bias = nn.Parameter(torch.zeros(filters))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, maps: Tensor) -> Tensor:
        """[batch, inputs, steps + 2, width] to [batch, filters, steps, output_width]."""
        kernel = self.weight.view(self.filters, FRAMES, POSITIONS, self.inputs)
        padded = nn.functional.pad(maps, self._margins)
        stride = (1, POSITIONS)
        convolved = nn.functional.conv2d(padded, kernel.permute(0, 3, 1, 2), self.bias, stride)
        return torch.relu(convolved)

    def step(self, window: Tensor) -> Tensor:
        """Three frames, [3, width, inputs], to one, [output_width, filters]."""
        padded = nn.functional.pad(window, (0, 0, *self._margins))
        patches = padded.reshape(FRAMES, self.output_width, POSITIONS * self.inputs)
        patches = patches.permute(1, 0, 2).reshape(self.output_width, -1)
        return torch.relu(nn.functional.linear(patches, self.weight, self.bias))


class ConvStack(nn.Module):
    """Spectral features and an audiogram to latent vectors [batch, steps, output_width].

    The paper joins the listener's vector to the spectrum along the frequency axis and leaves open
    what a two-dimensional convolution is to make of it. Here Dense makes of the audiogram maps as
    wide as the spectrum, which are stacked beside it as channels: every window sees the hearing
    loss at its own frequencies.

    The layers' past inputs are the states `past0`, `past1`, ...: the two frames before, as
    [frames, width, channels] in one row. Before the start of a stream they are zero.
    """

    def __init__(self, features: int, shape: ConvShape, causal: bool) -> None:
        super().__init__()
        self._features, self._maps = features, shape.listener_maps
        self._margins = (FRAMES - 1, 0) if causal else (FRAMES // 2, FRAMES // 2)
        self.audiogram_layer = nn.Linear(AUDIOGRAM_POINTS, features * shape.listener_maps)
        self.layers = nn.ModuleList()
        width = features
        for inputs, filters in itertools.pairwise((1 + shape.listener_maps, *shape.filters)):
            layer = ConvLayer(inputs, filters, width)
            width = layer.output_width
            self.layers.append(layer)
        self.output_width = width * shape.filters[-1]

    @property
    def state_widths(self) -> dict[str, int]:
        """Widths of the states by name; the listener's maps do not change and need none."""
        widths, channels = {}, 1
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, ConvLayer)
            widths[f"past{index}"] = (FRAMES - 1) * layer.width * channels
            channels = layer.filters
        return widths

    def forward(self, features: Tensor, audiogram: Tensor) -> Tensor:
        """Latent vectors of [batch, steps, features] and [batch, 6]."""
        maps = nn.functional.pad(features[:, None], (0, 0, *self._margins))
        listener = self._listener(audiogram).transpose(1, 2)[:, :, None]
        maps = torch.cat([maps, listener.expand(-1, -1, maps.shape[2], -1)], dim=1)
        for index, layer in enumerate(self.layers):
            if index > 0:
                maps = nn.functional.pad(maps, (0, 0, *self._margins))
            maps = layer(maps)
        return maps.permute(0, 2, 3, 1).flatten(start_dim=2)

    def step(
        self, features: Tensor, audiogram: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """One frame, [1, features], [1, 6] and the states, to its latent vector and the next."""
        frame = features.reshape(self._features, 1)
        following: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, ConvLayer)
            past = states[index].reshape(FRAMES - 1, layer.width, -1)
            window = torch.cat([past, frame[None]])
            following.append(window[1:].reshape(1, -1))
            if index == 0:
                listener = torch.cat([self._listener(audiogram)] * FRAMES)
                window = torch.cat([window, listener], dim=2)
            frame = layer.step(window)
        return frame.reshape(1, -1), following

    def _listener(self, audiogram: Tensor) -> Tensor:
        """Maps [batch, features, listener_maps] of [batch, 6]."""
        units = torch.relu(self.audiogram_layer(audiogram))
        return units.reshape(-1, self._features, self._maps)

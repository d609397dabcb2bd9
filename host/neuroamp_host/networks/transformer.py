"""The paper's Transformer: encoder blocks whose attention reaches a bounded time back.

The blocks normalise before each part (Xiong et al. 2020). Where a frame stands is told by a
penalty on the attention that grows with the distance, with a slope of its own for each head
(ALiBi, Press et al. 2022): it has no parameters, and it holds however long the stream has run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from neuroamp.profile import Profile
from torch import Tensor, nn

from neuroamp_host.networks.net import AUDIOGRAM_POINTS, Net, join_listener

UNHEARD = -1e4
"""Added to the attention given to what was before the start of a stream."""


@dataclasses.dataclass(frozen=True)
class TransformerShape:
    """What tells the basic net from the optimised one.

    Attributes:
        audiogram_units: width of the Dense layer on the six audiogram points.
        width: of the vectors between the blocks, a multiple of `heads`.
        blocks: encoder blocks.
        heads: attention heads of a block.
        feed_forward: width inside a block's feed-forward part.
        context: frames that an attention reaches over, the present one included; where the net
            is not causal, as many to the other side.
    """

    audiogram_units: int
    width: int
    blocks: int
    heads: int
    feed_forward: int
    context: int


class Attention(nn.Module):
    """Multi-head self-attention over `context` frames."""

    _slopes: Tensor

    def __init__(self, shape: TransformerShape, causal: bool) -> None:
        super().__init__()
        self._causal, self._context, self._heads = causal, shape.context, shape.heads
        self._width = shape.width
        self.query = nn.Linear(shape.width, shape.width)
        self.key = nn.Linear(shape.width, shape.width)
        self.value = nn.Linear(shape.width, shape.width)
        self.output = nn.Linear(shape.width, shape.width)
        # The first heads look near, the last far.
        order = torch.arange(1, shape.heads + 1)
        slopes = torch.exp2(-8.0 * order / shape.heads)[:, None, None]
        self.register_buffer("_slopes", slopes, persistent=False)

    def forward(self, sequence: Tensor) -> Tensor:
        """[batch, steps, width] to the same shape."""
        steps = sequence.shape[1]
        query, key, value = (
            layer(sequence).unflatten(2, (self._heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        times = torch.arange(steps, device=sequence.device)
        distance = times[:, None] - times
        out_of_reach = distance.abs() >= self._context
        if self._causal:
            out_of_reach |= distance < 0
        bias = self._penalty(distance.abs()).masked_fill(out_of_reach, -torch.inf)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.output(attended.transpose(1, 2).flatten(start_dim=2))

    def step(
        self, value: Tensor, unheard: Tensor, past_keys: Tensor, past_values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One frame.

        Args:
            value: [1, width].
            unheard: [1, context], 0 or, before the start of the stream, `UNHEARD`.
            past_keys, past_values: [1, (context - 1) * width], oldest frame first.

        Returns:
            The attention's output [1, width] and the next past keys and values.
        """
        query = self.query(value).reshape(self._heads, 1, -1)
        keys = torch.cat([past_keys, self.key(value)], dim=1)
        values = torch.cat([past_values, self.value(value)], dim=1)
        # [context, width] to [heads, context, width of a head]
        heads = (self._context, self._heads, -1)
        head_keys, head_values = (
            frames.reshape(heads).transpose(0, 1) for frames in (keys, values)
        )
        distance = torch.arange(self._context - 1, -1, -1, device=value.device)
        scale = (self._width // self._heads) ** -0.5
        scores = scale * torch.matmul(query, head_keys.transpose(1, 2))
        scores = scores + self._penalty(distance[None]) + unheard
        attended = torch.matmul(torch.softmax(scores, dim=2), head_values)
        output = self.output(attended.reshape(1, -1))
        return output, keys[:, self._width :], values[:, self._width :]

    def _penalty(self, distance: Tensor) -> Tensor:
        """[heads, ...] of distances in frames."""
        return -self._slopes * distance


class Block(nn.Module):
    """Attention and feed-forward, each added to what it was given."""

    def __init__(self, shape: TransformerShape, causal: bool) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(shape.width)
        self.attention = Attention(shape, causal)
        self.feed_forward_norm = nn.LayerNorm(shape.width)
        self.widen = nn.Linear(shape.width, shape.feed_forward)
        self.narrow = nn.Linear(shape.feed_forward, shape.width)

    def forward(self, sequence: Tensor) -> Tensor:
        """[batch, steps, width] to the same shape."""
        sequence = sequence + self.attention(self.attention_norm(sequence))
        return sequence + self._feed_forward(sequence)

    def step(
        self, value: Tensor, unheard: Tensor, past_keys: Tensor, past_values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Attention.step`."""
        attended, keys, values = self.attention.step(
            self.attention_norm(value), unheard, past_keys, past_values
        )
        value = value + attended
        return value + self._feed_forward(value), keys, values

    def _feed_forward(self, value: Tensor) -> Tensor:
        hidden: Tensor = torch.relu(self.widen(self.feed_forward_norm(value)))
        return self.narrow(hidden)


class TransformerNet(Net):
    """Encoder blocks between two dense layers."""

    def __init__(self, profile: Profile, shape: TransformerShape, causal: bool = True) -> None:
        super().__init__(profile, causal)
        self.shape = shape
        features = profile.feature_count
        self.audiogram_layer = nn.Linear(AUDIOGRAM_POINTS, shape.audiogram_units)
        self.input_layer = nn.Linear(features + shape.audiogram_units, shape.width)
        self.blocks = nn.ModuleList(Block(shape, causal) for _ in range(shape.blocks))
        self.output_norm = nn.LayerNorm(shape.width)
        self.output_layer = nn.Linear(shape.width, features)

    def _state_widths(self) -> dict[str, int]:
        """`heard` has a 1 for every past frame that there was."""
        past = self.shape.context - 1
        return {"heard": past} | {
            f"{kind}{block}": past * self.shape.width
            for block in range(self.shape.blocks)
            for kind in ("keys", "values")
        }

    def forward(self, features: Tensor, audiogram: Tensor) -> Tensor:
        """See `Net.forward`."""
        listener = torch.relu(self.audiogram_layer(audiogram))
        sequence = self.input_layer(join_listener(features, listener))
        for block in self.blocks:
            sequence = block(sequence)
        return self._leave(sequence)

    def step(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """See `Net.step`; the states are `heard`, `keys0`, `values0`, `keys1`, ..."""
        listener = torch.relu(self.audiogram_layer(audiogram))
        value = self.input_layer(torch.cat([features, listener], dim=1))
        heard = torch.cat([states[0], torch.ones_like(states[0][:, :1])], dim=1)
        unheard = (1.0 - heard) * UNHEARD
        past: Sequence[Tensor] = states[1:]
        following = [heard[:, 1:]]
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            value, *kept = block.step(value, unheard, past[2 * index], past[2 * index + 1])
            following += kept
        return (self._leave(value), *following)

    def _leave(self, value: Tensor) -> Tensor:
        return self._bound(self.output_layer(self.output_norm(value)))

"""The interface of every engine: one net step, the recurrent state kept inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp.model_file import ModelInfo

Floats32 = NDArray[np.float32]


class Engine(Protocol):
    """Runs one net for one ear."""

    @property
    def info(self) -> ModelInfo:
        """What the model file says about itself."""
        ...

    def step(self, features: Floats32, audiogram: Floats32) -> Floats32 | None:
        """The net's output, shape [feature_count], and one step of its states.

        Args:
            features: as `neuroamp.features.Features` gives them, shape [feature_count].
            audiogram: as `neuroamp.features.audiogram_input` gives it, shape [6].

        Returns:
            The output, or None from an engine that computes elsewhere and is late.
        """
        ...

    def reset(self) -> None:
        """Sets all states to zero, as at the start of a stream."""
        ...


def input_shapes(info: ModelInfo) -> dict[str, tuple[int, int]]:
    """Names and shapes of the graph's inputs, in order."""
    spectral = (1, info.profile.feature_count)
    audiogram = (1, len(STANDARD_FREQUENCIES_HZ))
    return {"features": spectral, "audiogram": audiogram, **info.states}


def output_shapes(info: ModelInfo) -> dict[str, tuple[int, int]]:
    """Names and shapes of the graph's outputs, in order."""
    states = {f"{name}_next": shape for name, shape in info.states.items()}
    return {"output": (1, info.profile.feature_count), **states}


def check_tensors(
    info: ModelInfo, expected: Mapping[str, tuple[int, int]], actual: Mapping[str, Sequence[int]]
) -> None:
    """Refuses a graph whose tensors are not those that its metadata promises.

    Raises:
        NeuroampError: with the expected and the actual names and shapes.
    """
    found = {name: tuple(shape) for name, shape in actual.items()}
    if found != dict(expected):
        raise NeuroampError(
            f"the graph of the model {info.name!r} has the tensors {found} but its metadata "
            f"promises {dict(expected)}; export it again."
        )

"""The tiny net of tests/data in numpy, and what several tests of the runtime share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from neuroamp.audiogram import Ear
from neuroamp.fitting import Fitting
from neuroamp.model_file import ModelInfo
from neuroamp.profile import WEAR
from numpy.typing import NDArray

DATA = Path(__file__).parent.parent / "data"
CELL_BOUND = 4.0


class TinyNet:
    """An LSTM in plain numpy (gates: input, forget, candidate, output), after Graves (2012).

    It has the weights of tests/data/tiny-*.tflite and is what engines are compared with.
    """

    info = ModelInfo(
        name="tiny",
        net="wear",
        profile=WEAR,
        states={"hidden0": (1, 8), "cell0": (1, 8), "hidden1": (1, 6), "cell1": (1, 6)},
        quantisation="float32",
    )

    def __init__(self) -> None:
        with np.load(DATA / "tiny_net.npz") as weights:
            self.weights = {name: weights[name].astype(np.float64) for name in weights.files}
        self.reset()

    def reset(self) -> None:
        self.states = {name: np.zeros(shape[1]) for name, shape in self.info.states.items()}

    def step(
        self, features: NDArray[np.float32], audiogram: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        w = self.weights
        listener = w["audiogram_layer.weight"] @ audiogram + w["audiogram_layer.bias"]
        value = np.concatenate([features, np.maximum(listener, 0.0)])
        for layer in range(2):
            z = w[f"layers.{layer}.input_weight"] @ value + w[f"layers.{layer}.bias"]
            z = z + w[f"layers.{layer}.recurrent_weight"] @ self.states[f"hidden{layer}"]
            i, f, g, o = np.split(z, 4)
            cell = sigmoid(f) * self.states[f"cell{layer}"] + sigmoid(i) * np.tanh(g)
            cell = np.clip(cell, -CELL_BOUND, CELL_BOUND)
            value = sigmoid(o) * np.tanh(cell)
            self.states[f"hidden{layer}"], self.states[f"cell{layer}"] = value, cell
        return sigmoid(w["output_layer.weight"] @ value + w["output_layer.bias"])


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-x))


def random_steps(
    seed: int, steps: int = 200
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Features and audiograms as the tiny net's quantisation was calibrated for."""
    rng = np.random.default_rng(seed)
    return [
        (
            rng.normal(0.0, 0.7, WEAR.feature_count).astype(np.float32),
            rng.uniform(0.0, 1.0, 6).astype(np.float32),
        )
        for _ in range(steps)
    ]


def make_fitting(**changes: object) -> Fitting:
    """No gain at all, and no limit but the highest; change what the test is about."""
    fields: dict[str, object] = {
        "ear": Ear.LEFT,
        "thresholds_db_hl": (35.0, 35.0, 40.0, 50.0, 60.0, 65.0),
        "rule": "test",
        "gain_65_db": (0.0,) * 11,
        "compression_ratio": (1.0,) * 11,
        "mpo_db_spl": 120.0,
    }
    return Fitting(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def tiny_net() -> TinyNet:
    return TinyNet()


@pytest.fixture
def steps() -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    return random_steps(1)


@pytest.fixture
def fitting() -> Fitting:
    """No gain, no compression, the highest MPO, the left ear."""
    return make_fitting()

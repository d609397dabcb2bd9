"""The tiny net of tests/data in numpy, and what several tests of the runtime share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neuroamp.audiogram import Ear
from neuroamp.fitting import Fitting
from neuroamp.model_file import METADATA_KEY, UNSEALED, ModelInfo, seal_onnx
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


def onnx_model(net: TinyNet, info: ModelInfo, metadata: str | None = None) -> bytes:
    """The tiny net as an .onnx file, with `info` (or any other text) as its metadata."""
    from onnx import TensorProto, checker, helper, numpy_helper

    def tensor(name: str, shape: tuple[int, ...]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def dense(source: str, name: str, target: str) -> Any:
        return helper.make_node(
            "Gemm", [source, f"{name}weight", f"{name}bias"], [target], transB=1
        )

    initialisers = {name: value.astype(np.float32) for name, value in net.weights.items()}
    initialisers |= {"low": np.float32(-CELL_BOUND), "high": np.float32(CELL_BOUND)}
    nodes = [
        dense("audiogram", "audiogram_layer.", "listener_raw"),
        helper.make_node("Relu", ["listener_raw"], ["listener"]),
        helper.make_node("Concat", ["features", "listener"], ["value0"], axis=1),
    ]
    states = list(info.states)
    for layer in range(2):
        hidden, cell, prefix = states[2 * layer], states[2 * layer + 1], f"layers.{layer}."
        gates = [f"{gate}{layer}" for gate in "ifgo"]
        nodes += [
            dense(f"value{layer}", f"{prefix}input_", f"drive{layer}"),
            helper.make_node(
                "Gemm",
                [hidden, f"{prefix}recurrent_weight", f"drive{layer}"],
                [f"z{layer}"],
                transB=1,
            ),
            helper.make_node("Split", [f"z{layer}"], gates, axis=1, num_outputs=4),
        ]
        for gate, kind in zip(gates, ("Sigmoid", "Sigmoid", "Tanh", "Sigmoid"), strict=True):
            nodes.append(helper.make_node(kind, [gate], [f"{gate}_open"]))
        i, f, g, o = (f"{gate}_open" for gate in gates)
        nodes += [
            helper.make_node("Mul", [f, cell], [f"kept{layer}"]),
            helper.make_node("Mul", [i, g], [f"new{layer}"]),
            helper.make_node("Add", [f"kept{layer}", f"new{layer}"], [f"sum{layer}"]),
            helper.make_node("Clip", [f"sum{layer}", "low", "high"], [f"{cell}_next"]),
            helper.make_node("Tanh", [f"{cell}_next"], [f"squashed{layer}"]),
            helper.make_node("Mul", [o, f"squashed{layer}"], [f"{hidden}_next"]),
            helper.make_node("Identity", [f"{hidden}_next"], [f"value{layer + 1}"]),
        ]
    nodes += [
        dense("value2", "output_layer.", "logits"),
        helper.make_node("Sigmoid", ["logits"], ["output"]),
    ]
    # The bias of the input weights is the layer's own.
    for layer in range(2):
        initialisers[f"layers.{layer}.input_bias"] = initialisers.pop(f"layers.{layer}.bias")
    shapes = info.states
    graph = helper.make_graph(
        nodes,
        "tiny",
        [tensor("features", (1, 64)), tensor("audiogram", (1, 6))]
        + [tensor(name, shape) for name, shape in shapes.items()],
        [tensor("output", (1, 64))]
        + [tensor(f"{name}_next", shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in initialisers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    text = info.to_json(UNSEALED) if metadata is None else metadata
    helper.set_model_props(model, {METADATA_KEY: text})
    data: bytes = model.SerializeToString()
    return seal_onnx(data) if metadata is None else data


@pytest.fixture
def tiny_net() -> TinyNet:
    return TinyNet()


@pytest.fixture
def steps() -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    return random_steps(1)


@pytest.fixture
def fitting() -> Fitting:
    """No gain, no compression, the highest MPO, the left ear."""
    return Fitting(
        ear=Ear.LEFT,
        thresholds_db_hl=(35.0, 35.0, 40.0, 50.0, 60.0, 65.0),
        rule="test",
        gain_65_db=(0.0,) * 11,
        compression_ratio=(1.0,) * 11,
        mpo_db_spl=120.0,
    )


@pytest.fixture
def tiny_tflite() -> dict[str, Path]:
    """The tiny net's .tflite files by quantisation."""
    return {name: DATA / f"tiny-{name}.tflite" for name in ("float32", "int8", "16x8")}


@pytest.fixture
def make_onnx(tiny_net: TinyNet, tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny net as tiny.onnx, described by `info` or by a raw `metadata` text."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    def make(info: ModelInfo = tiny_net.info, metadata: str | None = None) -> Path:
        path = tmp_path / "tiny.onnx"
        path.write_bytes(onnx_model(tiny_net, info, metadata))
        return path

    return make

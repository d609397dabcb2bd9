"""ONNX files of a net: float32, and int8 weights with integer matrix products.

The graph is written down operator by operator. What torch's exporters make of the same step runs
no faster, and the shape of the graph decides which kernels onnxruntime puts in its place.
"""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import onnx
from neuroamp.engines.base import input_shapes, output_shapes
from neuroamp.model_file import METADATA_KEY, UNSEALED, ModelInfo, seal_onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from neuroamp_export.net import CELL_BOUND, Dense, RecurrentWeights

OPSET = 17
IR_VERSION = 8
"""Of ONNX 1.12; onnxruntime reads both from 1.14 (2023) on."""

WEIGHT_LEVELS = 127
"""Weights are rounded to -127..127 times the scale of their output channel."""

WEIGHT_ZERO_POINT = 128
"""Weights are stored as unsigned bytes around this. With signed ones, the kernel of an x86 without
VNNI adds pairs of products in 16 bits, which overflow: 31 dB instead of 45 dB output SNR."""


class _Graph:
    """A graph under construction: nodes and constants, each named by what it holds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def split(self, value: str, sizes: list[int], outputs: list[str]) -> list[str]:
        lengths = self.constant(f"{value}.sizes", np.array(sizes, dtype=np.int64))
        self.nodes.append(helper.make_node("Split", [value, lengths], outputs, axis=1))
        return outputs

    def float_product(self, value: str, dense: Dense, output: str) -> str:
        weight = self.constant(f"{output}.weight", dense.weight)
        bias = self.constant(f"{output}.bias", dense.bias)
        return self.add("Gemm", [value, weight, bias], output, transB=1)

    def integer_product(self, value: str, dense: Dense, output: str) -> str:
        """Weights rounded per output channel; the input is rounded anew at every step.

        onnxruntime runs these operators as one.
        """
        scale = np.maximum(np.abs(dense.weight).max(axis=1), 1e-12) / np.float32(WEIGHT_LEVELS)
        rounded = np.rint(dense.weight.T / scale) + WEIGHT_ZERO_POINT
        weight = self.constant(f"{output}.weight", rounded.astype(np.uint8))
        zero = self.constant(f"{output}.weight_zero_point", np.array(WEIGHT_ZERO_POINT, np.uint8))
        scale_name = self.constant(f"{output}.weight_scale", scale.astype(np.float32))
        codes, step, offset = (f"{output}.input_{part}" for part in ("codes", "scale", "zero"))
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [value], [codes, step, offset]))
        summed = self.add("MatMulInteger", [codes, weight, offset, zero], f"{output}.sum")
        number = self.add("Cast", [summed], f"{output}.number", to=TensorProto.FLOAT)
        unit = self.add("Mul", [step, scale_name], f"{output}.unit")
        scaled = self.add("Mul", [number, unit], f"{output}.scaled")
        return self.add("Add", [scaled, self.constant(f"{output}.bias", dense.bias)], output)


def onnx_model(weights: RecurrentWeights, info: ModelInfo) -> bytes:
    """A whole .onnx file, metadata and digest included.

    `info.quantisation` chooses: 'float32', or 'int8' for integer products in the LSTM layers and
    the output layer. The layer on the audiogram stays in float32: it is 1 % of the weights, and
    its input is the listener, not the sound.
    """
    graph = _Graph()
    product = graph.float_product if info.quantisation == "float32" else graph.integer_product
    low = graph.constant("cell.low", np.array(-CELL_BOUND, dtype=np.float32))
    high = graph.constant("cell.high", np.array(CELL_BOUND, dtype=np.float32))
    listener = graph.float_product("audiogram", weights.audiogram, "listener.raw")
    inputs = ["features", graph.add("Relu", [listener], "listener")]
    for index, layer in enumerate(weights.layers):
        width = info.states[f"hidden{index}"][1]
        at = f"layer{index}"
        joined = graph.add("Concat", [*inputs, f"hidden{index}"], f"{at}.input", axis=1)
        gates = product(joined, layer, f"{at}.gates")
        raw = graph.split(gates, [3 * width, width], [f"{at}.gates_raw", f"{at}.candidate_raw"])
        squashed = graph.add("Sigmoid", [raw[0]], f"{at}.gates_squashed")
        i, f, o = graph.split(squashed, [width] * 3, [f"{at}.{gate}" for gate in "ifo"])
        candidate = graph.add("Tanh", [raw[1]], f"{at}.candidate")
        kept = graph.add("Mul", [f, f"cell{index}"], f"{at}.kept")
        new = graph.add("Mul", [i, candidate], f"{at}.new")
        free = graph.add("Add", [kept, new], f"{at}.cell_free")
        cell = graph.add("Clip", [free, low, high], f"cell{index}_next")
        shown = graph.add("Tanh", [cell], f"{at}.cell_squashed")
        inputs = [graph.add("Mul", [o, shown], f"hidden{index}_next")]
    raw_output = product(inputs[0], weights.output, "output.raw")
    graph.add("Sigmoid" if weights.gains else "Relu", [raw_output], "output")
    return _seal(graph, info)


def _seal(graph: _Graph, info: ModelInfo) -> bytes:
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors]
        for tensors in (input_shapes(info).items(), output_shapes(info).items())
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, info.name, inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="neuroamp",
    )
    return finish_onnx(model, info)


def finish_onnx(model: onnx.ModelProto, info: ModelInfo) -> bytes:
    """The .onnx file of a graph, checked, with its metadata and digest."""
    helper.set_model_props(model, {METADATA_KEY: info.to_json(UNSEALED)})
    onnx.checker.check_model(model, full_check=True)
    return seal_onnx(model.SerializeToString(deterministic=True))


def onnx_operators(model: bytes) -> dict[str, int]:
    """How often each operator type occurs in an .onnx file."""
    nodes = onnx.load_model_from_string(model).graph.node
    return dict(sorted(collections.Counter(node.op_type for node in nodes).items()))

"""Any streaming net as torch's own exporters write its step down.

Nets of LSTM layers have graphs of their own (`onnx_export`, `net.ExportedStep`), which run faster;
this is the way of all others.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import torch
from neuroamp.engines.base import input_shapes, output_shapes
from neuroamp.model_file import ModelInfo
from torch import Tensor, nn

from neuroamp_export.net import StreamingNet
from neuroamp_export.onnx_export import OPSET, finish_onnx
from neuroamp_export.quiet import quiet

LISTENER = "audiogram_layer"
"""Nodes of this module stay in float32: a small share of the weights, and their input is the
listener, not the sound."""


class NamedStep(nn.Module):
    """A net's step with its outputs by name, for a converter that goes by them."""

    def __init__(self, net: StreamingNet) -> None:
        super().__init__()
        self._net = net
        self._outputs = ("output", *(f"{name}_next" for name in net.state_shapes))

    def forward(self, features: Tensor, audiogram: Tensor, **states: Tensor) -> dict[str, Tensor]:
        """The output and the next states by name."""
        values = self._net.step(features, audiogram, *states.values())
        return dict(zip(self._outputs, values, strict=True))


class _PlainStep(nn.Module):
    def __init__(self, net: StreamingNet) -> None:
        super().__init__()
        self._net = net

    def forward(self, features: Tensor, audiogram: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        return self._net.step(features, audiogram, *states)


def traced_onnx(net: StreamingNet, info: ModelInfo) -> bytes:
    """A whole .onnx file of the net's step, metadata and digest included.

    `info.quantisation` chooses: 'float32', or 'int8', where onnxruntime's dynamic quantisation
    puts integer products in place of every product with constant weights but the audiogram's.
    """
    example = tuple(torch.zeros(shape) for shape in input_shapes(info).values())
    with quiet(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        # The tracing exporter is on its way out, and is the one that all supported versions of
        # torch have in working order and that writes the opset of the project's other files.
        torch.onnx.export(
            _PlainStep(net).eval(),
            example,
            path,
            input_names=list(input_shapes(info)),
            output_names=list(output_shapes(info)),
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    if info.quantisation != "float32":
        model = _with_integer_products(model)
    model.graph.name = info.name
    return finish_onnx(model, info)


def _with_integer_products(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.onnx_model import ONNXModel

    # Done here rather than left to the quantiser, so that the products have their final names.
    products = ONNXModel(model)
    products.replace_gemm_with_matmul()
    with quiet(), tempfile.TemporaryDirectory() as folder:
        float_path, path = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(products.model, float_path)
        quantize_dynamic(
            float_path,
            path,
            per_channel=True,
            weight_type=QuantType.QUInt8,  # see onnx_export.WEIGHT_ZERO_POINT
            nodes_to_exclude=[n.name for n in products.model.graph.node if LISTENER in n.name],
        )
        return onnx.load(path)

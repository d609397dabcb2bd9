"""TFLite files of a net: float32, dynamic int8, static int8 (8x8) and static 16x8.

'dynamic' has int8 weights and float32 activations and states. The static ones are integers from
input to output, with scales found by running the float graph over real streams, and run on a
microcontroller: 'int8' with 8-bit activations, '16x8' with 16-bit ones.
"""

from __future__ import annotations

import collections
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from neuroamp.engines.base import input_shapes, output_shapes
from neuroamp.errors import NeuroampError
from neuroamp.features import (
    AUDIOGRAM_SPAN_DB,
    BAND_LEVEL_CEILING_DB_SPL,
    BAND_LEVEL_CENTRE_DB_SPL,
    BAND_LEVEL_FLOOR_DB_SPL,
    BAND_LEVEL_SPAN_DB,
)
from neuroamp.model_file import ModelInfo
from torch import nn

from neuroamp_export.net import CELL_BOUND, Stream
from neuroamp_export.quiet import quiet

Range = tuple[float, float]

SCHEMES = ("dynamic", "int8", "16x8")
SIGNATURE = "serving_default"
THRESHOLDS_DB_HL = (-10.0, 120.0)
SQUASHED_BEYOND = {"int8": 8 * math.log(2.0), "16x8": 15 * math.log(2.0)}
"""Where a sigmoid is within one step of its output's scale from 1: a gate's own scale need not
reach further. It must not reach less: a forget gate cut off at 8 forgets a slow cell three times
too fast, which cost 2 dB of the 16x8 file."""

WIDENING = 1.25
"""Headroom of a 16-bit scale over what the calibration showed; 8 bits have none to spare."""

CALIBRATION_STEPS = 4000
CALIBRATION_STRIDE = 4
"""Neighbouring frames overlap by 15/16: every fourth tells as much as all."""


def tflite_float(step: nn.Module, info: ModelInfo) -> bytes:
    """The float32 flatbuffer of a step that gives its outputs by name, without metadata.

    Raises:
        NeuroampError: the converter is not installed, or it lost the names or their order.
    """
    try:
        import litert_torch
    except ImportError:
        raise NeuroampError(
            "TFLite files need litert-torch, which is not installed; "
            "install it with `pip install 'neuroamp[tflite]'` or export only ONNX."
        ) from None
    example = {name: torch.zeros(shape) for name, shape in input_shapes(info).items()}
    with quiet(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.tflite"
        litert_torch.convert(step.eval(), sample_kwargs=example).export(str(path))
        flatbuffer = path.read_bytes()
    _check_order(flatbuffer, info)
    return flatbuffer


def tflite_quantised(free: bytes, info: ModelInfo, calibration: Sequence[Stream]) -> bytes:
    """A quantised flatbuffer, without metadata, by the scheme `info.quantisation`.

    Args:
        free: the float32 flatbuffer; without the clamp of the cells for a static scheme.
        info: what the file is to say of itself.
        calibration: real streams, for a static scheme.

    Raises:
        NeuroampError: the quantiser is not installed, it changed the order of the tensors, or it
            left floats in a static file.
    """
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError:
        raise NeuroampError(
            "quantised TFLite files need ai-edge-quantizer, which is not installed; "
            "install it with `pip install 'neuroamp[tflite]'` or export only ONNX."
        ) from None
    recipes = {
        "dynamic": recipe.dynamic_wi8_afp32,
        "int8": recipe.static_wi8_ai8,
        "16x8": recipe.static_wi8_ai16,
    }
    scales = None
    if info.quantisation != "dynamic":
        ranges = activation_ranges(free, info, calibration)
        scales = {
            name: {"min": np.array([[low]], np.float32), "max": np.array([[high]], np.float32)}
            for name, (low, high) in _scales(free, ranges, info).items()
        }
    with quiet():
        work = quantizer.Quantizer(bytearray(free))
        work.load_quantization_recipe(recipes[info.quantisation]())
        flatbuffer = bytes(work.quantize(scales).quantized_model)
    _check_order(flatbuffer, info)
    if scales is not None:
        _check_integer(flatbuffer, info)
    return flatbuffer


def activation_ranges(
    flatbuffer: bytes, info: ModelInfo, calibration: Sequence[Stream]
) -> dict[str, Range]:
    """Lowest and highest value, zero included, of every float tensor of a float32 graph.

    The quantiser's own calibration averages the extremes over its samples, which clips half of
    them. The streams' steps are shared out evenly; each stream starts from silence.
    """
    interpreter = _plain_interpreter(flatbuffer, preserve=True)
    tensors = [
        detail
        for detail in interpreter.get_tensor_details()
        if detail["name"] and detail["dtype"] is np.float32
    ]
    inputs = _indices(interpreter.get_input_details(), input_shapes(info))
    outputs = _indices(interpreter.get_output_details(), output_shapes(info))
    ranges: dict[str, Range] = {}
    for stream in calibration:
        interpreter.set_tensor(inputs["audiogram"], stream.audiogram[None])
        for name, shape in info.states.items():
            interpreter.set_tensor(inputs[name], np.zeros(shape, dtype=np.float32))
        steps = min(len(stream.features), CALIBRATION_STEPS // len(calibration))
        for t in range(steps):
            interpreter.set_tensor(inputs["features"], stream.features[t : t + 1])
            interpreter.invoke()
            if t % CALIBRATION_STRIDE == 0:
                for detail in tensors:
                    value = interpreter.get_tensor(detail["index"])
                    low, high = ranges.get(detail["name"], (0.0, 0.0))
                    ranges[detail["name"]] = (
                        min(low, float(value.min())),
                        max(high, float(value.max())),
                    )
            for name in info.states:
                state = interpreter.get_tensor(outputs[f"{name}_next"])
                bound = CELL_BOUND if name.startswith("cell") else 1.0
                interpreter.set_tensor(inputs[name], np.clip(state, -bound, bound))
    return ranges


def _scales(flatbuffer: bytes, ranges: dict[str, Range], info: ModelInfo) -> dict[str, Range]:
    """The ranges to quantise with: those that hold by definition, and the calibration's others.

    A state goes in and comes out with the same scale, so that feeding it back changes nothing,
    and the cell's scale is its bound. What is joined shares the widest of its parts' scales.
    """
    known = _defined(info)
    widening = WIDENING if info.quantisation == "16x8" else 1.0
    reach = SQUASHED_BEYOND[info.quantisation]
    scales = {
        name: (max(low * widening, -reach), min(high * widening, reach))
        for name, (low, high) in ranges.items()
    }
    scales |= {f"{SIGNATURE}_{name}": known[name] for name in known if name in input_shapes(info)}
    outputs = output_shapes(info)
    scales |= {f"{SIGNATURE}_{name}_output": known[name] for name in known if name in outputs}
    model, schema = _read(flatbuffer)
    tensors = [tensor.name.decode() for tensor in model.subgraphs[0].tensors]
    for operator in model.subgraphs[0].operators:
        if _operator_name(model, schema, operator) == "CONCATENATION":
            parts = [scales[tensors[index]] for index in operator.inputs]
            joined = (min(low for low, _ in parts), max(high for _, high in parts))
            scales[tensors[operator.outputs[0]]] = joined
    return scales


def _defined(info: ModelInfo) -> dict[str, Range]:
    """Ranges by definition, by the names of inputs and outputs."""
    found: dict[str, Range] = {
        "audiogram": (
            THRESHOLDS_DB_HL[0] / AUDIOGRAM_SPAN_DB,
            THRESHOLDS_DB_HL[1] / AUDIOGRAM_SPAN_DB,
        )
    }
    if info.profile.features == "band-level":
        found["features"] = (
            (BAND_LEVEL_FLOOR_DB_SPL - BAND_LEVEL_CENTRE_DB_SPL) / BAND_LEVEL_SPAN_DB,
            (BAND_LEVEL_CEILING_DB_SPL - BAND_LEVEL_CENTRE_DB_SPL) / BAND_LEVEL_SPAN_DB,
        )
        found["output"] = (0.0, 1.0)
    for name in info.states:
        bound = CELL_BOUND if name.startswith("cell") else 1.0
        found[name] = found[f"{name}_next"] = (-bound, bound)
    return found


def tflite_operators(flatbuffer: bytes) -> dict[str, int]:
    """How often each operator type occurs in a flatbuffer."""
    model, schema = _read(flatbuffer)
    names = [_operator_name(model, schema, o) for o in model.subgraphs[0].operators]
    return dict(sorted(collections.Counter(names).items()))


def _read(flatbuffer: bytes) -> tuple[Any, Any]:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0)), schema


def _operator_name(model: Any, schema: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    # Old files keep the code in the deprecated field; the larger of the two holds.
    value = max(code.builtinCode, code.deprecatedBuiltinCode)
    return next(name for name, number in vars(schema.BuiltinOperator).items() if number == value)


def _plain_interpreter(flatbuffer: bytes, preserve: bool = False) -> Any:
    """An interpreter without delegates, which would hide the tensors between operators."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=flatbuffer,
        num_threads=1,
        experimental_preserve_all_tensors=preserve,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    return interpreter


def _indices(details: list[dict[str, Any]], names: dict[str, tuple[int, int]]) -> dict[str, int]:
    return {name: d["index"] for name, d in zip(names, details, strict=True)}


def _check_order(flatbuffer: bytes, info: ModelInfo) -> None:
    """Refuses a graph that cannot be fed by position alone, as on a microcontroller.

    Inputs and outputs are in the order of the metadata, and a state comes out in the numbers in
    which it goes in.
    """
    interpreter = _plain_interpreter(flatbuffer)
    codings: dict[str, tuple[Any, ...]] = {}
    for expected, details in (
        (input_shapes(info), interpreter.get_input_details()),
        (output_shapes(info), interpreter.get_output_details()),
    ):
        found = [(d["name"], tuple(int(size) for size in d["shape"])) for d in details]
        wanted = list(expected.items())
        if len(found) != len(wanted) or any(
            not name.startswith(f"{SIGNATURE}_{start}") or size != shape
            for (name, size), (start, shape) in zip(found, wanted, strict=True)
        ):
            raise NeuroampError(
                f"the TFLite converter made the tensors {found} where {wanted} were expected; "
                "use the versions of litert-torch and ai-edge-quantizer that the project names."
            )
        codings |= {
            name: (d["dtype"].__name__, *d["quantization"])
            for name, d in zip(expected, details, strict=True)
        }
    for name in info.states:
        if codings[name] != codings[f"{name}_next"]:
            raise NeuroampError(
                f"the state {name} goes in as {codings[name]} but comes out as "
                f"{codings[f'{name}_next']}; use the versions of litert-torch and "
                "ai-edge-quantizer that the project names."
            )


def _check_integer(flatbuffer: bytes, info: ModelInfo) -> None:
    """Refuses a static graph with floats in it: the quantiser steps around an operator that it
    does not know, such as MINIMUM, by way of float32, and says nothing."""
    model, schema = _read(flatbuffer)
    floats = [t for t in model.subgraphs[0].tensors if t.type == schema.TensorType.FLOAT32]
    if floats:
        raise NeuroampError(
            f"the {info.quantisation} file should be integers throughout but has {len(floats)} "
            f"float32 tensors (the first is {floats[0].name.decode()!r}); quantise the graph "
            "without the clamp of the cells."
        )

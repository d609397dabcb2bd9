"""The TFLite engine: ai-edge-litert, or tflite-runtime where that is what the board has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.engines.base import Floats32, check_tensors, input_shapes, output_shapes
from neuroamp.errors import NeuroampError
from neuroamp.model_file import ModelInfo, read_tflite


def interpreter_class() -> Any:
    """The `Interpreter` of ai-edge-litert, else of tflite-runtime.

    Raises:
        NeuroampError: neither is installed, or it does not fit the installed numpy.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise NeuroampError(
                "a .tflite model needs ai-edge-litert, which is not installed; install it with "
                "`pip install ai-edge-litert` (or tflite-runtime with 'numpy<2' on older boards)."
            ) from None
    return Interpreter


class _Tensor:
    """One input or output in the interpreter's own memory, as real numbers.

    A quantised tensor holds q with real = scale * (q - zero_point); a float one has no scale.
    """

    def __init__(self, interpreter: Any, details: Mapping[str, Any]) -> None:
        # The view is taken anew for each use: the interpreter refuses to run while one is held.
        self.view: Callable[[], NDArray[Any]] = interpreter.tensor(details["index"])
        scale, zero_point = details["quantization"]
        self.coding = (np.dtype(details["dtype"]), float(scale), int(zero_point))

    def write(self, values: ArrayLike) -> None:
        dtype, scale, zero_point = self.coding
        if dtype.kind == "f":
            self.view()[0] = values
            return
        limits = np.iinfo(dtype)
        codes = np.rint(np.asarray(values) / scale) + zero_point
        self.view()[0] = np.clip(codes, limits.min, limits.max)

    def read(self) -> Floats32:
        dtype, scale, zero_point = self.coding
        codes = self.view()[0].astype(np.float32)
        return codes if dtype.kind == "f" else (codes - np.float32(zero_point)) * np.float32(scale)

    def feed(self, following: _Tensor) -> None:
        """Writes this output into the input that takes it at the next step."""
        if self.coding == following.coding:
            following.view()[...] = self.view()
        else:
            following.write(self.read())


def named_tensors(interpreter: Any, info: ModelInfo) -> tuple[dict[str, Any], dict[str, Any]]:
    """Details of the graph's inputs and of its outputs, by the names that `info` promises.

    Raises:
        NeuroampError: the tensors are not those of the metadata.
    """
    names: dict[int, str] = {}
    if len(interpreter.get_signature_list()) == 1:
        runner = interpreter.get_signature_runner()
        details = {**runner.get_input_details(), **runner.get_output_details()}
        names = {d["index"]: name for name, d in details.items()}
    return (
        _match(info, input_shapes(info), names, interpreter.get_input_details()),
        _match(info, output_shapes(info), names, interpreter.get_output_details()),
    )


def _match(
    info: ModelInfo, expected: dict[str, tuple[int, int]], names: dict[int, str], found: list[Any]
) -> dict[str, Any]:
    """The graph's inputs or outputs by the signature's names, the others by their order.

    Order has to help out: a graph may have been converted without names, and ai-edge-quantizer
    leaves the signature pointing at tensors that it replaced.
    """
    named = {names[d["index"]]: d for d in found if names.get(d["index"]) in expected}
    left = [d for d in found if names.get(d["index"]) not in named]
    for name in expected:
        if name not in named and left:
            named[name] = left.pop(0)
    shapes = {name: [int(size) for size in d["shape"]] for name, d in named.items()}
    check_tensors(info, expected, shapes | {d["name"]: d["shape"] for d in left})
    return {name: named[name] for name in expected}


class TfliteEngine:
    """One net in TFLite; see `neuroamp.engines.base.Engine`."""

    def __init__(self, path: str | Path) -> None:
        self.info, flatbuffer = read_tflite(path)
        interpreter_type = interpreter_class()
        try:
            self._interpreter = interpreter_type(model_content=flatbuffer, num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise NeuroampError(
                f"this TFLite interpreter cannot run {path} ({reason}); update ai-edge-litert or "
                "use the .onnx file."
            ) from None
        inputs, outputs = (
            {name: _Tensor(self._interpreter, details) for name, details in side.items()}
            for side in named_tensors(self._interpreter, self.info)
        )
        self._features, self._audiogram = inputs["features"], inputs["audiogram"]
        self._output = outputs["output"]
        self._states = [(outputs[f"{name}_next"], inputs[name]) for name in self.info.states]
        self.reset()

    def step(self, features: Floats32, audiogram: Floats32) -> Floats32:
        """Output, shape [feature_count], for features [feature_count] and audiogram [6]."""
        self._features.write(features)
        self._audiogram.write(audiogram)
        self._interpreter.invoke()
        for state_output, state_input in self._states:
            state_output.feed(state_input)
        return self._output.read()

    def reset(self) -> None:
        """Sets all states to zero."""
        for _, state_input in self._states:
            state_input.write(0.0)

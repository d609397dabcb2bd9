"""TensorFlow Lite for Microcontrollers on the development machine: what a Cortex-M will compute.

Its x86 reference kernels are slow and say nothing of the speed on a board.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from neuroamp.engines.base import Floats32, input_shapes, output_shapes
from neuroamp.errors import NeuroampError
from neuroamp.model_file import read_tflite

ARENA_BYTES = 4 << 20
"""Room for tensors: the paper's LSTM takes a little over a mebibyte."""


def is_installed() -> bool:
    """Whether the interpreter is there; it has wheels for x86-64 Linux only."""
    return importlib.util.find_spec("tflite_micro") is not None


class TflmEngine:
    """One net in TFLite-Micro; see `neuroamp.engines.base.Engine`. Integer or float graphs.

    Tensors are known by their position: features, audiogram, states; output, next states. A
    state comes out in the numbers in which it goes in and is fed back untouched.
    """

    def __init__(self, path: str | Path) -> None:
        """Loads the file at `path`.

        Raises:
            NeuroampError: tflite-micro is not installed, or it cannot run the file.
        """
        self.info, flatbuffer = read_tflite(path)
        try:
            from tflite_micro.python.tflite_micro import runtime
        except ImportError:
            raise NeuroampError(
                "the TFLite-Micro check needs tflite-micro, which is not installed; "
                "install it with `pip install tflite-micro` (x86-64 Linux)."
            ) from None
        try:
            self._interpreter = runtime.Interpreter.from_bytes(flatbuffer, arena_size=ARENA_BYTES)
            self._states: list[Any] = []
            self._inputs = [
                _Coding(self._interpreter.get_input_details(i))
                for i in range(len(input_shapes(self.info)))
            ]
            self._output = _Coding(self._interpreter.get_output_details(0))
            # The memory plan is made at the first step; an operator it lacks shows itself here.
            self.reset()
            self._run(np.zeros(self._inputs[0].shape), np.zeros(self._inputs[1].shape))
        except (RuntimeError, ValueError, IndexError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise NeuroampError(
                f"TFLite-Micro cannot run {path} ({reason}); use the 16x8 or int8 file."
            ) from None
        self.reset()

    def _run(self, features: Any, audiogram: Any) -> None:
        self._interpreter.set_input(self._inputs[0].codes(features), 0)
        self._interpreter.set_input(self._inputs[1].codes(audiogram), 1)
        for index, state in enumerate(self._states):
            self._interpreter.set_input(state, index + 2)
        self._interpreter.invoke()
        count = len(output_shapes(self.info))
        self._states = [self._interpreter.get_output(index) for index in range(1, count)]

    def step(self, features: Floats32, audiogram: Floats32) -> Floats32:
        """Output, shape [feature_count], for features [feature_count] and audiogram [6]."""
        self._run(features[None], audiogram[None])
        return self._output.numbers(self._interpreter.get_output(0))[0]

    def reset(self) -> None:
        """Sets all states to zero."""
        self._states = [coding.codes(np.zeros(coding.shape)) for coding in self._inputs[2:]]


class _Coding:
    """How a tensor's integers q mean real numbers: scale * (q - zero point)."""

    def __init__(self, details: dict[str, Any]) -> None:
        self.shape = tuple(int(size) for size in details["shape"])
        self._dtype = np.dtype(details["dtype"])
        parameters = details["quantization_parameters"]
        self._scale = float(parameters["scales"][0]) if len(parameters["scales"]) else 1.0
        self._zero = int(parameters["zero_points"][0]) if len(parameters["zero_points"]) else 0

    def codes(self, values: Any) -> Any:
        if self._dtype.kind == "f":
            return np.asarray(values, dtype=self._dtype)
        limits = np.iinfo(self._dtype)
        codes = np.rint(np.asarray(values) / self._scale) + self._zero
        return np.clip(codes, limits.min, limits.max).astype(self._dtype)

    def numbers(self, codes: Any) -> Floats32:
        return (codes.astype(np.float32) - np.float32(self._zero)) * np.float32(self._scale)

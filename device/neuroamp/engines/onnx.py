"""The ONNX engine: onnxruntime on one thread, all tensors in memory allocated once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neuroamp.engines.base import Floats32, check_tensors, input_shapes, output_shapes
from neuroamp.errors import NeuroampError
from neuroamp.model_file import (
    METADATA_KEY,
    ModelInfo,
    check_digest,
    onnx_digest,
    parse_metadata,
    read_bytes,
)

ERRORS_ONLY = 3
"""onnxruntime's log level."""


def open_session(path: str | Path) -> tuple[Any, ModelInfo]:
    """An onnxruntime session on one thread and the metadata of the .onnx file at `path`.

    Raises:
        NeuroampError: as `neuroamp.model_file.read_model_info`.
    """
    try:
        import onnxruntime
    except ImportError:
        raise NeuroampError(
            f"{path} needs onnxruntime, which is not installed; "
            "install it with `pip install onnxruntime` or use the .tflite file."
        ) from None
    data = read_bytes(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime has no public base class of its errors
        raise NeuroampError(
            f"{path} ({len(data)} bytes) is not a whole ONNX model: it is truncated, damaged or "
            "something else; copy or export it again."
        ) from None
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise NeuroampError(
            f"{path} has no metadata property {METADATA_KEY!r}: it is truncated or not from this "
            "project; give a file that `neuroamp export` wrote."
        )
    info, digest = parse_metadata(text, path)
    if digest:
        check_digest(path, digest, onnx_digest(data, digest))
    return session, info


class OnnxEngine:
    """One net in onnxruntime; see `neuroamp.engines.base.Engine`.

    The states alternate between two sets of buffers, one read and one written by a step, so
    that feeding them back copies nothing.
    """

    def __init__(self, path: str | Path) -> None:
        self._session, self.info = open_session(path)
        inputs, outputs = input_shapes(self.info), output_shapes(self.info)
        check_tensors(self.info, inputs, {i.name: i.shape for i in self._session.get_inputs()})
        check_tensors(self.info, outputs, {o.name: o.shape for o in self._session.get_outputs()})
        self._features = np.zeros(inputs["features"], dtype=np.float32)
        self._audiogram = np.zeros(inputs["audiogram"], dtype=np.float32)
        self._output = np.zeros(outputs["output"], dtype=np.float32)
        self._states = [
            {name: np.zeros(shape, dtype=np.float32) for name, shape in self.info.states.items()}
            for _ in range(2)
        ]
        self._bindings = [self._bind(read=0, written=1), self._bind(read=1, written=0)]
        self._turn = 0

    def _bind(self, read: int, written: int) -> Any:
        binding = self._session.io_binding()
        sources = {
            "features": self._features,
            "audiogram": self._audiogram,
            **self._states[read],
        }
        targets = {"output": self._output}
        targets |= {f"{name}_next": state for name, state in self._states[written].items()}
        for name, array in sources.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in targets.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return binding

    def step(self, features: Floats32, audiogram: Floats32) -> Floats32:
        """Output, shape [feature_count], for features [feature_count] and audiogram [6]."""
        self._features[0] = features
        self._audiogram[0] = audiogram
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        return self._output[0].copy()

    def reset(self) -> None:
        """Sets all states to zero."""
        for states in self._states:
            for state in states.values():
                state.fill(0.0)

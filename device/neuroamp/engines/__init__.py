"""Inference engines behind one interface: a net step with the state kept inside."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from pathlib import Path

from neuroamp.engines.base import Engine
from neuroamp.errors import NeuroampError


@dataclasses.dataclass(frozen=True)
class EngineKind:
    """Where an engine is and which files it runs.

    Attributes:
        suffix: of its model files.
        module, name: the class that takes a path and is an `Engine`.
        packages: any one of these runs it.
    """

    suffix: str
    module: str
    name: str
    packages: tuple[str, ...]

    def is_installed(self) -> bool:
        """Whether one of the packages is there."""
        return any(importlib.util.find_spec(package) for package in self.packages)


ENGINES = {
    "native": EngineKind(".nam", "neuroamp.engines.native", "NativeEngine", ("neuroamp._core",)),
    "onnx": EngineKind(".onnx", "neuroamp.engines.onnx", "OnnxEngine", ("onnxruntime",)),
    "tflite": EngineKind(
        ".tflite",
        "neuroamp.engines.tflite",
        "TfliteEngine",
        ("ai_edge_litert", "tflite_runtime"),
    ),
}
"""The engines by name, the default one first; only the one that is opened is imported."""


def open_engine(path: str | Path, kind: str = "auto") -> Engine:
    """A fresh engine, its states zero, for the model file at `path`: one for each ear.

    Args:
        path: an exported model.
        kind: a name from `ENGINES`, or 'auto' to go by the file's suffix.

    Raises:
        NeuroampError: the file is no whole model, or not one for this engine, or the engine's
            package is not installed.
    """
    suffix = Path(path).suffix.lower()
    if kind == "auto":
        kind = next((name for name, engine in ENGINES.items() if engine.suffix == suffix), kind)
    if kind not in ENGINES or ENGINES[kind].suffix != suffix:
        known = ", ".join(f"{engine.suffix} ({name})" for name, engine in ENGINES.items())
        raise NeuroampError(
            f"the engine {kind!r} does not run {path}; give one of {known}, or 'auto'."
        )
    module = importlib.import_module(ENGINES[kind].module)
    engine: Engine = getattr(module, ENGINES[kind].name)(path)
    return engine

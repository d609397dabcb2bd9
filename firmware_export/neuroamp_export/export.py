"""All files of one model, checked and compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuroamp.errors import NeuroampError
from neuroamp.model_file import append_tflite_metadata

from neuroamp_export.core_format import FloatWeights, write_core_model
from neuroamp_export.formats import FORMATS
from neuroamp_export.net import Stream, StreamingNet, model_info, recurrent_weights
from neuroamp_export.onnx_export import onnx_model, onnx_operators
from neuroamp_export.parity import Parity, ParityStream
from neuroamp_export.tflite_export import (
    SCHEMES,
    tflite_float,
    tflite_operators,
    tflite_quantised,
)
from neuroamp_export.tflm import is_installed

MOST_OF_FLOAT = 0.30
"""An int8 file must be smaller than this share of the float file."""

ExportedFile = tuple[Path, str, dict[str, int]]
"""A file, the engine that runs it, and how often each operator occurs in it."""


def export(
    net: StreamingNet,
    name: str,
    architecture: str,
    out: Path,
    streams: Sequence[Stream],
    formats: Sequence[str] = FORMATS,
) -> list[ExportedFile]:
    """Writes the files of a net; returns each with its engine and operators.

    Args:
        net: the trained float net.
        name: of the files.
        architecture: of the net, for the record.
        out: folder.
        streams: real features and audiograms to calibrate the static files with.
        formats: some of `FORMATS`.

    Raises:
        NeuroampError: a format is unknown, or an int8 file is not really int8.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise NeuroampError(f"there is no format {unknown[0]!r}; choose from {', '.join(FORMATS)}.")
    out.mkdir(parents=True, exist_ok=True)
    files: list[ExportedFile] = []
    weights = recurrent_weights(net)
    if "onnx" in formats:
        for kind in ("float32", "int8"):
            path = out / f"{name}-{kind}.onnx"
            content = onnx_model(weights, model_info(net, name, architecture, kind))
            path.write_bytes(content)
            files.append((path, "onnx", onnx_operators(content)))
        _check_int8(files[-2], files[-1])
    if "tflite" in formats:
        info = model_info(net, name, architecture, "float32")
        bounded = tflite_float(weights, info)
        free = tflite_float(weights, info, clamp=False)
        for kind in ("float32", *SCHEMES):
            info = model_info(net, name, architecture, kind)
            if kind == "float32":
                content = bounded
            else:
                source = bounded if kind == "dynamic" else free
                content = tflite_quantised(source, info, streams)
            path = out / f"{name}-{kind}.tflite"
            path.write_bytes(append_tflite_metadata(content, info))
            files.append((path, "tflite", tflite_operators(content)))
            if kind == "float32":
                whole = path
            else:
                _check_size(whole, path)
    if "core" in formats:
        path = out / f"{name}-int8.nam"
        state = {key: value.numpy() for key, value in net.state_dict().items()}
        write_core_model(path, name, architecture, net.profile, FloatWeights.from_state_dict(state))
        files.append((path, "native", {}))
    return files


def parity_report(stream: ParityStream, files: Sequence[ExportedFile]) -> dict[str, Any]:
    """Rows for every file whose engine is installed, and for TFLite-Micro on the static ones."""
    rows: list[Parity] = []
    micro = []
    for path, engine, operators in files:
        row, outputs = stream.compare(path, engine, operators)
        rows.append(row)
        if engine == "tflite" and path.stem.endswith(("-int8", "-16x8")) and is_installed():
            micro.append(stream.compare_micro(path, outputs))
    return {"files": [dataclasses.asdict(row) for row in rows], "tflite_micro": micro}


def _check_size(float_path: Path, int8_path: Path) -> None:
    """Refuses an 'int8' file that is not: quantisers have left the weights in float unasked."""
    share = int8_path.stat().st_size / float_path.stat().st_size
    if share >= MOST_OF_FLOAT:
        raise NeuroampError(
            f"{int8_path} is not really int8: it is {share:.0%} of the float file, where under "
            f"{MOST_OF_FLOAT:.0%} is expected; report this as a fault of the exporter."
        )


def _check_int8(float_file: ExportedFile, int8_file: ExportedFile) -> None:
    """Refuses an 'int8' ONNX file whose weights or whose products are not integers."""
    _check_size(float_file[0], int8_file[0])
    if not any("Integer" in kind for kind in int8_file[2]):
        raise NeuroampError(
            f"{int8_file[0]} is not really int8: its operators are {int8_file[2]}, where integer "
            "products are expected; report this as a fault of the exporter."
        )


def save_report(report: dict[str, Any], path: Path) -> None:
    """Writes the report as JSON."""
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

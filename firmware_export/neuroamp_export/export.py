"""All files of one model, checked and compared."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuroamp.errors import NeuroampError
from neuroamp.model_file import ModelInfo, append_tflite_metadata

from neuroamp_export.core_format import FloatWeights, write_core_model
from neuroamp_export.formats import FORMATS
from neuroamp_export.net import (
    ExportedStep,
    Stream,
    StreamingNet,
    is_lstm_stack,
    model_info,
    recurrent_weights,
)
from neuroamp_export.onnx_export import onnx_model, onnx_operators
from neuroamp_export.parity import Parity, ParityStream
from neuroamp_export.tflite_export import (
    SCHEMES,
    tflite_float,
    tflite_operators,
    tflite_quantised,
)
from neuroamp_export.tflm import is_installed
from neuroamp_export.traced import NamedStep, traced_onnx

MOST_OF_FLOAT = 0.30
"""An int8 file must be smaller than this share of the float file."""

ExportedFile = tuple[Path, str, dict[str, int]]
"""A file, the engine that runs it, and how often each operator occurs in it."""


NO_CORE = "the C core runs nets of LSTM layers only"
NO_STATIC = (
    "TFLite in integers throughout (int8, 16x8) needs the bounds of every state, which only nets "
    "of LSTM layers have"
)


def left_out(net: StreamingNet) -> dict[str, str]:
    """What there is not for this net: formats and TFLite schemes, each with the reason."""
    if is_lstm_stack(net):
        return {}
    return {"core": NO_CORE, "int8.tflite": NO_STATIC, "16x8.tflite": NO_STATIC}


def export(
    net: StreamingNet,
    name: str,
    architecture: str,
    out: Path,
    streams: Sequence[Stream],
    formats: Sequence[str] | None = None,
) -> list[ExportedFile]:
    """Writes the files of a net; returns each with its engine and operators.

    Args:
        net: the trained float net.
        name: of the files.
        architecture: of the net, for the record.
        out: folder.
        streams: real features and audiograms to calibrate the static files with.
        formats: some of `FORMATS`; None for all that there are for this net.

    Raises:
        NeuroampError: a format is unknown or not there for this net, or an int8 file is not
            really int8.
    """
    missing = left_out(net)
    if formats is None:
        formats = [known for known in FORMATS if known not in missing]
    for wanted in formats:
        if wanted not in FORMATS or wanted in missing:
            reason = f" for {architecture} ({missing[wanted]})" if wanted in missing else ""
            known = ", ".join(f for f in FORMATS if f not in missing)
            raise NeuroampError(f"there is no format {wanted!r}{reason}; choose from {known}.")
    out.mkdir(parents=True, exist_ok=True)
    files: list[ExportedFile] = []
    if "onnx" in formats:
        for kind in ("float32", "int8"):
            path = out / f"{name}-{kind}.onnx"
            content = _onnx(net, model_info(net, name, architecture, kind))
            path.write_bytes(content)
            files.append((path, "onnx", onnx_operators(content)))
        _check_int8(files[-2], files[-1])
    if "tflite" in formats:
        kinds = [kind for kind in SCHEMES if f"{kind}.tflite" not in missing]
        files += _tflite_files(net, name, architecture, out, streams, kinds)
    if "core" in formats:
        path = out / f"{name}-int8.nam"
        state = {key: value.numpy() for key, value in net.state_dict().items()}
        write_core_model(path, name, architecture, net.profile, FloatWeights.from_state_dict(state))
        files.append((path, "native", {}))
    return files


def _onnx(net: StreamingNet, info: ModelInfo) -> bytes:
    if is_lstm_stack(net):
        return onnx_model(recurrent_weights(net), info)
    return traced_onnx(net, info)


def _tflite_files(
    net: StreamingNet,
    name: str,
    architecture: str,
    out: Path,
    streams: Sequence[Stream],
    kinds: Sequence[str],
) -> list[ExportedFile]:
    """The float32 file and those of `kinds`, which are some of `SCHEMES`."""
    info = model_info(net, name, architecture, "float32")
    bounded = free = b""
    if is_lstm_stack(net):
        weights = recurrent_weights(net)
        bounded = tflite_float(ExportedStep(weights), info)
        free = tflite_float(ExportedStep(weights, clamp=False), info)
    else:
        bounded = tflite_float(NamedStep(net), info)
    files: list[ExportedFile] = []
    for kind in ("float32", *kinds):
        info = model_info(net, name, architecture, kind)
        content = bounded
        if kind != "float32":
            content = tflite_quantised(bounded if kind == "dynamic" else free, info, streams)
        path = out / f"{name}-{kind}.tflite"
        path.write_bytes(append_tflite_metadata(content, info))
        files.append((path, "tflite", tflite_operators(content)))
        if kind != "float32":
            _check_size(files[0][0], path)
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

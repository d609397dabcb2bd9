"""The C core's model file, `.nam`: layout, tables, writing and reading.

One little-endian file that can be memory-mapped or linked into flash: a header, a table of
sections, and sections aligned to 64 bytes. It holds the metadata of every model file
(`ModelInfo`), the numbers and tables of the profile, so that the core needs no library of
mathematics, and the quantised net, if there is one. device/core/src/model.h has the header's
bytes; the core itself checks CRC-32, every bound and every range.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ
from neuroamp.bands import band_matrix, channel_matrix
from neuroamp.errors import NeuroampError
from neuroamp.integer_net import (
    IntegerMatrix,
    IntegerWeights,
    activation_tables,
    forgetting_table,
)
from neuroamp.model_file import ModelInfo, check_digest, parse_metadata, read_bytes
from neuroamp.profile import Profile
from neuroamp.transform import power_scale, windows
from neuroamp.wdrc import TRACKING_EXCESS_DB, speech_levels_db_spl

SUFFIX = ".nam"
MAGIC = b"NeuroAMP"
FORMAT_VERSION = 1
HEADER = struct.Struct("<8sIIII32s8x")
ENTRY = struct.Struct("<III")
CRC_FROM = 20
ALIGNMENT = 64
MAX_SECTIONS = 64
MAX_LAYERS = 4

PROFILE = struct.Struct("<7I3f")
NET = struct.Struct(f"<{2 + MAX_LAYERS}I")

SECTIONS = {
    "metadata": 1,
    "profile": 2,
    "net": 3,
    "layout": 4,
    "analysis_window": 16,
    "synthesis_window": 17,
    "cosine": 18,
    "sine": 19,
    "power_scale": 20,
    "band_index": 21,
    "band_upper": 22,
    "channel_index": 23,
    "channel_upper": 24,
    "speech_db_spl": 25,
    "sigmoid": 26,
    "tanh": 27,
    "forgetting": 28,
}
"""Identifiers of the sections; a matrix has its slot plus one of `PARTS`."""

SLOTS = {"audiogram": 0x100, "listener": 0x200, "output": 0x300}
INPUT_SLOT, RECURRENT_SLOT, SLOTS_PER_LAYER = 0x400, 0x500, 0x200
PARTS = {"weights": 0, "multipliers": 1, "row_sums": 2, "bias": 3}
ROW_PADDING, COLUMN_PADDING = 4, 32


def core_file(info: ModelInfo, weights: IntegerWeights | None) -> bytes:
    """A whole `.nam` file; without weights it amplifies by the fitting alone.

    Raises:
        NeuroampError: the net has more layers than the core holds.
    """
    layers = () if weights is None else weights.widths
    if len(layers) > MAX_LAYERS:
        raise NeuroampError(
            f"the net has {len(layers)} recurrent layers but the core holds at most "
            f"{MAX_LAYERS}; export it as .onnx or .tflite."
        )
    sections = {
        SECTIONS["metadata"]: info.to_json().encode(),
        **{SECTIONS[name]: data for name, data in _profile_sections(info.profile).items()},
    }
    units = 0 if weights is None else weights.audiogram.weights.shape[0]
    padded_widths = (*layers, *[0] * (MAX_LAYERS - len(layers)))
    sections[SECTIONS["net"]] = NET.pack(len(layers), units, *padded_widths)
    if weights is not None:
        sigmoid, tanh = activation_tables()
        sections[SECTIONS["sigmoid"]] = sigmoid.astype("<i2").tobytes()
        sections[SECTIONS["tanh"]] = tanh.astype("<i2").tobytes()
        sections[SECTIONS["forgetting"]] = forgetting_table().astype("<i2").tobytes()
        for slot, matrix in _slots(weights):
            sections.update(_matrix_sections(slot, matrix))
    return assemble(sections)


def read_core_file(path: str | Path) -> tuple[ModelInfo, bytes]:
    """Metadata and bytes of a `.nam` file whose digest is right.

    Raises:
        NeuroampError: it cannot be read, is not a `.nam` file, is cut short, damaged or of
            another version, or its metadata is wrong.
    """
    data = read_bytes(path)
    sections = read_sections(data, path)
    if SECTIONS["metadata"] not in sections:
        raise NeuroampError(f"{path} has no metadata; export the model again.")
    info, _ = parse_metadata(sections[SECTIONS["metadata"]], path)
    return info, data


def read_core_weights(path: str | Path) -> IntegerWeights | None:
    """The net of a `.nam` file in integers, as `core_file` took it; None if it has no net.

    Raises:
        NeuroampError: as `read_core_file`, or a section of the net is missing or too short.
    """
    info, data = read_core_file(path)
    sections = read_sections(data, path)
    features = info.profile.feature_count
    try:
        layers, units, *widths = NET.unpack(sections[SECTIONS["net"]])
        if layers == 0:
            return None
        inputs, recurrents = [], []
        for layer, (width, columns) in enumerate(
            zip(widths[:layers], (features, *widths), strict=False)
        ):
            slot = layer * SLOTS_PER_LAYER
            inputs.append(_read_matrix(sections, INPUT_SLOT + slot, 4 * width, columns))
            recurrents.append(_read_matrix(sections, RECURRENT_SLOT + slot, 4 * width, width))
        return IntegerWeights(
            _read_matrix(sections, SLOTS["audiogram"], units, len(STANDARD_FREQUENCIES_HZ)),
            _read_matrix(sections, SLOTS["listener"], 4 * widths[0], units),
            tuple(inputs),
            tuple(recurrents),
            _read_matrix(sections, SLOTS["output"], features, widths[layers - 1]),
        )
    except (KeyError, ValueError, IndexError, struct.error):
        raise NeuroampError(
            f"{path} has no whole net although it is not damaged; export the model again."
        ) from None


def read_sections(data: bytes, source: str | Path) -> dict[int, bytes]:
    """The sections of a whole `.nam` file by identifier; `source` is for messages.

    Raises:
        NeuroampError: as `read_core_file`.
    """
    if len(data) < HEADER.size or data[: len(MAGIC)] != MAGIC:
        raise NeuroampError(
            f"{source} is not a model of the C core (expected it to start with {MAGIC!r}, found "
            f"{data[:8]!r}); give a {SUFFIX} file that `neuroamp export` wrote."
        )
    _, version, size, crc, count, digest = HEADER.unpack_from(data)
    if version != FORMAT_VERSION:
        raise NeuroampError(
            f"{source} has format version {version} but this release reads {FORMAT_VERSION}; "
            "export the model again with this release."
        )
    if size != len(data) or count > MAX_SECTIONS or size < HEADER.size + count * ENTRY.size:
        raise NeuroampError(
            f"{source} has {len(data)} bytes but states {size}; copy or export it again."
        )
    check_digest(source, digest.hex(), hashlib.sha256(data[HEADER.size :]).hexdigest())
    if crc != zlib.crc32(data[CRC_FROM:]):
        raise NeuroampError(f"{source} has a damaged header; copy or export it again.")
    table = [ENTRY.unpack_from(data, HEADER.size + i * ENTRY.size) for i in range(count)]
    return {name: data[offset : offset + length] for name, offset, length in table}


def assemble(sections: dict[int, bytes]) -> bytes:
    """The file of these sections by identifier, with header, table, digest and CRC-32."""
    table, body = b"", b""
    start = _aligned(HEADER.size + len(sections) * ENTRY.size)
    for identifier, data in sections.items():
        table += ENTRY.pack(identifier, start + len(body), len(data))
        body += data + bytes(_aligned(len(data)) - len(data))
    payload = table + bytes(start - HEADER.size - len(table)) + body
    digest = hashlib.sha256(payload).digest()
    size = HEADER.size + len(payload)
    unsealed = HEADER.pack(MAGIC, FORMAT_VERSION, size, 0, len(sections), digest) + payload
    crc = zlib.crc32(unsealed[CRC_FROM:])
    return HEADER.pack(MAGIC, FORMAT_VERSION, size, crc, len(sections), digest) + payload


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _profile_sections(profile: Profile) -> dict[str, bytes]:
    analysis, synthesis = windows(profile)
    angle = 2.0 * np.pi * np.arange(profile.frame_length * 3 // 4) / profile.frame_length
    tables: dict[str, NDArray[np.float64]] = {
        "analysis_window": analysis,
        "synthesis_window": synthesis[-profile.synthesis_length :],
        "cosine": np.cos(angle),
        "sine": np.sin(angle),
        "power_scale": power_scale(profile),
        "speech_db_spl": speech_levels_db_spl(65.0) + np.array(TRACKING_EXCESS_DB),
    }
    triangles = {"channel": channel_matrix(profile)}
    if profile.bands:
        triangles["band"] = band_matrix(profile)
    sections = {name: table.astype("<f4").tobytes() for name, table in tables.items()}
    for name, matrix in triangles.items():
        index, upper = _two_numbers(matrix)
        sections[f"{name}_index"] = index.astype("<u2").tobytes()
        sections[f"{name}_upper"] = upper.astype("<f4").tobytes()
    sections["profile"] = PROFILE.pack(
        profile.sample_rate_hz,
        profile.frame_length,
        profile.hop,
        profile.synthesis_length,
        profile.hops_per_step,
        ("band-level", "log-magnitude").index(profile.features),
        profile.bands,
        profile.gain_min_db,
        profile.gain_max_db,
        profile.level_reference_pa,
    )
    return sections


def _two_numbers(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Per bin the lower of its two bands and the upper one's weight, each of shape [bins]."""
    index = np.minimum(np.argmax(matrix > 0.0, axis=0), matrix.shape[0] - 2)
    return index, matrix[index + 1, np.arange(matrix.shape[1])]


def _slots(weights: IntegerWeights) -> list[tuple[int, IntegerMatrix]]:
    slots = [(slot, getattr(weights, name)) for name, slot in SLOTS.items()]
    for layer, pair in enumerate(zip(weights.inputs, weights.recurrents, strict=True)):
        offset = layer * SLOTS_PER_LAYER
        slots += zip((INPUT_SLOT + offset, RECURRENT_SLOT + offset), pair, strict=True)
    return slots


def _matrix_sections(slot: int, matrix: IntegerMatrix) -> dict[int, bytes]:
    rows, columns = matrix.weights.shape
    more_rows, more_columns = -rows % ROW_PADDING, -columns % COLUMN_PADDING
    weights = np.pad(matrix.weights, ((0, more_rows), (0, more_columns)))
    parts = {
        "weights": weights.astype("i1"),
        "multipliers": np.pad(matrix.multipliers, (0, more_rows)).astype("<i4"),
        "row_sums": weights.sum(axis=1, dtype=np.int64).astype("<i4"),
    }
    if matrix.bias is not None:
        parts["bias"] = np.pad(matrix.bias, (0, more_rows)).astype("<i4")
    return {slot + PARTS[name]: part.tobytes() for name, part in parts.items()}


def _read_matrix(sections: dict[int, bytes], slot: int, rows: int, columns: int) -> IntegerMatrix:
    padded_rows = rows + -rows % ROW_PADDING

    def integers(part: str) -> NDArray[np.int32]:
        return np.frombuffer(sections[slot + PARTS[part]], dtype="<i4", count=padded_rows)[:rows]

    weights = np.frombuffer(sections[slot + PARTS["weights"]], dtype=np.int8)
    bias = integers("bias") if slot + PARTS["bias"] in sections else None
    whole = weights.reshape(padded_rows, columns + -columns % COLUMN_PADDING)
    return IntegerMatrix(whole[:rows, :columns], integers("multipliers"), bias)

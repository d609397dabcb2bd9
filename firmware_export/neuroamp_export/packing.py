"""A core model file with its matrices in the order in which one processor's kernel reads them.

`device/core/src/model.h` describes the layouts; the sums are the same in each, bit for bit. Only
the firmware of the target takes a packed file: hosts read the plain one.
"""

from __future__ import annotations

import enum
import struct

import numpy as np
from neuroamp.core_file import (
    INPUT_SLOT,
    NET,
    PARTS,
    RECURRENT_SLOT,
    ROW_PADDING,
    SECTIONS,
    SLOTS,
    SLOTS_PER_LAYER,
    assemble,
    read_sections,
)
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray

UNITS_PER_TILE = 8
GATES = 4


class Layout(enum.Enum):
    """How the matrices stand in the file; the values are the core's."""

    ROWS = 0
    PAIRS = 1
    TILES = 2


def pack(data: bytes, layout: Layout, source: str) -> bytes:
    """The whole `.nam` file `data`, plain, in another layout; `source` is for messages.

    Raises:
        NeuroampError: it is no whole plain file, or the layout does not take a net of its widths.
    """
    sections = read_sections(data, source)
    if SECTIONS["layout"] in sections:
        raise NeuroampError(f"{source} is packed for a target already; give the plain .nam file.")
    layers, _units, *widths = NET.unpack(sections[SECTIONS["net"]])
    widths = widths[:layers]
    odd = [width for width in widths if width % UNITS_PER_TILE]
    if layout is Layout.TILES and odd:
        raise NeuroampError(
            f"{source} has a layer of {odd[0]} units but the Cortex-M55's kernel takes multiples "
            f"of {UNITS_PER_TILE}; train a net of such a width."
        )
    if layout is not Layout.ROWS and layers:
        gates = {SLOTS["listener"]: widths[0]}
        for layer, width in enumerate(widths):
            gates[INPUT_SLOT + layer * SLOTS_PER_LAYER] = width
            gates[RECURRENT_SLOT + layer * SLOTS_PER_LAYER] = width
        for slot, width in gates.items():
            _reorder(sections, slot, _gate_rows(layout, width))
        for slot in (SLOTS["audiogram"], SLOTS["output"], *gates):
            _pack_matrix(sections, slot, layout)
        sections[SECTIONS["layout"]] = struct.pack("<I", layout.value)
    return assemble(sections)


def _gate_rows(layout: Layout, width: int) -> NDArray[np.int64]:
    """Which plain row stands at each place of a packed matrix of gates, shape [4 * width]."""
    rows = np.arange(GATES * width).reshape(GATES, width)
    if layout is Layout.PAIRS:
        return rows.T.reshape(-1)
    even_then_odd = [0, 2, 4, 6, 1, 3, 5, 7]
    blocks = rows.reshape(GATES, -1, UNITS_PER_TILE)[:, :, even_then_odd]
    return blocks.transpose(1, 0, 2).reshape(-1)


def _reorder(sections: dict[int, bytes], slot: int, order: NDArray[np.int64]) -> None:
    for part in PARTS.values():
        if slot + part in sections:
            rows = np.frombuffer(sections[slot + part], dtype=np.uint8).reshape(order.size, -1)
            sections[slot + part] = rows[order].tobytes()


def _pack_matrix(sections: dict[int, bytes], slot: int, layout: Layout) -> None:
    multipliers = np.frombuffer(sections[slot + PARTS["multipliers"]], dtype="<i4")
    row_sums = np.frombuffer(sections[slot + PARTS["row_sums"]], dtype="<i4")
    weights = np.frombuffer(sections[slot + PARTS["weights"]], dtype=np.int8)
    quads = weights.reshape(multipliers.size // ROW_PADDING, ROW_PADDING, -1)
    if layout is Layout.PAIRS:
        words = 256 * quads[:, :2].astype(np.int16) + quads[:, 2:]
        # [quad, row, column / 4, pair, column % 2] to [quad, column / 4, pair, row, column % 2]
        split = words.reshape(len(quads), 2, -1, 2, 2).transpose(0, 2, 3, 1, 4)
        sections[slot + PARTS["weights"]] = split.astype("<i2").tobytes()
        sections[slot + PARTS["multipliers"]] = (2 * multipliers).astype("<i4").tobytes()
    else:
        tiles = quads.reshape(len(quads), ROW_PADDING, -1, 16).transpose(0, 2, 1, 3)
        sections[slot + PARTS["weights"]] = tiles.tobytes()
        sections[slot + PARTS["row_sums"]] = (128 * row_sums).astype("<i4").tobytes()

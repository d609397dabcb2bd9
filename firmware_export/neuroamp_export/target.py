"""The model image of a microcontroller's firmware: packed for its kernel, with a header of sizes.

What device/firmware takes from a host is one folder: `model.nam`, the model file in the layout that
the target's kernel reads, tables of the profile and of the activations included, and `model.h`.
Whether it fits a board is known before anything is compiled: the build holds the rest of the
firmware to fixed shares of flash and RAM.
"""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise
from pathlib import Path

from neuroamp import __version__
from neuroamp.aid import aid_memory_bytes
from neuroamp.core_file import NET, PARTS, SECTIONS, SLOTS, read_sections
from neuroamp.errors import NeuroampError
from neuroamp.model_file import ModelInfo, parse_metadata
from neuroamp.profile import Profile

from neuroamp_export.packing import Layout, pack

TARGETS = {
    "cortex-m4": Layout.PAIRS,
    "cortex-m7": Layout.PAIRS,
    "cortex-m33": Layout.PAIRS,
    "cortex-m55": Layout.TILES,
}
"""Processors by name, and how their kernel reads the net's matrices."""

CODE_BYTES = 48_000
"""Most that the firmware takes of flash besides the model; its build keeps to it."""

WORKING_BYTES = 32_000
"""Most that the firmware takes of RAM besides aid and audio buffers, its stack included;
likewise."""

SAMPLE_BYTES = 4
"""Of a sample of the converters."""

IMAGE, HEADER = "model.nam", "model.h"
BOARDS = Path(__file__).resolve().parents[2] / "device" / "firmware" / "boards"
UNITS = {"": 1, "K": 1024, "M": 1024 * 1024}


@dataclasses.dataclass(frozen=True)
class Board:
    """What a board offers, as its folder under device/firmware/boards says.

    Attributes:
        name: of the folder.
        target: its processor, one of `TARGETS`.
        flash_bytes, ram_bytes: lengths of the regions FLASH and RAM of its memory.ld.
        model_bytes: length of the region MODEL; None where the model shares FLASH.
        machine: what QEMU calls it; None where QEMU does not have it.
    """

    name: str
    target: str
    flash_bytes: int
    ram_bytes: int
    model_bytes: int | None
    machine: str | None


@dataclasses.dataclass(frozen=True)
class Image:
    """A model image and the memory that it takes.

    Attributes:
        target: one of `TARGETS`.
        source: where the model came from, for the header.
        model: the packed `.nam` file.
        aid_bytes: RAM of one ear's chain with what is around it; a 32-bit processor takes a little
            less, for the pointers in it are half as long.
        weight_bytes: share of `model` that is the net's weights.
    """

    target: str
    source: str
    model: bytes
    aid_bytes: int
    weight_bytes: int

    @property
    def products(self) -> int:
        """Products of one step of the net; the audiogram's part belongs to the fitting."""
        sections = read_sections(self.model, IMAGE)
        layers, _units, *widths = NET.unpack(sections[SECTIONS["net"]])
        sizes = [self.profile.feature_count, *widths[:layers]]
        recurrent = sum(4 * width * (before + width) for before, width in pairwise(sizes))
        return recurrent + sizes[-1] * sizes[0] if layers else 0

    @property
    def flash_bytes(self) -> int:
        """Flash of the whole firmware, at most."""
        return len(self.model) + CODE_BYTES

    @property
    def ram_bytes(self) -> int:
        """RAM of the whole firmware, at most: the aid, two double buffers, all the rest."""
        return self.aid_bytes + 4 * self.profile.hop * SAMPLE_BYTES + WORKING_BYTES

    @property
    def info(self) -> ModelInfo:
        """What the model says about itself."""
        return parse_metadata(read_sections(self.model, IMAGE)[SECTIONS["metadata"]], IMAGE)[0]

    @property
    def profile(self) -> Profile:
        """The profile that the model was made for."""
        return self.info.profile

    def header(self) -> str:
        """The C header `model.h`."""
        profile = self.profile
        numbers = {
            "MODEL_BYTES": len(self.model),
            "AID_BYTES": self.aid_bytes,
            "SAMPLE_RATE_HZ": profile.sample_rate_hz,
            "HOP": profile.hop,
            # The firmware brings whole hops, and its chain is a hop earlier for it.
            "DELAY_SAMPLES": profile.delay_samples - profile.hop,
            "HAS_NET": int(bool(self.info.states)),
        }
        lines = [
            f"/* Written by `neuroamp export --target {self.target}` from {self.source}. */",
            "#ifndef NEUROAMP_MODEL_H",
            "#define NEUROAMP_MODEL_H",
            "",
            f'#define NEUROAMP_TARGET "{self.target}"',
            f'#define NEUROAMP_PROFILE_NAME "{profile.name}"',
            f'#define NEUROAMP_VERSION "{__version__}"',
            *(f"#define NEUROAMP_{name} {value}" for name, value in numbers.items()),
            "",
            "#endif",
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Writes `model.nam` and `model.h`, where they are not there as they should be."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((IMAGE, self.model), (HEADER, self.header().encode())):
            path = folder / name
            # An untouched file spares the firmware's build all that depends on it.
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)

    def check_fits(self, board: Board) -> None:
        """Refuses a board of another processor or with too little memory.

        Raises:
            NeuroampError: it does not fit; the message says by how many bytes.
        """
        if board.target != self.target:
            raise NeuroampError(
                f"the board {board.name} has a {board.target} but the target is {self.target}; "
                f"give --target {board.target}."
            )
        needs = {"flash": (self.flash_bytes, board.flash_bytes)}
        if board.model_bytes is not None:
            needs["flash"] = (CODE_BYTES, board.flash_bytes)
            needs["model memory"] = (len(self.model), board.model_bytes)
        needs["RAM"] = (self.ram_bytes, board.ram_bytes)
        lacking = [
            f"{needed} bytes of {kind} are needed but it has {present}, {needed - present} too few"
            for kind, (needed, present) in needs.items()
            if needed > present
        ]
        if lacking:
            raise NeuroampError(
                f"{self.source} does not fit the board {board.name}: {'; '.join(lacking)}; "
                "export a smaller net or choose another board."
            )


def make_image(data: bytes, target: str, source: str) -> Image:
    """The image of a plain `.nam` file.

    Args:
        data: the whole file.
        target: one of `TARGETS`.
        source: its name, for messages and for the header.

    Raises:
        NeuroampError: there is no such target, `data` is no whole plain file, the target's kernel
            does not take a net of its widths, or this machine has no C core to ask for its memory.
    """
    if target not in TARGETS:
        raise NeuroampError(
            f"there is no target {target!r}; choose from {', '.join(sorted(TARGETS))}."
        )
    model = pack(data, TARGETS[target], source)
    weights = sum(
        len(section)
        for identifier, section in read_sections(model, source).items()
        if identifier >= min(SLOTS.values()) and identifier % 0x100 == PARTS["weights"]
    )
    return Image(target, source, model, aid_memory_bytes(model, ears=1), weights)


def read_board(name: str) -> Board:
    """The board of a folder: a name under device/firmware/boards, or a path.

    Raises:
        NeuroampError: there is no such board, or its files do not say what it has.
    """
    folder = BOARDS / name if (BOARDS / name).is_dir() else Path(name)
    known = sorted(path.parent.name for path in BOARDS.glob("*/board.mk"))
    if not (folder / "board.mk").is_file():
        raise NeuroampError(
            f"there is no board {name!r}; choose from {', '.join(known)}, or give the folder of "
            "another one."
        )
    text = (folder / "board.mk").read_text(encoding="utf-8")
    said = dict(re.findall(r"^(TARGET|MACHINE)\s*=\s*(\S+)", text, re.MULTILINE))
    memory = (folder / "memory.ld").read_text() if (folder / "memory.ld").is_file() else ""
    lengths = {
        region: int(length, 0) * UNITS[unit]
        for region, length, unit in re.findall(
            r"^\s*(FLASH|MODEL|RAM)\b.*LENGTH\s*=\s*(\w+?)([KM]?)\s*$", memory, re.MULTILINE
        )
    }
    if said.get("TARGET") not in TARGETS or not {"FLASH", "RAM"} <= set(lengths):
        raise NeuroampError(
            f"the board {folder.name} does not say what it has: expected TARGET, one of "
            f"{', '.join(sorted(TARGETS))}, in board.mk and the lengths of FLASH and RAM in "
            "memory.ld; docs/porting.md shows both."
        )
    return Board(
        folder.name,
        said["TARGET"],
        lengths["FLASH"],
        lengths["RAM"],
        lengths.get("MODEL"),
        said.get("MACHINE"),
    )

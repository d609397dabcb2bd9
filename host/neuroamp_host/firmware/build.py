"""Builds device/firmware for a board, and reads from the link map what memory it takes."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp_export.target import Board, Image

FOLDER = Path(__file__).resolve().parents[3] / "device" / "firmware"
CROSS = "arm-none-eabi-"
PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi make"
"""Debian packages that a build takes."""

LIMITS = {"weights": 300_000, "code": 48_000, "RAM": 64_000}
"""Most bytes of each kind that the wearable model's firmware may take."""

PARTS = {
    "weights": (".model",),
    "code": (".vectors", ".text", ".ARM.exidx", ".data"),
    "RAM": (".data", ".bss", ".stack"),
}
"""Sections of the link map that each kind counts; initialised data stands in flash as well."""

KILOBYTE = 1000


@dataclasses.dataclass(frozen=True)
class Firmware:
    """A built firmware.

    Attributes:
        board: what it was built for.
        image: the model in it.
        ear: which ear it is for.
        elf: the program with its symbols.
        sizes: bytes by kind, the keys of `PARTS`.
    """

    board: Board
    image: Image
    ear: Ear
    elf: Path
    sizes: dict[str, int]

    @property
    def delay_samples(self) -> int:
        """Of its sound, the converters' double buffer apart: it is a hop earlier than a chain
        that takes any number of samples."""
        return self.image.profile.delay_samples - self.image.profile.hop

    def report(self) -> str:
        """The sizes as lines of text."""
        rows = [
            f"  {kind:<9}{size / KILOBYTE:8.1f} kB of {LIMITS[kind] / KILOBYTE:.0f} kB"
            for kind, size in self.sizes.items()
        ]
        return "\n".join(
            [f"firmware for {self.board.name} ({self.board.target}), {self.ear.value} ear:", *rows]
        )

    def check_limits(self) -> None:
        """Refuses a firmware above one of `LIMITS`.

        Raises:
            NeuroampError: it is; the message says by how much.
        """
        above = [
            f"{size} bytes of {kind}, {size - LIMITS[kind]} more than the {LIMITS[kind]} allowed"
            for kind, size in self.sizes.items()
            if size > LIMITS[kind]
        ]
        if above:
            raise NeuroampError(
                f"the firmware for {self.board.name} takes {'; '.join(above)}; "
                "export a smaller net or take something out."
            )


def build(board: Board, image: Image, out: Path, ear: Ear = Ear.LEFT, *variables: str) -> Firmware:
    """Compiles and links the firmware of a board around a model image.

    Args:
        board: under device/firmware/boards.
        image: the model, for the board's processor.
        out: folder for what is built; only what changed is built again.
        ear: which ear the aid is for.
        variables: further ones for make, NAME=VALUE.

    Raises:
        NeuroampError: the image does not fit the board, this is no checkout, the cross compiler is
            not installed, or it failed.
    """
    image.check_fits(board)
    if not (FOLDER / "Makefile").is_file():
        raise NeuroampError(
            f"there is no firmware in {FOLDER}; run this from a checkout of the repository."
        )
    missing = [tool for tool in ("make", f"{CROSS}gcc") if shutil.which(tool) is None]
    if missing:
        raise NeuroampError(
            f"{' and '.join(missing)} cannot be found; install the Debian packages {PACKAGES}."
        )
    if " " in str(out.resolve()):
        raise NeuroampError(
            f"the folder {out.resolve()} has a space in its name, which make does not take; give "
            "another one with --out."
        )
    model, built = out.resolve() / "model", out.resolve() / ear.value
    image.write(model)
    command = [
        "make",
        "--silent",
        f"--directory={FOLDER}",
        f"--jobs={os.cpu_count()}",
        f"BOARD={board.name}",
        f"EAR={ear.value}",
        f"MODEL={model}",
        f"OUT={built}",
        *variables,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise NeuroampError(
            f"the firmware for {board.name} was not built: {done.stderr.strip()[-2000:]}"
        )
    return Firmware(board, image, ear, built / "firmware.elf", read_map(built / "firmware.map"))


def read_map(path: Path) -> dict[str, int]:
    """Bytes by kind, the keys of `PARTS`, of a link map.

    Raises:
        NeuroampError: a section is not in it.
    """
    text = path.read_text(encoding="utf-8").partition("\nLinker script and memory map\n")[2]
    pattern = r"^(\.[\w.]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)"
    sizes = {name: int(size, 16) for name, size in re.findall(pattern, text, re.MULTILINE)}
    missing = {name for names in PARTS.values() for name in names} - set(sizes)
    if missing:
        raise NeuroampError(
            f"the link map {path} has no section {', '.join(sorted(missing))}; build it again."
        )
    return {kind: sum(sizes[name] for name in names) for kind, names in PARTS.items()}

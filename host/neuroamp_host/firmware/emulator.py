"""Runs the firmware in QEMU: microphone, receiver and settings memory are files of one folder."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from neuroamp.engines.native import EARS, FITTING_FIELDS
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from numpy.typing import NDArray

from neuroamp_host.firmware.build import Firmware

QEMU = "qemu-system-arm"
PACKAGES = QEMU
FLASH_BYTES = 64 * 1024
FULL_SCALE = 2.0**31
FULL_SCALE_PA = 20.0
"""Sound pressure that the emulated converters read, and give, at full scale, pascals."""

MICROPHONE, RECEIVER, FLASH = "in.pcm", "out.pcm", "flash.bin"
POWER_CUT_EXIT = 3
"""Exit code of an emulator whose power failed, as `cut` asked for."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run of the firmware left.

    Attributes:
        samples: of the receiver, int32, full scale at 2^31.
        report: its last words: hops, missed steps, stack used, stack size.
    """

    samples: NDArray[np.int32]
    report: dict[str, int]

    @property
    def sound_pa(self) -> NDArray[np.float64]:
        """The receiver's sound pressure, pascals."""
        return self.samples.astype(np.float64) * (FULL_SCALE_PA / FULL_SCALE)


def microphone_samples(sound_pa: NDArray[np.float64], hop: int) -> NDArray[np.int32]:
    """What the emulated converter reads of a sound in pascals, in whole hops."""
    padded = np.pad(sound_pa, (0, -sound_pa.size % hop))
    scaled = np.rint(padded * (FULL_SCALE / FULL_SCALE_PA))
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)


def erase_flash(folder: Path) -> None:
    """Makes a settings memory in which nothing is stored."""
    (folder / FLASH).write_bytes(b"\xff" * FLASH_BYTES)


def store_fitting(folder: Path, fitting: Fitting) -> None:
    """Makes a settings memory that holds one fitting."""
    rows = [np.ravel(getattr(fitting, name)) for name in FITTING_FIELDS]
    record = struct.pack("<i", EARS[fitting.ear]) + np.concatenate(rows).astype("<f4").tobytes()
    (folder / FLASH).write_bytes(record.ljust(FLASH_BYTES, b"\xff"))


def command(firmware: Firmware, *arguments: str, serial: str = "null") -> list[str]:
    """The emulator's command line, to be run in the folder of the files.

    Args:
        firmware: for an emulated board.
        arguments: of the board, as device/firmware/boards/emulated/mps.c lists them.
        serial: where the serial port leads, in QEMU's words: 'null', 'pty'.

    Raises:
        NeuroampError: QEMU is not installed or does not have the board.
    """
    board = firmware.board
    if board.machine is None:
        raise NeuroampError(
            f"the board {board.name} cannot be emulated; choose one whose board.mk has a MACHINE."
        )
    if shutil.which(QEMU) is None:
        raise NeuroampError(f"{QEMU} cannot be found; install the Debian package {PACKAGES}.")
    semihosting = ",".join(["enable=on", "target=native", *(f"arg={a}" for a in arguments)])
    return [
        QEMU,
        *("-machine", board.machine),
        *("-display", "none"),
        *("-monitor", "none"),
        *("-serial", serial),
        *("-semihosting-config", semihosting),
        *("-kernel", str(firmware.elf.resolve())),
    ]


def process(
    firmware: Firmware,
    samples: NDArray[np.int32],
    folder: Path,
    timeout_s: float = 600.0,
    extra: tuple[str, ...] = (),
) -> Run:
    """A recording through the firmware, as fast as the emulator computes, and always the same.

    Args:
        firmware: for an emulated board.
        samples: of the microphone, whole hops, full scale at 2^31.
        folder: with the settings memory; what the run writes goes there too.
        timeout_s: after so many seconds it is given up.
        extra: further options of the emulator.

    Raises:
        NeuroampError: as `command`, or the run did not come to its end.
    """
    samples.astype("<i4").tofile(folder / MICROPHONE)
    files = (f"in={MICROPHONE}", f"out={RECEIVER}", f"flash={FLASH}")
    words = [*command(firmware, *files), *extra]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise NeuroampError(
            f"the emulated firmware did not end within {timeout_s:.0f} s; give it a shorter "
            "recording."
        ) from None
    report = {name: int(n) for name, n in re.findall(r"^([a-z ]+) (\d+)$", done.stderr, re.M)}
    if done.returncode != 0 or not report:
        raise NeuroampError(
            f"the emulated firmware ended with code {done.returncode} "
            f"({done.stderr.strip()[-500:] or 'it said nothing'}); report this as a fault."
        )
    return Run(np.fromfile(folder / RECEIVER, dtype="<i4"), report)


@contextlib.contextmanager
def powered(words: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The emulator running in the background; at the end its power is cut."""
    running = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        if running.stdout:
            running.stdout.close()

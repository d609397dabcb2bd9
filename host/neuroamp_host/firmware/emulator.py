"""Runs the firmware in QEMU: microphone, receiver and settings memory are files of one folder."""

from __future__ import annotations

import dataclasses
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.fitting import MPO_RANGE_DB_SPL, Fitting
from neuroamp.link.records import Calibration, FittingRecord
from numpy.typing import NDArray

from neuroamp_host.firmware.build import Firmware

QEMU = "qemu-system-arm"
PACKAGES = QEMU
FLASH_BYTES = 64 * 1024
FLASH_UNIT = 4096
SLOT = struct.Struct("<4sHHII12xI")

FULL_SCALE = 2.0**31
FULL_SCALE_DB_SPL = 120.0
"""Level that the emulated converters read, and give, with an RMS of full scale, dB SPL."""

FULL_SCALE_PA = 20.0
"""The same as a sound pressure, pascals."""

MICROPHONE, RECEIVER, FLASH = "in.pcm", "out.pcm", "flash.bin"
POWER_CUT_EXIT = 3
"""Exit code of an emulator whose power failed, as `cut` asked for."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run of the firmware left.

    Attributes:
        samples: of the receiver, int32, full scale at 2^31.
        report: its last words: hops, late hops, missed steps, stack used, stack size.
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


def calibration_of(ear: Ear) -> Calibration:
    """What is true of the emulated converters."""
    highest = MPO_RANGE_DB_SPL[1]
    return Calibration(ear, FULL_SCALE_DB_SPL, FULL_SCALE_DB_SPL, highest, by="emulator")


def store_settings(folder: Path, fitting: Fitting | None, calibration: Calibration | None) -> None:
    """Makes a settings memory as docs/serial-protocol.md lays it out; None: nothing of the kind."""
    memory = bytearray(b"\xff" * FLASH_BYTES)
    if fitting is not None:
        model_slot = bytes(16)
        payload = _of_ears(FittingRecord(fitting).encode(), fitting.ear) + model_slot
        memory[: SLOT.size + len(payload)] = _slot(0, payload)
    if calibration is not None:
        payload = _of_ears(calibration.encode(), calibration.ear)
        start = 2 * FLASH_UNIT  # behind the fittings' two slots
        memory[start : start + SLOT.size + len(payload)] = _slot(1, payload)
    (folder / FLASH).write_bytes(memory)


def _of_ears(record: bytes, ear: Ear) -> bytes:
    return b"".join(record if ear is side else bytes(len(record)) for side in (Ear.LEFT, Ear.RIGHT))


def _slot(store: int, payload: bytes) -> bytes:
    """The first write to a store."""
    head = SLOT.pack(b"NAst", 1, store, 1, len(payload), 0)
    crc = zlib.crc32(head[:-4] + payload)
    return SLOT.pack(b"NAst", 1, store, 1, len(payload), crc) + payload


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
    report = read_report(done.stderr)
    if done.returncode != 0 or not report:
        raise NeuroampError(
            f"the emulated firmware ended with code {done.returncode} "
            f"({done.stderr.strip()[-500:] or 'it said nothing'}); report this as a fault."
        )
    return Run(np.fromfile(folder / RECEIVER, dtype="<i4"), report)


def read_report(said: str) -> dict[str, int]:
    """What a firmware whose audio is over says of the run, name by name."""
    return {name: int(n) for name, n in re.findall(r"^([a-z ]+) (\d+)$", said, re.MULTILINE)}


class Emulator:
    """The firmware running in the background, its serial port at hand.

    with Emulator(firmware, folder, "flash=flash.bin", "paced") as running:
        DeviceClient(running.port)

    At the end, or by `cut_power`, it is killed: nothing is finished or written back. What it has
    said is in `said` after that or after `wait`.
    """

    def __init__(
        self, firmware: Firmware, folder: Path, *arguments: str, extra: tuple[str, ...] = ()
    ) -> None:
        """Starts it.

        Args:
            firmware: for an emulated board.
            folder: where its files are, the settings memory among them.
            arguments: as `command`.
            extra: further options of the emulator.

        Raises:
            NeuroampError: as `command`, or the emulator did not start.
        """
        self._process = subprocess.Popen(
            [*command(firmware, *arguments, serial="pty"), *extra],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = ""
        for line in self._process.stdout:
            self.said += line
            found = re.search(r"char device redirected to (\S+)", line)
            if found:
                self.port = found[1]
                return
        self.cut_power()
        raise NeuroampError(f"{QEMU} did not start ({self.said.strip()}); report this as a fault.")

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()

    @property
    def is_on(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def cut_power(self) -> None:
        """Kills the emulator, wherever it is."""
        self._process.kill()
        self.wait()

    def wait(self, timeout_s: float | None = None) -> int:
        """Waits for the end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        code = self._process.wait(timeout_s)
        if self._process.stdout is not None and not self._process.stdout.closed:
            self.said += self._process.stdout.read()
            self._process.stdout.close()
        return code

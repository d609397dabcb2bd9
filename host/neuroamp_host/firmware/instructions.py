"""Counts the instructions of every stage of the emulated firmware, exactly, by a QEMU plugin.

The plugin (tools/instructions/plugin.c) notes how many instructions had been executed whenever the
processor comes to one of the addresses it is given: here every place that calls a stage, and the
instruction after it. The emulator without real time executes the same instructions at every run.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray

from neuroamp_host.firmware import emulator
from neuroamp_host.firmware.build import CROSS, Firmware

PLUGIN_SOURCE = Path(__file__).resolve().parents[3] / "tools" / "instructions" / "plugin.c"

FRAME = "firmware_audio"
STAGES = {
    "analysis, FFT": "na_analyse",
    "powers": "na_powers",
    "compression": "na_wdrc_step",
    "features": "na_features",
    "net": "na_lstm_step",
    "net's gains": "na_net_gain_db",
    "gains": "na_next_gains",
    "gains applied": "na_apply_gains",
    "inverse FFT, synthesis": "na_synthesise",
    "limiter": "na_limit",
}
"""Stages of the chain and the function that each is; none calls another."""

SETTLING_FRAMES = 16
"""Frames at the start that are not counted: the first ones find everything at rest."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """Instructions of one firmware.

    Attributes:
        frame: of a frame, on average; the whole audio interrupt.
        longest_frame: of the longest one.
        stages: of one call of each stage, on average, by the keys of `STAGES`.
        calls: calls a frame, by the same keys.
    """

    frame: float
    longest_frame: int
    stages: dict[str, float]
    calls: dict[str, float]

    @property
    def rest(self) -> float:
        """What a frame has besides the stages: the converters' numbers, copies, calibration."""
        return self.frame - sum(self.stages[name] * self.calls[name] for name in self.stages)


def build_plugin(folder: Path) -> Path:
    """Compiles the plugin for this machine.

    Raises:
        NeuroampError: there is no C compiler.
    """
    library = folder / "instructions.so"
    command = ["gcc", "-std=c11", "-O2", "-shared", "-fPIC", str(PLUGIN_SOURCE), "-o", str(library)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NeuroampError(f"{PLUGIN_SOURCE.name} was not compiled; install gcc.") from None
    return library


def call_sites(firmware: Firmware) -> dict[int, str]:
    """Addresses of the instructions that call a stage or the audio interrupt's function.

    Raises:
        NeuroampError: a stage is called from nowhere: the compiler has taken it into its caller.
    """
    listing = subprocess.run(
        [f"{CROSS}objdump", "--disassemble", "--no-show-raw-insn", firmware.elf],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wanted = {FRAME, *STAGES.values()}
    calls = re.findall(r"^\s*([0-9a-f]+):\s+bl\s+[0-9a-f]+ <(\w+)>", listing, re.MULTILINE)
    sites = {int(address, 16): name for address, name in calls if name in wanted}
    missing = sorted(wanted - set(sites.values()))
    if missing:
        raise NeuroampError(
            f"{missing[0]} is called from nowhere in {firmware.elf}; count another function."
        )
    return sites


def count(firmware: Firmware, samples: NDArray[np.int32], folder: Path) -> Counts:
    """Instructions of a recording's frames.

    Args:
        firmware: for an emulated board.
        samples: of the microphone, whole hops, full scale at 2^31.
        folder: with the settings memory.

    Raises:
        NeuroampError: as `call_sites`, or the emulator has no plugins.
    """
    sites = call_sites(firmware)
    call_bytes = 4
    marks = [(name, site + step) for site, name in sites.items() for step in (0, call_bytes)]
    with tempfile.TemporaryDirectory() as built:
        log = Path(built) / "log"
        plugin = ",".join(
            [str(build_plugin(Path(built))), f"log={log}", *(f"at={at:#x}" for _, at in marks)]
        )
        emulator.process(firmware, samples, folder, extra=("-plugin", plugin))
        records = np.fromfile(log, dtype="<u8").reshape(-1, 2)
    spans: dict[str, list[int]] = defaultdict(list)
    before: dict[str, int] = defaultdict(int)
    entered: dict[str, int] = {}
    for mark, executed in records.tolist():
        name = marks[mark][0]
        if mark % 2 == 0:
            entered[name] = executed
        elif name in entered:  # what comes after a call may also be jumped to, around it
            spans[name].append(executed - entered.pop(name))
            # A frame ends after all its stages.
            if len(spans[FRAME]) < SETTLING_FRAMES + (name == FRAME):
                before[name] += 1
    counted = {name: np.array(lengths[before[name] :]) for name, lengths in spans.items()}
    frames = len(counted[FRAME])
    return Counts(
        frame=float(counted[FRAME].mean()),
        longest_frame=int(counted[FRAME].max()),
        stages={label: float(counted[name].mean()) for label, name in STAGES.items()},
        calls={label: len(counted[name]) / frames for label, name in STAGES.items()},
    )

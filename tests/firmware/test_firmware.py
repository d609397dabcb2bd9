"""The firmware on the emulated boards: what it takes, and that it gives the host's very bits."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from neuroamp.engines.native import NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.released import find_model
from neuroamp_export.target import CODE_BYTES
from neuroamp_host.firmware import emulator as emulators
from neuroamp_host.firmware.build import CROSS, LIMITS, Firmware
from neuroamp_host.firmware.emulator import FULL_SCALE, FULL_SCALE_PA
from numpy.typing import NDArray

from .conftest import EMULATED

GetFirmware = Callable[[str], Firmware]
HEAP = {"malloc", "free", "calloc", "realloc", "_malloc_r", "_sbrk", "_sbrk_r", "sbrk"}
STACK_RESERVE = 0.1
"""Share of the stack that no run may have touched."""


def on_the_host(samples: NDArray[np.int32], fitting: Fitting) -> NDArray[np.int32]:
    """What the firmware should give: the native engine between the converters' numbers."""
    chain = NativeChain(find_model("wear", "native"), fitting)
    heard = samples.astype(np.float32) * np.float32(FULL_SCALE_PA / FULL_SCALE)
    out = chain.process(heard) * np.float32(FULL_SCALE / FULL_SCALE_PA)
    return np.clip(out, -2147483520.0, 2147483520.0).astype(np.int32)


@pytest.mark.parametrize("board", EMULATED)
def test_it_fits(firmware: GetFirmware, board: str) -> None:
    """It also compiles without a warning: the Makefile makes one an error."""
    built = firmware(board)
    built.check_limits()
    assert built.sizes["weights"] >= len(built.image.model)
    assert built.sizes["code"] <= CODE_BYTES
    assert built.sizes["RAM"] <= built.image.ram_bytes


@pytest.mark.parametrize("board", EMULATED)
def test_the_map_says_what_the_program_has(firmware: GetFirmware, board: str) -> None:
    built = firmware(board)
    listed = subprocess.run(
        [f"{CROSS}size", "-A", built.elf], capture_output=True, text=True, check=True
    ).stdout
    sizes = {n: int(size) for n, size in re.findall(r"^(\.\w+)\s+(\d+)", listed, re.MULTILINE)}
    assert built.sizes["weights"] == sizes[".model"]
    assert built.sizes["RAM"] == sizes[".data"] + sizes[".bss"] + sizes[".stack"]


@pytest.mark.parametrize("board", EMULATED)
def test_no_heap(firmware: GetFirmware, board: str) -> None:
    symbols = subprocess.run(
        [f"{CROSS}nm", firmware(board).elf], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAP & set(symbols)


@pytest.mark.usefixtures("emulator")
@pytest.mark.parametrize("board", EMULATED)
def test_ten_seconds_of_noisy_speech_are_the_host_s_bytes(
    firmware: GetFirmware,
    board: str,
    noisy_pa: NDArray[np.float64],
    fitting: Fitting,
    tmp_path: Path,
) -> None:
    samples = emulators.microphone_samples(noisy_pa, 32)
    emulators.store_fitting(tmp_path, fitting)
    run = emulators.process(firmware(board), samples, tmp_path)
    np.testing.assert_array_equal(run.samples, on_the_host(samples, fitting))
    assert np.abs(run.samples).max() > 1e6  # it is sound
    assert run.report["hops"] == samples.size // 32
    assert run.report["missed steps"] == 0
    assert run.report["stack used"] <= (1.0 - STACK_RESERVE) * run.report["stack size"]


def test_a_firmware_above_a_limit_is_refused(firmware: GetFirmware) -> None:
    built = firmware(EMULATED[0])
    large = Firmware(built.board, built.image, built.elf, {**LIMITS, "code": LIMITS["code"] + 3})
    with pytest.raises(NeuroampError, match="3 more than"):
        large.check_limits()

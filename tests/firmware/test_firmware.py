"""The firmware on the emulated boards: what it takes, and that it gives the host's very bits."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import cffi
import numpy as np
import pytest
from neuroamp.engines.native import NativeChain, library_path
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.records import Calibration
from neuroamp.released import find_model
from neuroamp_export.target import CODE_BYTES
from neuroamp_host.firmware import emulator as emulators
from neuroamp_host.firmware.build import CROSS, LIMITS, Firmware
from neuroamp_host.firmware.emulator import FULL_SCALE, calibration_of, store_settings
from numpy.typing import NDArray

from .conftest import EMULATED

GetFirmware = Callable[[str], Firmware]
HEAP = {"malloc", "free", "calloc", "realloc", "_malloc_r", "_sbrk", "_sbrk_r", "sbrk"}
STACK_RESERVE = 0.1
"""Share of the stack that no run may have touched."""


FADE_IN_S = 1.0


def pressures_at_full_scale(calibration: Calibration) -> tuple[np.float32, np.float32]:
    """Pascals that read as full scale, and full scales that give a pascal, as the core has them."""
    ffi = cffi.FFI()
    ffi.cdef(
        "typedef struct { int32_t ear; float microphone_pa, receiver_per_pa, ceiling_db_spl; } c;"
        "int neuroamp_read_calibration(const uint8_t *record, c *calibration);"
    )
    found = ffi.new("c *")
    library = ffi.dlopen(str(library_path()))
    assert library.neuroamp_read_calibration(calibration.encode(), found) == 0
    return np.float32(found.microphone_pa), np.float32(found.receiver_per_pa)


def on_the_host(samples: NDArray[np.int32], fitting: Fitting) -> NDArray[np.int32]:
    """What the firmware should give: the native engine between the converters' numbers.

    The aid begins silent and fades in; its chain takes whole hops and is a hop earlier.
    """
    chain = NativeChain(find_model("wear", "native"), fitting)
    profile = chain.profile
    microphone_pa, receiver_per_pa = pressures_at_full_scale(calibration_of(fitting.ear))
    heard = samples.astype(np.float32) * np.float32(1.0 / FULL_SCALE) * microphone_pa
    after = np.zeros(profile.hop, dtype=np.float32)
    sound = chain.process(np.concatenate([heard, after]))[profile.hop :]
    slope = np.float32(1.0) / np.float32(FADE_IN_S * profile.sample_rate_hz)
    fade = np.minimum(np.cumsum(np.full(sound.size, slope, dtype=np.float32)), np.float32(1.0))
    out = np.clip(sound * fade * receiver_per_pa, -1.0, 1.0) * np.float32(FULL_SCALE)
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
    store_settings(tmp_path, fitting, calibration_of(fitting.ear))
    run = emulators.process(firmware(board), samples, tmp_path)
    np.testing.assert_array_equal(run.samples, on_the_host(samples, fitting))
    assert np.abs(run.samples).max() > 1e6  # it is sound
    assert run.report["hops"] == samples.size // 32
    assert run.report["missed steps"] == run.report["late hops"] == 0
    assert run.report["stack used"] <= (1.0 - STACK_RESERVE) * run.report["stack size"]


def test_the_skeleton_of_a_port_builds(firmware: GetFirmware) -> None:
    built = firmware("skeleton")
    built.check_limits()
    with pytest.raises(NeuroampError, match="cannot be emulated"):
        emulators.command(built)


def test_a_firmware_above_a_limit_is_refused(firmware: GetFirmware) -> None:
    built = firmware(EMULATED[0])
    large = dataclasses.replace(built, sizes={**LIMITS, "code": LIMITS["code"] + 3})
    with pytest.raises(NeuroampError, match="3 more than"):
        large.check_limits()

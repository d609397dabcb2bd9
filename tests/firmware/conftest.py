"""The firmware of the emulated boards, built around the released wearable model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.core_file import read_core_file
from neuroamp.engines.native import library_path
from neuroamp.fitting import Fitting
from neuroamp.released import find_model
from neuroamp_export.target import make_image, read_board
from neuroamp_host.firmware.build import CROSS, PACKAGES, Firmware, build
from neuroamp_host.firmware.emulator import QEMU
from neuroamp_host.prescription.fit import make_fitting
from numpy.typing import NDArray

EMULATED = ("mps2-an500", "mps2-an386", "mps2-an505", "mps3-an547")
DEMO_AUDIO = Path(__file__).parents[2] / "host" / "neuroamp_host" / "demo_audio"


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Firmware]:
    """The firmware of a board, built at the first call."""
    if library_path() is None:
        pytest.skip("the C core was not built")
    if shutil.which("make") is None or shutil.which(f"{CROSS}gcc") is None:
        pytest.skip(f"needs {PACKAGES}")
    folder = tmp_path_factory.mktemp("firmware")
    made: dict[str, Firmware] = {}

    def get(name: str) -> Firmware:
        if name not in made:
            board = read_board(name)
            source = find_model("wear", "native")
            image = make_image(read_core_file(source)[1], board.target, source.name)
            made[name] = build(board, image, folder / name)
        return made[name]

    return get


@pytest.fixture(scope="session")
def emulator() -> None:
    """Skips where there is no emulator."""
    if shutil.which(QEMU) is None:
        pytest.skip(f"needs {QEMU}")


@pytest.fixture(scope="session")
def noisy_pa() -> NDArray[np.float64]:
    """Ten seconds of a sentence in a noisy tavern, 65 dB SPL, pascals at 16 kHz."""
    parts = []
    for name in ("speech", "noise"):
        sound, rate = soundfile.read(DEMO_AUDIO / f"{name}.flac")
        assert rate == 16000
        parts.append(np.resize(sound / np.sqrt(np.mean(sound**2)), 160_000))
    mixture = parts[0] + 0.7 * parts[1]
    return mixture * 20e-6 * 10 ** (65.0 / 20.0) / np.sqrt(np.mean(mixture**2))


@pytest.fixture(scope="session")
def fitting() -> Fitting:
    """The left ear of the standard audiogram N3."""
    return make_fitting(BISGAARD["N3"], Ear.LEFT)

"""The firmware fitted over its serial port: by the fitting command, and with the power failing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.records import FittingRecord
from neuroamp_host.cli import main
from neuroamp_host.firmware import emulator as emulators
from neuroamp_host.firmware.build import Firmware, build
from neuroamp_host.firmware.emulator import (
    FLASH,
    FLASH_UNIT,
    MICROPHONE,
    POWER_CUT_EXIT,
    Emulator,
    calibration_of,
    store_settings,
)
from neuroamp_host.fitting.client import DeviceClient, RefusedError
from neuroamp_host.prescription.fit import make_fitting
from numpy.typing import NDArray

from .test_firmware import on_the_host

GetFirmware = Callable[[str], Firmware]
BOARD = "mps2-an500"
PATIENCE_S = 60.0

WRITTEN_BYTES = FLASH_UNIT + 640
"""What a write of the fittings erases and programs: header, two records, the model's slot."""

pytestmark = pytest.mark.usefixtures("emulator")


def paced(firmware: Firmware, folder: Path, *arguments: str) -> Emulator:
    return Emulator(firmware, folder, f"flash={FLASH}", "paced", *arguments)


def in_binary32(fitting: Fitting) -> Fitting:
    """The fitting as a record holds it."""
    return FittingRecord.decode(FittingRecord(fitting).encode()).fitting


def test_the_fit_command_changes_the_sound_as_prescribed(
    firmware: GetFirmware,
    tmp_path: Path,
    noisy_pa: NDArray[np.float64],
    capsys: pytest.CaptureFixture[str],
) -> None:
    built = firmware(BOARD)
    store_settings(tmp_path, None, calibration_of(Ear.LEFT))
    samples = emulators.microphone_samples(noisy_pa, 32)
    np.tile(samples, 30).tofile(tmp_path / MICROPHONE)
    with paced(built, tmp_path, f"in={MICROPHONE}") as running:
        with DeviceClient(running.port) as device:
            before = settled_gain_db(device)
        options = ["--ear", "left", "--audiogram", "N3", "--rule", "nal-r"]
        assert main(["fit", "--port", running.port, *options]) == 0, capsys.readouterr()
        fitting = in_binary32(make_fitting(BISGAARD["N3"], Ear.LEFT))
        with DeviceClient(running.port) as device:
            assert device.read_fitting(Ear.LEFT) == fitting
            np.testing.assert_allclose(
                device.applied_gains_db(Ear.LEFT), fitting.gain_65_db, atol=0.05
            )
            after = settled_gain_db(device)
            assert device.times().times.count > 0
            assert device.events()
        (tmp_path / MICROPHONE).write_bytes(b"")  # the audio is over
        assert running.wait(PATIENCE_S) == 0
        report = emulators.read_report(running.said)
        assert report["stack used"] <= 0.9 * report["stack size"]
        assert abs(before) < 3.0  # unfitted: no gain, within what the net takes from the noise
        assert after > before + 5.0

    # It is stored: after the power was cut, the next start plays it from the first sample on.
    run = emulators.process(built, samples[:32_000], tmp_path)
    np.testing.assert_array_equal(run.samples, on_the_host(samples[:32_000], fitting))


def settled_gain_db(device: DeviceClient) -> float:
    """Output over input level once the sound has faded in, mean over three seconds of it, dB."""
    deadline = time.monotonic() + PATIENCE_S
    gains: list[float] = []
    wanted = max(1000, device.counts(Ear.LEFT).hops)
    while len(gains) < 24:
        while device.counts(Ear.LEFT).hops < wanted:
            assert time.monotonic() < deadline
        levels = device.levels()[Ear.LEFT]
        gains.append(levels.output_db_spl - levels.input_db_spl)
        wanted += 64
    return float(np.mean(gains))


def fittings() -> tuple[Fitting, Fitting]:
    return (
        in_binary32(make_fitting(BISGAARD["N2"], Ear.LEFT)),
        in_binary32(make_fitting(BISGAARD["N4"], Ear.LEFT)),
    )


def commit_until_dark(running: Emulator, fitting: Fitting) -> None:
    """Fits again and again until the device does not live to answer."""
    deadline = time.monotonic() + PATIENCE_S
    while running.is_on and time.monotonic() < deadline:
        with (
            contextlib.suppress(NeuroampError),
            DeviceClient(running.port, reconnect_s=0.1) as device,
        ):
            device.stage(fitting)
            device.commit(Ear.LEFT)


def stored_after_restart(firmware: Firmware, folder: Path) -> Fitting | None:
    with paced(firmware, folder) as running, DeviceClient(running.port) as device:
        return device.read_fitting(Ear.LEFT)


@pytest.mark.parametrize(
    ("cut", "is_written"),
    [
        (1, False),
        (FLASH_UNIT - 100, False),
        (FLASH_UNIT + 1, False),
        (FLASH_UNIT + 450, False),
        (WRITTEN_BYTES - 1, False),
        (WRITTEN_BYTES, True),
    ],
)
def test_a_power_cut_at_a_byte_of_a_write_leaves_one_whole_fitting(
    firmware: GetFirmware, tmp_path: Path, cut: int, is_written: bool
) -> None:
    """Every byte of it: tests/device/core; here the whole firmware, and some bytes."""
    old, new = fittings()
    store_settings(tmp_path, old, None)
    with paced(firmware(BOARD), tmp_path, f"cut={cut}") as running:
        commit_until_dark(running, new)
        assert running.wait(PATIENCE_S) == POWER_CUT_EXIT
    assert stored_after_restart(firmware(BOARD), tmp_path) == (new if is_written else old)


def test_an_emulator_killed_during_writes_leaves_one_whole_fitting(
    firmware: GetFirmware, tmp_path: Path
) -> None:
    old, new = fittings()
    for round_number in range(3):
        store_settings(tmp_path, old, None)
        untouched = (tmp_path / FLASH).read_bytes()
        with paced(firmware(BOARD), tmp_path) as running:
            fitter = threading.Thread(target=commit_until_dark, args=(running, new))
            fitter.start()
            deadline = time.monotonic() + PATIENCE_S
            while (tmp_path / FLASH).read_bytes() == untouched:
                assert time.monotonic() < deadline
            time.sleep(0.001 * round_number)
            running.cut_power()
            fitter.join(PATIENCE_S)
        assert stored_after_restart(firmware(BOARD), tmp_path) in (old, new)


def test_the_watchdog_bites_when_the_audio_stands_still(
    firmware: GetFirmware, tmp_path: Path
) -> None:
    """The emulator ends where a board would start again."""
    store_settings(tmp_path, None, None)
    ends = ("-action", "watchdog=poweroff")
    files = (f"flash={FLASH}", "paced")
    with Emulator(firmware(BOARD), tmp_path, *files, "stall=16000", extra=ends) as running:
        with DeviceClient(running.port) as device:
            assert device.identify().name.endswith(BOARD)
        assert running.wait(PATIENCE_S) == 0


def test_the_watchdog_lets_a_working_aid_be(firmware: GetFirmware, tmp_path: Path) -> None:
    store_settings(tmp_path, None, None)
    ends = ("-action", "watchdog=poweroff")
    files = (f"flash={FLASH}", "paced")
    with (
        Emulator(firmware(BOARD), tmp_path, *files, extra=ends) as running,
        DeviceClient(running.port) as device,
    ):
        deadline = time.monotonic() + PATIENCE_S
        while device.counts(Ear.LEFT).hops < 4000:  # eight seconds; it bites after five
            assert time.monotonic() < deadline


def test_a_firmware_for_the_right_ear_refuses_the_left_one_s_fitting(
    firmware: GetFirmware, tmp_path: Path
) -> None:
    built = firmware(BOARD)
    right = build(built.board, built.image, tmp_path / "built", Ear.RIGHT)
    store_settings(tmp_path, None, None)
    with paced(right, tmp_path) as running, DeviceClient(running.port) as device:
        with pytest.raises(RefusedError):
            device.stage(make_fitting(BISGAARD["N3"], Ear.LEFT))
        fitting = in_binary32(make_fitting(BISGAARD["N3"], Ear.RIGHT))
        device.stage(fitting)
        device.commit(Ear.RIGHT)
        assert device.read_fitting(Ear.RIGHT) == fitting

"""`neuroamp device` as a program: fitted over a pseudo-terminal, stopped, started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from neuroamp.aid import Aid
from neuroamp.audiogram import Ear, bisgaard
from neuroamp.engines.native import library_path
from neuroamp.fitting import Fitting
from neuroamp.link.aid_part import AidPart
from neuroamp.link.codes import Capability, Output, Source
from neuroamp.link.dispatcher import unfitted
from neuroamp.link.records import Calibration, FittingRecord
from neuroamp.times import Stage
from neuroamp_host.cli import main
from neuroamp_host.fitting.client import DeviceClient, PortError
from neuroamp_host.fitting.link import Patience
from neuroamp_host.fitting.push import push
from neuroamp_host.prescription.fit import make_fitting

pytestmark = pytest.mark.skipif(library_path() is None, reason="the C core was not built")

PATIENCE_S = 60.0
LONG = Patience(first_s=1.0, slow_first_s=2.0, most_s=8.0, tries=8)


class Program:
    """The command in a process of its own, and a client of it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = str(folder / "aid")
        command = [sys.executable, "-m", "neuroamp_host.cli", "device"]
        arguments = ["--port", f"pty:{self.port}", *options]
        self.process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def client(self) -> DeviceClient:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return DeviceClient(self.port, patience=LONG)
            except PortError:
                assert self.process.poll() is None, self.process.communicate()[0]
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Program]]:
    programs: list[Program] = []
    yield programs
    for program in programs:
        program.process.kill()
        program.process.communicate()


def record(ear: Ear, name: str) -> FittingRecord:
    audiogram = bisgaard(name)
    return FittingRecord.decode(
        FittingRecord(make_fitting(audiogram, ear), audiogram, version=1).encode()
    )


def test_a_fitting_outlasts_the_device_and_the_end_is_quiet(
    started: list[Program], tmp_path: Path
) -> None:
    options = ("--settings", str(tmp_path / "settings"), "--serial", "TEST-1")
    first = Program(tmp_path, *options)
    started.append(first)
    both = [record(Ear.LEFT, "N3"), record(Ear.RIGHT, "S2")]
    with first.client() as client:
        assert client.identify().serial == "TEST-1"
        assert client.greeting.capabilities & Capability.LASTING_SETTINGS
        applied = push(client, both)
        assert applied[Ear.LEFT].mpo_db_spl == 85.0  # uncalibrated
    code, said = first.stop()
    assert code == 0
    assert "left ear           unfitted, uncalibrated" in said
    assert said.endswith("stopped\n")
    assert "Traceback" not in said
    second = Program(tmp_path, *options)
    started.append(second)
    with second.client() as client:
        for wanted in both:
            assert client.read_record(wanted.fitting.ear) == wanted
            assert client.applied(wanted.fitting.ear).source is Source.STORED
    code, said = second.stop(signal.SIGINT)
    assert code == 0
    assert "right ear          fitted, uncalibrated" in said


def test_a_recording_is_heard_and_levels_and_times_are_told(
    started: list[Program], tmp_path: Path
) -> None:
    sound = np.random.default_rng(1).normal(0.0, 0.01, 16_000)
    soundfile.write(tmp_path / "in.wav", sound, 16_000)
    program = Program(tmp_path, "--input", str(tmp_path / "in.wav"), "--ears", "left")
    started.append(program)
    with program.client() as client:
        assert client.greeting.ears == frozenset([Ear.LEFT])
        deadline = time.monotonic() + PATIENCE_S
        # 40 dB below full scale, which counts as 120 dB SPL where nothing was calibrated.
        while abs(client.levels()[Ear.LEFT].input_db_spl - 80.0) > 2.0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        times = client.times(Stage.FRAME)
        assert times.ticks_per_second == 10**9
        assert times.times.count > 10
        assert client.counts(Ear.LEFT).hops > 10
    assert program.stop()[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "nowhere"], "nowhere is not there"),
        (["--port", "pty", "--serial", "x" * 17], "must be 1 to 16 printable"),
        (["--port", "pty", "--input", "missing.wav"], "missing.wav"),
        (["--port", "pty", "--input", "a.wav", "--audio", "live"], "leave one out"),
        (["--port", "pty", "--model", "missing.nam"], "missing.nam"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["device", *options]) == 2
    assert words in capsys.readouterr().err


def loud(ear: Ear) -> Fitting:
    return unfitted(ear).replace(gain_65_db=(30.0,) * 11, mpo_db_spl=100.0)


def test_the_aid_behind_the_link_does_what_it_is_told() -> None:
    aid = Aid(None, [unfitted(Ear.LEFT)])
    part = AidPart(aid, lambda data: None)
    block = np.zeros(6400, dtype=np.float32)
    aid.process({Ear.LEFT: block})
    part.set_fitting(loud(Ear.LEFT))
    part.set_volume(Ear.LEFT, -10.0)
    aid.process({Ear.LEFT: block})
    np.testing.assert_allclose(part.applied_gains_db(Ear.LEFT), 20.0, atol=1e-4)
    assert part.ceiling_db_spl(Ear.LEFT) == 85.0
    part.set_calibration(Ear.LEFT, Calibration(Ear.LEFT, 120.0, 115.0, 110.0))
    assert part.ceiling_db_spl(Ear.LEFT) == 110.0
    part.set_calibration(Ear.LEFT, None)
    assert part.ceiling_db_spl(Ear.LEFT) == 85.0
    part.set_output(Output.SILENT)
    assert part.output() is Output.SILENT
    counts = part.counts(Ear.LEFT)
    assert (counts.hops, counts.non_finite_samples) == (400, 0)
    assert part.times(Ear.LEFT, Stage.FRAME).times.count == 400
    assert part.levels(Ear.LEFT).input_db_spl <= 0.0
    assert part.take_model(b"") is True

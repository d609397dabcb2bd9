"""`neuroamp run` on a JACK server without hardware, as a person or a service would start it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from neuroamp.audiogram import Ear, bisgaard
from neuroamp.engines.native import library_path
from neuroamp_host.cli import main
from neuroamp_host.prescription.fit import make_fitting

StartServer = Callable[..., Any]
DEVICES = ("--input-device", "system", "--output-device", "system")


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "neuroamp_host.cli", "run", *DEVICES, *options]


def test_it_runs_for_its_seconds_and_reports(start_jack: StartServer, tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    server = start_jack(16000, 32)
    options = ("--audiogram", "N3", "--seconds", "3", "--json", str(target))
    run = subprocess.run(
        command(*options), env=server.environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert re.search(r"left in +-?[\d.]+ out +-?[\d.]+ dB SPL +right in", run.stdout)
    assert "not calibrated" in run.stdout
    report = json.loads(target.read_text(encoding="utf-8"))
    assert report["engine"] == "native"
    assert set(report["ears"]) == {"left", "right"}
    hops = report["ears"]["left"]["hops"]
    assert hops == report["stream"]["callbacks"] > 0
    assert report["stages"]["frame"]["count"] == 2 * hops
    assert report["delay_s"]["total_s"] <= 0.008
    assert f"delay              {1e3 * report['delay_s']['total_s']:.2f} ms" in run.stdout


def test_an_engine_in_python_and_another_rate(start_jack: StartServer, tmp_path: Path) -> None:
    """One ear of a fitting in a file, calibrated."""
    fitting = tmp_path / "right.json"
    fitting.write_text(make_fitting(bisgaard("N4"), Ear.RIGHT).to_json(), encoding="utf-8")
    target = tmp_path / "run.json"
    server = start_jack(48000, 96)
    calibration = ("--microphone-db-spl", "120", "--receiver-db-spl", "115")
    run = subprocess.run(
        command(
            *("--fitting", str(fitting), "--engine", "tflite", "--rate", "48000"),
            *(*calibration, "--seconds", "1", "--json", str(target)),
        ),
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "not calibrated" not in run.stdout
    report = json.loads(target.read_text(encoding="utf-8"))
    assert report["ears"]["right"]["is_calibrated"]
    assert report["stages"]["net"]["count"] > 0
    assert report["delay_s"]["resampling_s"] == pytest.approx(52 / 48000)


def started(server: Any) -> subprocess.Popen[str]:
    """A run without end that has shown its first line of levels."""
    run = subprocess.Popen(
        command("--audiogram", "N3", "--interval", "0.2"),
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    for line in run.stdout:
        if "left in" in line:
            return run
    raise AssertionError(run.communicate(timeout=60)[1])


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_quietly(start_jack: StartServer, name: signal.Signals) -> None:
    run = started(start_jack(16000, 32))
    run.send_signal(name)
    out, error = run.communicate(timeout=120)
    assert run.returncode == 0
    assert error == ""
    assert "callbacks " in out


def test_a_lost_server_ends_it_in_one_sentence(start_jack: StartServer) -> None:
    server = start_jack(16000, 32)
    run = started(server)
    server.process.kill()
    out, error = run.communicate(timeout=300)
    assert run.returncode == 2
    assert "opened again" in out
    sentences = [line for line in error.splitlines() if line.startswith("neuroamp: ")]
    assert len(sentences) == 1
    assert "the sound device is lost" in sentences[0]
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "--audiogram or by --fitting"),
        (["--audiogram", "N3", "--seconds", "0"], "--seconds is 0 but must be above 0"),
        (["--audiogram", "N3", "--priority", "100"], "--priority is 100"),
        (["--audiogram", "N3", "--json", "no/such/file"], "folder that does not exist"),
        (["--audiogram", "N3", "--microphone-db-spl", "120"], "or neither"),
        (
            ["--audiogram", "N3", "--microphone-db-spl", "20", "--receiver-db-spl", "120"],
            "--microphone-db-spl is 20 dB SPL but must be from 80 to 150",
        ),
        (["--fitting", "no-such.json"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(
    capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    if library_path() is None:
        pytest.skip("the native engine was not built: no C compiler")
    assert main(["run", *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_fitting_for_an_ear_that_is_not_there_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fitting = tmp_path / "left.json"
    fitting.write_text(make_fitting(bisgaard("N4"), Ear.LEFT).to_json(), encoding="utf-8")
    if library_path() is None:
        pytest.skip("the native engine was not built: no C compiler")
    assert main(["run", "--fitting", str(fitting), "--ears", "both"]) == 2
    assert "no fitting for the right ear" in capsys.readouterr().err


def test_without_the_core_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuroamp.engines.EngineKind.is_installed", lambda kind: False)
    assert main(["run", "--audiogram", "N3"]) == 2
    assert "install gcc or clang" in capsys.readouterr().err

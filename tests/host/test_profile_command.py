"""`neuroamp profile`: the numbers that it prints, writes and draws agree, for every device."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neuroamp.audiogram import Ear
from neuroamp.engines import ENGINES
from neuroamp.engines.native import library_path
from neuroamp.link.dispatcher import AudioCounts
from neuroamp.link.records import TimesRecord
from neuroamp.times import Stage, Times
from neuroamp_host.cli import main
from PIL import Image
from quiet_device import QuietDevice

ROOT = Path(__file__).parents[2]
MODELS = {
    "native": ROOT / "models/wear/wear-int8.nam",
    "onnx": ROOT / "models/wear/wear-int8.onnx",
    "tflite": ROOT / "tests/data/tiny-float32.tflite",
}


def profiled(tmp_path: Path, *options: str) -> dict[str, Any]:
    return written(tmp_path, "--seconds", "0.5", *options)


def written(tmp_path: Path, *options: str) -> dict[str, Any]:
    target = tmp_path / "profile.json"
    assert main(["profile", "--json", str(target), *options]) == 0
    report = json.loads(target.read_text(encoding="utf-8"))
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize("engine", ENGINES)
def test_every_frame_is_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    if engine == "native" and library_path() is None:
        pytest.skip("the native engine was not built: no C compiler")
    report = profiled(tmp_path, "--engine", engine, "--model", str(MODELS[engine]))
    hop, rate = report["profile"]["hop"], report["profile"]["sample_rate_hz"]
    frames = rate // 2 // hop
    steps = -(-frames // report["profile"]["hops_per_step"])
    assert (report["engine"], report["device"]) == (engine, "offline")
    assert (report["frames"], report["steps"]) == (frames, steps)
    assert report["deadline_us"] == pytest.approx(1e6 * hop / rate)
    assert bool(report["kernel"]) == (engine == "native")
    assert set(report["stages"]) == {stage.name.lower() for stage in Stage}
    for name, stage in report["stages"].items():
        assert stage["count"] == (steps if name in ("gains", "net") else frames)
        starts, counts = np.array(stage["histogram"]).T
        assert counts.sum() == stage["count"]
        assert starts[-1] <= stage["max_us"]
        assert 0 <= stage["p50_us"] <= stage["p99_us"] <= stage["p99.9_us"] <= stage["max_us"]
    whole = report["stages"]["frame"]
    parts = [report["stages"][name] for name in ("analysis", "gains", "synthesis", "limiter")]
    summed_us = sum(part["count"] * part["mean_us"] for part in parts)
    assert summed_us <= whole["count"] * whole["mean_us"]
    assert report["stages"]["net"]["mean_us"] <= report["stages"]["gains"]["mean_us"]
    factor = whole["mean_us"] * 1e-6 * rate / hop
    assert report["real_time_factor"] == pytest.approx(factor)
    assert report["memory_bytes"]["model_file"] == MODELS[engine].stat().st_size
    assert report["memory_bytes"]["process_at_its_peak"] > 1e6

    printed = capsys.readouterr().out
    row = re.search(r"^whole frame +(\d+) +([\d.]+)", printed, flags=re.MULTILINE)
    assert row is not None
    assert int(row[1]) == frames
    assert float(row[2]) == pytest.approx(whole["mean_us"], abs=0.01)
    assert f"deadline misses    {report['deadline_misses']} " in printed


def test_the_block_size_changes_only_how_often_it_is_called(tmp_path: Path) -> None:
    model = ["--engine", "tflite", "--model", str(MODELS["tflite"])]
    frames = profiled(tmp_path, *model, "--block", "48")["frames"]
    assert frames == profiled(tmp_path, *model)["frames"]


def test_a_recording_is_heard(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "short.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0.0, 0.1, 100), 16000)
    model = ["--engine", "tflite", "--model", str(MODELS["tflite"]), "--ear", "right"]
    assert profiled(tmp_path, *model, "--input", str(path))["frames"] > 0


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "profile.png"
    model = ["--engine", "tflite", "--model", str(MODELS["tflite"])]
    profiled(tmp_path, *model, "--png", str(picture))
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    assert pixels.shape[0] > 400
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 60) & (pixels[..., 2] < 80)
    assert red.sum() > 100  # the deadline


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seconds", "0"], "must be from 0.1 to 3600"),
        (["--seconds", "nan"], "must be from 0.1 to 3600"),
        (["--block", "0"], "at least 1"),
        (["--json", "no/such/folder.json"], "folder that does not exist"),
        (["--png", "."], "is a folder"),
        (["--model", "no-such-model"], "no released model"),
        (["--engine", "onnx", "--model", str(MODELS["tflite"])], "does not run"),
        (["--ear", "both"], "choose --ear left or --ear right"),
        (["--priority", "5"], "--priority has no meaning for --device offline, only for live"),
        (["--device", "live", "--input", "a.wav"], "--input has no meaning for --device live"),
        (["--device", "live", "--port", "x"], "--port has no meaning for --device live"),
        (["--device", "serial"], "needs the device's --port"),
        (["--device", "serial", "--port", "x", "--seconds", "60"], "only for offline or live"),
        (["--device", "serial", "--port", "x", "--model", "wear"], "--model has no meaning"),
        (["--device", "serial", "--port", "no-such-port"], "no-such-port is not there"),
    ],
)
def test_mistakes_are_one_sentence(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["profile", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_without_the_native_engine_another_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "neuroamp.engines.EngineKind.is_installed", lambda kind: kind.suffix == ".tflite"
    )
    assert profiled(tmp_path)["engine"] == "tflite"
    assert "native engine was not built" in capsys.readouterr().out


BOARD_HZ = 480_000_000


def board_times(device: QuietDevice) -> dict[tuple[Ear, Stage], list[int]]:
    """Lets the device tell times, others for each ear and stage; returns these, in ticks."""
    rng = np.random.default_rng(3)
    told = {
        (ear, stage): rng.integers(10_000, 900_000, 50 if stage is Stage.NET else 200)
        for ear in Ear
        for stage in Stage
    }

    def times(ear: Ear, stage: Stage) -> TimesRecord:
        counted = Times()
        for ticks in told[ear, stage].tolist():
            counted.add(ticks, 850_000 if stage is Stage.FRAME else None)
        return TimesRecord(BOARD_HZ, counted)

    device.part.times = times  # type: ignore[method-assign]
    device.part.counted = AudioCounts(50, 3, 7, 200, 4)
    return {key: values.tolist() for key, values in told.items()}


@pytest.mark.parametrize("ear", [None, "left", "right", "both"])
def test_a_device_tells_what_it_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ear: str | None
) -> None:
    wanted = [Ear(ear)] if ear in ("left", "right") else list(Ear)
    with QuietDevice(tmp_path / "aid") as device:
        told = board_times(device)
        choice = [] if ear is None else ["--ear", ear]
        report = written(tmp_path, "--device", "serial", "--port", device.port, *choice)
    for stage in Stage:
        us = np.concatenate([told[each, stage] for each in wanted]) * 1e6 / BOARD_HZ
        found = report["stages"][stage.name.lower()]
        assert found["count"] == us.size == sum(count for _, count in found["histogram"])
        assert found["max_us"] == pytest.approx(us.max())
        assert found["mean_us"] == pytest.approx(us.mean())
        # To a bucket, an eighth of an octave.
        exact = np.percentile(us, 50, method="inverted_cdf")
        assert exact <= found["p50_us"] <= exact * 9 / 8
    frames = np.concatenate([told[each, Stage.FRAME] for each in wanted])
    assert report["deadline_misses"] == np.count_nonzero(frames > 850_000)
    assert report["deadline_us"] is None
    assert report["frames"] == frames.size
    assert report["sound_s"] == pytest.approx(200 * 32 / 16000)  # of two ears as of one
    computing_s = frames.sum() / BOARD_HZ
    assert report["real_time_factor"] == pytest.approx(computing_s / report["sound_s"])
    ears = len(wanted)
    assert report["ears"] == ears
    assert (report["steps"], report["missed_steps"]) == (50 * ears, 3 * ears)
    assert report["non_finite_samples"] == 7 * ears
    assert (report["hops"], report["late_hops"]) == (200, 4)
    assert report["machine"] == {"name": "quiet device", "serial": "QUIET-1", "firmware": "0"}
    assert report["profile"] == {"name": "wear", "sample_rate_hz": 16000, "hop": 32}
    printed = capsys.readouterr().out
    assert "late hops          4 of 200" in printed
    assert "serial: quiet device, QUIET-1, 0" in printed
    assert "engine" not in printed


def test_the_picture_of_a_device_has_no_deadline_that_nobody_told(tmp_path: Path) -> None:
    picture = tmp_path / "profile.png"
    with QuietDevice(tmp_path / "aid") as device:
        board_times(device)
        written(tmp_path, "--device", "serial", "--port", device.port, "--png", str(picture))
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    assert pixels.shape[0] > 400
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 60) & (pixels[..., 2] < 80)
    assert red.sum() == 0


@pytest.mark.parametrize(
    ("record", "options", "message"),
    [
        (TimesRecord(BOARD_HZ, Times()), [], "no frame was timed"),
        (TimesRecord(0, Times()), [], "does not time its frames"),
        (TimesRecord(BOARD_HZ, Times()), ["--ear", "right"], "has no right ear"),
        (TimesRecord(BOARD_HZ, Times()), ["--ear", "both"], "has no right ear"),
    ],
)
def test_a_device_without_an_answer_is_said_in_one_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record: TimesRecord,
    options: list[str],
    message: str,
) -> None:
    with QuietDevice(tmp_path / "aid", ears=frozenset([Ear.LEFT])) as device:
        device.part.timed = record
        assert main(["profile", "--device", "serial", "--port", device.port, *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_aid_of_this_computer_over_its_port(tmp_path: Path) -> None:
    """`neuroamp device`: every stage of the real aid comes over the line, whole."""
    if library_path() is None:
        pytest.skip("the native engine was not built: no C compiler")
    port = str(tmp_path / "aid")
    device = subprocess.Popen(
        [sys.executable, "-m", "neuroamp_host.cli", "device", "--port", f"pty:{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert device.stdout is not None
        said = ""
        while "Ctrl-C ends it" not in said:
            line = device.stdout.readline()
            assert line, said
            said += line
        while main(["profile", "--device", "serial", "--port", port]) == 2:
            assert device.poll() is None  # it has not begun to play
        report = written(tmp_path, "--device", "serial", "--port", port)
    finally:
        device.kill()
        device.communicate()
    assert report["machine"]["name"] == "neuroamp"
    assert report["ears"] == 2
    for stage in report["stages"].values():
        assert stage["count"] == sum(count for _, count in stage["histogram"]) > 0
    assert report["frames"] >= report["stages"]["net"]["count"]
    assert report["real_time_factor"] > 0.0


@pytest.mark.parametrize("ear", ["left", "both"])
def test_the_live_loop(start_jack: Callable[..., Any], tmp_path: Path, ear: str) -> None:
    """In a process of its own: PortAudio does not survive its server."""
    server = start_jack(16000, 32)
    target, picture = tmp_path / "live.json", tmp_path / "live.png"
    files = ("--json", str(target), "--png", str(picture))
    sound = ("--input-device", "system", "--output-device", "system")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "neuroamp_host.cli", "profile", "--device", "live"),
            *("--ear", ear, "--seconds", "2", *sound, *files),
        ],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    report = json.loads(target.read_text(encoding="utf-8"))
    ears = 2 if ear == "both" else 1
    assert (report["device"], report["engine"], report["ears"]) == ("live", "native", ears)
    assert report["kernel"]
    assert report["hops"] == report["stream"]["callbacks"] > 0
    assert report["frames"] == ears * report["hops"]
    assert report["sound_s"] == pytest.approx(report["hops"] * 32 / 16000)
    assert report["deadline_us"] == pytest.approx(1500.0)  # three quarters of a hop
    whole = report["stages"]["frame"]
    factor = whole["count"] * whole["mean_us"] * 1e-6 / report["sound_s"]
    assert report["real_time_factor"] == pytest.approx(factor)
    assert report["memory_bytes"]["aid"] > 1000
    assert f"late hops          {report['late_hops']} of {report['hops']}" in run.stdout
    assert "gaps " in run.stdout
    assert picture.stat().st_size > 1000

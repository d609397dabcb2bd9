"""`neuroamp profile`: the numbers that it prints, writes and draws agree, for every engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neuroamp.engines import ENGINES
from neuroamp.engines.native import library_path
from neuroamp.times import Stage
from neuroamp_host.cli import main
from PIL import Image

ROOT = Path(__file__).parents[2]
MODELS = {
    "native": ROOT / "models/wear/wear-int8.nam",
    "onnx": ROOT / "models/wear/wear-int8.onnx",
    "tflite": ROOT / "tests/data/tiny-float32.tflite",
}


def profiled(tmp_path: Path, *options: str) -> dict[str, Any]:
    target = tmp_path / "profile.json"
    assert main(["profile", "--json", str(target), "--seconds", "0.5", *options]) == 0
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

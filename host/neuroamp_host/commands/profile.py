"""`neuroamp profile`: how long every frame takes, stage by stage, on this machine or a device."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from importlib import resources
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.audiogram_files import load_listener
from neuroamp.chain import deadline_ns
from neuroamp.engines import ENGINES
from neuroamp.engines.native import NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.recording import at_level, read_recording, resample
from neuroamp.released import DEFAULT_MODEL
from numpy.typing import NDArray

from neuroamp_host.chains import open_chain
from neuroamp_host.prescription.fit import make_fitting
from neuroamp_host.profiling import (
    Report,
    check_target,
    peak_memory_bytes,
    run_offline,
    this_machine,
    write_json,
    write_png,
)

Floats = NDArray[np.float64]
SPEECH_LEVEL_DB_SPL = 65.0
SECONDS_RANGE = (0.1, 3600.0)
OFFLINE = "offline"
DEVICES = (OFFLINE,)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default=OFFLINE,
        help="offline: sound from memory, as fast as it goes (default: %(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=["auto", *ENGINES],
        default="auto",
        help="what runs the net (default: native where it was built)",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="PATH|NAME",
        help=f"model file or released model (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--audiogram",
        default="N3",
        metavar="NAME|FILE",
        help="the listener (default: the standard audiogram %(default)s)",
    )
    parser.add_argument(
        "--ear",
        choices=[ear.value for ear in Ear],
        default=Ear.LEFT.value,
        help="which ear (default: %(default)s)",
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="recording to hear, repeated (default: the demo's speech in noise)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="length of the sound, s, after one second of warm-up (default: %(default)g)",
    )
    parser.add_argument(
        "--block",
        type=int,
        metavar="SAMPLES",
        help="samples a call, at the model's rate (default: one hop, as an audio device calls)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers as JSON")
    parser.add_argument(
        "--png", type=Path, metavar="FILE", help="draw the histograms (needs matplotlib)"
    )


def run(options: argparse.Namespace) -> int:
    """Times the frames, prints the table and writes the files."""
    for path in (options.json, options.png):
        check_target(path)
    if options.png is not None and importlib.util.find_spec("matplotlib") is None:
        raise NeuroampError(
            "--png needs the package matplotlib, which is not installed; install it with "
            "`pip install matplotlib`, or take the numbers with --json."
        )
    report = profile_offline(options)
    print("\n".join(report.lines()))
    if options.json is not None:
        write_json(report, options.json)
        print(f"wrote              {options.json}")
    if options.png is not None:
        write_png(report, options.png)
        print(f"wrote              {options.png}")
    return 0


def profile_offline(options: argparse.Namespace) -> Report:
    """The report of a run on sound from memory."""
    low, high = SECONDS_RANGE
    if not low <= options.seconds <= high:
        raise NeuroampError(
            f"--seconds is {options.seconds:g} but must be from {low:g} to {high:g} seconds."
        )
    ear = Ear(options.ear)
    fitting = make_fitting(load_listener(options.audiogram).ear(ear), ear)
    opened = open_chain(options.model, options.engine, fitting)
    chain, model = opened.chain, opened.model
    assert model is not None  # there is an engine
    block = chain.profile.hop if options.block is None else options.block
    if block < 1:
        raise NeuroampError(f"--block is {block} samples but must be at least 1.")
    sound = _sound(options.input, chain.profile.sample_rate_hz)
    run_offline(chain, sound, options.seconds, block, _progress)
    memory = {"model_file": model.stat().st_size}
    kernel = ""
    if isinstance(chain, NativeChain):
        kernel = chain.kernel.name.lower().replace("_", "-")
        memory["chain"] = chain.memory_bytes
    memory["process_at_its_peak"] = peak_memory_bytes()
    return Report(
        device=OFFLINE,
        engine=opened.engine,
        kernel=kernel,
        model=model.stem,
        profile=chain.profile,
        times=chain.stage_times,
        ticks_per_second=1e9,
        deadline_ticks=deadline_ns(chain.profile, None),
        stats=chain.stats,
        memory_bytes=memory,
        machine=this_machine(),
    )


def _sound(path: str | None, rate_hz: int) -> Floats:
    """Pascals at `rate_hz`: a recording as it is, or the demo's speech in its noise."""
    if path is not None:
        recording = read_recording(path)
        return resample(recording.sound_pa[0], recording.sample_rate_hz, rate_hz)
    parts = []
    for name in ("speech.flac", "noise.flac"):
        with resources.as_file(resources.files("neuroamp_host") / "demo_audio" / name) as file:
            recording = at_level(read_recording(file), SPEECH_LEVEL_DB_SPL)
        parts.append(resample(recording.sound_pa[0], recording.sample_rate_hz, rate_hz))
    length = min(part.size for part in parts)
    mixture: Floats = parts[0][:length] + parts[1][:length]
    return mixture


def _progress(share: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{100 * share:3.0f} %", end="\n" if share == 1.0 else "", file=sys.stderr)

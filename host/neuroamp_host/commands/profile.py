"""`neuroamp profile`: how long every frame takes, stage by stage, on this machine or a device.

The numbers are the same wherever they come from: sound from memory, the live loop, or a device on a
serial port, which counts with every frame that it plays.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.audiogram_files import load_listener
from neuroamp.chain import ChainStats, deadline_ns
from neuroamp.engines import ENGINES
from neuroamp.engines.native import Kernel, NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.codes import NO_MODEL, Capability
from neuroamp.link.messages import Identity
from neuroamp.live import Live
from neuroamp.recording import at_level, read_recording, resample
from neuroamp.released import DEFAULT_MODEL
from neuroamp.times import Stage, Times, merged
from numpy.typing import NDArray

from neuroamp_host.chains import NATIVE, check_core, open_aid, open_chain
from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.ports import DEFAULT_BAUD
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
from neuroamp_host.sound_options import add_sound_arguments, live_setup

Floats = NDArray[np.float64]
SPEECH_LEVEL_DB_SPL = 65.0
SECONDS_RANGE = (0.1, 3600.0)
DEFAULT_SECONDS = 60.0
DEFAULT_AUDIOGRAM = "N3"
BOTH = "both"
OFFLINE, LIVE, SERIAL = "offline", "live", "serial"

SOUND_OPTIONS = ("input_device", "output_device", "rate", "latency_ms", "priority")
CHAIN_OPTIONS = ("engine", "model", "audiogram", "seconds", "block")
OPTIONS = {
    OFFLINE: (*CHAIN_OPTIONS, "input"),
    LIVE: (*CHAIN_OPTIONS, *SOUND_OPTIONS),
    SERIAL: ("port", "baud"),
}
"""What each device takes; all others would be without effect, and are refused."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--device",
        choices=OPTIONS,
        default=OFFLINE,
        help="offline: sound from memory, as fast as it goes; live: microphone to receiver on this "
        "computer; serial: what a device on --port counted since its start (default: %(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=["auto", *ENGINES],
        help="what runs the net (default: native where it was built)",
    )
    parser.add_argument(
        "--model",
        metavar="PATH|NAME",
        help=f"model file or released model (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--audiogram",
        metavar="NAME|FILE",
        help=f"the listener (default: the standard audiogram {DEFAULT_AUDIOGRAM})",
    )
    parser.add_argument(
        "--ear",
        choices=[*(ear.value for ear in Ear), BOTH],
        help="which ear; live and serial: or both (default: left; serial: all that there are)",
    )
    parser.add_argument(
        "--input",
        metavar="FILE",
        help="recording to hear, repeated (default: the demo's speech in noise)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help="length of the sound, s; offline after one second of warm-up "
        f"(default: {DEFAULT_SECONDS:g})",
    )
    add_sound_arguments(parser)
    parser.add_argument(
        "--port", metavar="PORT", help="serial: the device's port, such as /dev/ttyACM0 or COM3"
    )
    parser.add_argument(
        "--baud",
        type=int,
        default=DEFAULT_BAUD,
        help="serial: bits a second (default: %(default)d)",
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
    _check_options(options)
    profiled = {OFFLINE: profile_offline, LIVE: profile_live, SERIAL: profile_serial}
    report = profiled[options.device](options)
    if report.frames == 0:
        raise NeuroampError(
            "no frame was timed because no sound was played; let the device play for a moment and "
            "repeat the command."
        )
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
    seconds = _seconds(options)
    fittings = _fittings(options)
    if len(fittings) > 1:
        raise NeuroampError(
            "--device offline times the chain of one ear; choose --ear left or --ear right."
        )
    opened = open_chain(options.model or DEFAULT_MODEL, options.engine or "auto", fittings[0])
    chain, model = opened.chain, opened.model
    assert model is not None  # there is an engine
    block = chain.profile.hop if options.block is None else options.block
    if block < 1:
        raise NeuroampError(f"--block is {block} samples but must be at least 1.")
    sound = _sound(options.input, chain.profile.sample_rate_hz)
    run_offline(chain, sound, seconds, block, _progress)
    memory = {"model_file": model.stat().st_size}
    kernel = ""
    if isinstance(chain, NativeChain):
        kernel = _kernel_name(chain.kernel)
        memory["chain"] = chain.memory_bytes
    memory["process_at_its_peak"] = peak_memory_bytes()
    return Report(
        device=OFFLINE,
        engine=opened.engine,
        kernel=kernel,
        model=model.stem,
        profile=chain.profile.to_dict(),
        times=chain.stage_times,
        ticks_per_second=1e9,
        deadline_ticks=deadline_ns(chain.profile, None),
        stats=chain.stats,
        memory_bytes=memory,
        machine=this_machine(),
    )


def profile_live(options: argparse.Namespace) -> Report:
    """The report of the live loop: what the aid timed from the first sample to the last."""
    seconds = _seconds(options)
    check_core("`neuroamp profile --device live`")
    model, engine = options.model or DEFAULT_MODEL, options.engine or "auto"
    opened = open_aid(model, engine, _fittings(options))
    aid, file = opened.aid, opened.model
    assert file is not None  # there is an engine
    live = Live(aid, live_setup(options))
    with live:
        live.run(seconds)
    ears = [aid.report(ear) for ear in aid.ears]
    return Report(
        device=LIVE,
        engine=opened.engine,
        kernel=_kernel_name(aid.kernel) if opened.engine == NATIVE else "",
        model=file.stem,
        profile=aid.profile.to_dict(),
        times={stage: merged([aid.times(ear, stage) for ear in aid.ears]) for stage in Stage},
        ticks_per_second=1e9,
        deadline_ticks=deadline_ns(aid.profile, live.deadline_s),
        stats=_summed([ear.stats for ear in ears]),
        memory_bytes={
            "model_file": file.stat().st_size,
            "aid": aid.memory_bytes,
            "process_at_its_peak": peak_memory_bytes(),
        },
        machine=this_machine(),
        ears=len(ears),
        hops=ears[0].hops,
        late_hops=ears[0].late_hops,
        stream=live.report,
    )


def profile_serial(options: argparse.Namespace) -> Report:
    """The report of a device on a serial port: what it counted since its start.

    It plays on while it is asked, so that the stages asked later have heard a few frames more.
    """
    if options.port is None:
        raise NeuroampError("--device serial needs the device's --port; give it.")
    with DeviceClient(options.port, options.baud) as client:
        ears = _ears_of(client, options.ear)
        identity = client.identify()
        times: dict[Stage, Times] = {}
        for stage in Stage:
            records = [client.times(stage, ear) for ear in ears]
            times[stage] = merged([record.times for record in records])
        ticks_per_second = records[0].ticks_per_second
        if ticks_per_second == 0:
            raise NeuroampError(
                f"the device on {client.port} does not time its frames; update its firmware."
            )
        counts = [client.counts(ear) for ear in ears]
        model, memory = _model_of(client, identity)
    return Report(
        device=SERIAL,
        engine="",
        kernel="",
        model=model,
        profile={
            "name": identity.profile,
            "sample_rate_hz": identity.sample_rate_hz,
            "hop": identity.hop,
        },
        times=times,
        ticks_per_second=ticks_per_second,
        deadline_ticks=None,
        stats=_summed(
            [ChainStats(each.steps, each.missed_steps, each.non_finite_samples) for each in counts]
        ),
        memory_bytes=memory,
        machine={
            "name": identity.name,
            "serial": identity.serial,
            "firmware": identity.firmware,
        },
        ears=len(ears),
        hops=counts[0].hops,
        late_hops=counts[0].late_hops,
    )


def _check_options(options: argparse.Namespace) -> None:
    """Passes if every option that was given has a meaning for the device."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    every = dict.fromkeys(name for names in OPTIONS.values() for name in names)
    for name in every:
        is_given = getattr(options, name) != parser.get_default(name)
        if is_given and name not in OPTIONS[options.device]:
            devices = " or ".join(device for device, names in OPTIONS.items() if name in names)
            raise NeuroampError(
                f"--{name.replace('_', '-')} has no meaning for --device {options.device}, only "
                f"for {devices}; leave it out or choose another device."
            )


def _seconds(options: argparse.Namespace) -> float:
    seconds: float = DEFAULT_SECONDS if options.seconds is None else options.seconds
    low, high = SECONDS_RANGE
    if not low <= seconds <= high:
        raise NeuroampError(
            f"--seconds is {seconds:g} but must be from {low:g} to {high:g} seconds."
        )
    return seconds


def _fittings(options: argparse.Namespace) -> list[Fitting]:
    """A fitting for each ear that is wanted, the left one by default."""
    listener = load_listener(options.audiogram or DEFAULT_AUDIOGRAM)
    ears = list(Ear) if options.ear == BOTH else [Ear(options.ear or Ear.LEFT.value)]
    return [make_fitting(listener.ear(ear), ear) for ear in ears]


def _ears_of(client: DeviceClient, wanted: str | None) -> list[Ear]:
    """The device's ears that are wanted, all by default."""
    there = [ear for ear in Ear if ear in client.greeting.ears]
    if wanted is None:
        return there
    ears = list(Ear) if wanted == BOTH else [Ear(wanted)]
    for ear in ears:
        if ear not in there:
            raise NeuroampError(
                f"the device on {client.port} has no {ear.value} ear; leave --ear out to time what "
                "it has."
            )
    return ears


def _model_of(client: DeviceClient, identity: Identity) -> tuple[str, dict[str, int]]:
    """Name of the device's model, and its size where it was uploaded."""
    if not client.greeting.capabilities & Capability.NET:
        return "none, the prescription alone", {}
    if identity.active_model_slot == NO_MODEL:
        return "the device's own", {}
    info = client.model_info(identity.active_model_slot)
    return f"SHA-256 {info.sha256.hex()[:16]}", {"model_file": info.length}


def _summed(parts: Sequence[ChainStats]) -> ChainStats:
    """Of all ears together."""
    return ChainStats(
        sum(part.steps for part in parts),
        sum(part.missed_steps for part in parts),
        sum(part.non_finite_samples for part in parts),
    )


def _kernel_name(kernel: Kernel) -> str:
    return kernel.name.lower().replace("_", "-")


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

"""`neuroamp process`: a recording as one listener would hear it through the aid."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Ear, Listener
from neuroamp.audiogram_files import load_listener
from neuroamp.chain import EarChain
from neuroamp.engines.native import NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.limiter import ceiling_pa
from neuroamp.recording import (
    DEFAULT_FULL_SCALE_DB_SPL,
    Recording,
    at_level,
    check_output_path,
    read_recording,
    resample,
    write_recording,
)
from neuroamp.units import db_spl_from_pascal, level_db_spl
from numpy.typing import NDArray

from neuroamp_host.chains import OpenedChain, open_chain
from neuroamp_host.listener_options import (
    add_listener_arguments,
    add_model_arguments,
    fitting_from,
    split_source,
)

Floats = NDArray[np.float64]

DEFAULT_BLOCK = 1024
BOTH = "both"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("input", metavar="IN", help="recording: WAV, FLAC or Ogg, any rate")
    parser.add_argument(
        "output", metavar="OUT", help="WAV file to write, in time with IN, at its sample rate"
    )
    parser.add_argument(
        "--ear",
        choices=[*(ear.value for ear in Ear), BOTH],
        help="which ear, or both (default: all that the listener's audiogram has)",
    )
    add_listener_arguments(parser)
    add_model_arguments(parser)
    parser.add_argument(
        "--input-level",
        type=float,
        metavar="DB",
        help="overall level of IN at the microphone, dB SPL (default: as the full scale says)",
    )
    parser.add_argument(
        "--full-scale-db-spl",
        type=float,
        default=DEFAULT_FULL_SCALE_DB_SPL,
        metavar="DB",
        help="level in dB SPL of a digital RMS of 1.0, in IN and OUT (default: %(default)g)",
    )
    parser.add_argument(
        "--block",
        type=int,
        default=DEFAULT_BLOCK,
        metavar="SAMPLES",
        help="samples a block, at the model's rate; the output does not depend on it "
        "(default: %(default)d)",
    )


@dataclasses.dataclass(frozen=True)
class EarReport:
    """What the table says of one ear: levels in dB SPL, computing time in seconds."""

    ear: Ear
    input_db_spl: float
    output_db_spl: float
    peak_db_spl: float
    missed_steps: int
    seconds: float


def run(options: argparse.Namespace) -> int:
    """Processes the recording, writes the output and prints the table."""
    if options.block < 1:
        raise NeuroampError(f"--block is {options.block} samples but must be at least 1.")
    target = check_output_path(options.output)
    if target.exists() and Path(options.input).exists() and target.samefile(options.input):
        raise NeuroampError(f"the output {target} is the input itself; give another name.")
    listener = load_listener(*split_source(options.audiogram))
    ears = _choose_ears(listener, options.ear)
    opened = [
        open_chain(options.model, options.engine, fitting_from(options, listener, ear))
        for ear in ears
    ]
    recording = read_recording(options.input, options.full_scale_db_spl)
    if options.input_level is not None:
        recording = at_level(recording, options.input_level)
    output, reports = process_recording(recording, [each.chain for each in opened], options.block)
    notes = [recording.note, write_recording(target, output, options.full_scale_db_spl)]
    _print_table(target, recording, opened[0], reports)
    for note in filter(None, notes):
        print(f"note: {note}.")
    return 0


def process_recording(
    recording: Recording, chains: Sequence[NativeChain | EarChain], block: int
) -> tuple[Recording, list[EarReport]]:
    """The recording through the chain of each ear, the chains' delay taken off.

    Two channels are the left and the right ear; one channel reaches every ear.
    """
    rate, samples = recording.sample_rate_hz, recording.sound_pa.shape[-1]
    outputs, reports = [], []
    for chain in chains:
        right = chain.ear is Ear.RIGHT and len(recording.sound_pa) > 1
        sound = recording.sound_pa[1 if right else 0]
        inside = resample(sound, rate, chain.profile.sample_rate_hz)
        delay = chain.profile.delay_samples
        padded = np.concatenate([inside, np.zeros(delay)])
        start = time.perf_counter()
        blocks = [
            np.float64(chain.process(b)) for b in _blocks(padded, block, f"{chain.ear.value} ear")
        ]
        seconds = time.perf_counter() - start
        out = resample(np.concatenate(blocks)[delay:], chain.profile.sample_rate_hz, rate, samples)
        # Between the samples that the limiter held, the resampled wave may swing a little higher.
        ceiling = ceiling_pa(chain.fitting.mpo_db_spl)
        out = np.clip(out, -ceiling, ceiling)
        outputs.append(out)
        reports.append(
            EarReport(
                ear=chain.ear,
                input_db_spl=level_db_spl(sound),
                output_db_spl=level_db_spl(out),
                peak_db_spl=float(db_spl_from_pascal(np.abs(out).max())),
                missed_steps=chain.stats.missed_steps,
                seconds=seconds,
            )
        )
    return dataclasses.replace(recording, sound_pa=np.stack(outputs)), reports


def _choose_ears(listener: Listener, wanted: str | None) -> list[Ear]:
    """The ears to process; each has an audiogram.

    Raises:
        NeuroampError: the listener has none for an ear that was asked for.
    """
    present = {Ear.LEFT: listener.left, Ear.RIGHT: listener.right}
    if wanted is None:
        return [ear for ear, audiogram in present.items() if audiogram is not None]
    ears = list(Ear) if wanted == BOTH else [Ear(wanted)]
    for ear in ears:
        listener.ear(ear)
    return ears


def _blocks(sound: Floats, size: int, what: str) -> Iterator[Floats]:
    """The sound in blocks, with a progress line where a person watches."""
    watched = sys.stderr.isatty()
    for start in range(0, sound.size, size):
        if watched:
            print(f"\r{what}: {100 * start // sound.size:3d} %", end="", file=sys.stderr)
        yield sound[start : start + size]
    if watched:
        print(f"\r{what}: 100 %", file=sys.stderr)


def _print_table(
    target: Path,
    recording: Recording,
    opened: OpenedChain,
    reports: list[EarReport],
) -> None:
    profile = opened.chain.profile
    print(f"{'ear':8}{'in, dB SPL':>12}{'out, dB SPL':>13}{'peak, dB SPL':>14}{'missed steps':>14}")
    for report in reports:
        print(
            f"{report.ear.value:8}{report.input_db_spl:12.1f}{report.output_db_spl:13.1f}"
            f"{report.peak_db_spl:14.1f}{report.missed_steps:14d}"
        )
    duration = recording.sound_pa.shape[-1] / recording.sample_rate_hz
    frames = math.ceil(duration * profile.sample_rate_hz / profile.hop)
    seconds = sum(report.seconds for report in reports) / len(reports)
    frame_ms = 1000.0 * profile.hop / profile.sample_rate_hz
    delay_ms = 1000.0 * profile.delay_samples / profile.sample_rate_hz
    model = "none, the prescription alone"
    if opened.info is not None:
        model = f"{opened.info.name} ({opened.info.quantisation}), engine {opened.engine}"
    print(f"model              {model}")
    print(f"profile            {profile.name}, {profile.sample_rate_hz} Hz")
    print(f"delay              {delay_ms:.1f} ms, taken off in {target.name}")
    print(f"time per frame     {1000.0 * seconds / frames:.3f} ms of {frame_ms:.0f} ms, one ear")
    print(f"real-time factor   {seconds / duration:.3f}")
    print(f"wrote              {target}")

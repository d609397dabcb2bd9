"""`neuroamp run`: the aid, live, from a microphone to a receiver."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuroamp.aid import (
    UNCALIBRATED_CEILING_DB_SPL,
    UNCALIBRATED_DB_SPL,
    VOLUME_RANGE_DB,
    Aid,
    EarReport,
)
from neuroamp.audiogram import Ear, Listener
from neuroamp.audiogram_files import load_listener
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.live import Live
from neuroamp.sound_devices import list_devices
from neuroamp.times import Stage, Times, merged

from neuroamp_host.chains import check_core, open_aid
from neuroamp_host.listener_options import (
    add_listener_arguments,
    add_model_arguments,
    fitting_from,
    split_source,
)
from neuroamp_host.profiling import (
    FRACTIONS,
    STAGE_NAMES,
    check_target,
    stream_lines,
    this_machine,
    write_whole,
)
from neuroamp_host.sound_options import (
    add_calibration_arguments,
    add_sound_arguments,
    calibrations_from,
    live_setup,
)

BOTH = "both"
DEFAULT_INTERVAL_S = 1.0
FORMAT_VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add_listener_arguments(parser, required=False)
    parser.add_argument(
        "--fitting",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="one or two fittings as JSON, one an ear, in place of --audiogram",
    )
    parser.add_argument(
        "--ears",
        choices=[*(ear.value for ear in Ear), BOTH],
        help="which ears (default: all that the listener's audiogram or the fittings have)",
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--list-devices", action="store_true", help="list the sound devices, and do nothing else"
    )
    add_sound_arguments(parser)
    add_calibration_arguments(parser)
    parser.add_argument(
        "--volume-db",
        type=float,
        default=0.0,
        metavar="DB",
        help="volume, {:g} to {:g} dB, before the limiter (default: %(default)g)".format(
            *VOLUME_RANGE_DB
        ),
    )
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="end after so many seconds (default: Ctrl-C)"
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=DEFAULT_INTERVAL_S,
        metavar="S",
        help="a line of levels every so many seconds; 0: none (default: %(default)g)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the final report as JSON")


def run(options: argparse.Namespace) -> int:
    """Plays until Ctrl-C, SIGTERM or the end of --seconds, and prints the report."""
    if options.list_devices:
        print("\n".join(map(str, list_devices())) or "There is no sound device.")
        return 0
    _check(options)
    check_core("`neuroamp run`")
    fittings = _fittings(options)
    aid, engine, model = aid_from(options, fittings)
    live = Live(aid, live_setup(options))
    with _ended_by_signals(live):
        live.start()
        try:
            for line in _head(options, live, engine, model):
                print(line, flush=True)
            live.run(options.seconds, _Ticker(live, options.interval))
        finally:
            live.stop()
    report = final_report(live, engine, model)
    print("\n".join(_tail(live)))
    if options.json is not None:
        write_whole(options.json, (json.dumps(report, indent=1) + "\n").encode())
        print(f"wrote              {options.json}")
    return 0


def aid_from(options: argparse.Namespace, fittings: list[Fitting]) -> tuple[Aid, str, str]:
    """The aid, the name of its engine and that of its model."""
    calibrations = calibrations_from(options, [fitting.ear for fitting in fittings])
    opened = open_aid(options.model, options.engine, fittings, calibrations)
    aid, path = opened.aid, opened.model
    for ear in aid.ears:
        aid.set_volume(ear, options.volume_db)
    model = "none, the prescription alone" if path is None else path.name
    return aid, opened.engine, model


def final_report(live: Live, engine: str, model: str) -> dict[str, Any]:
    """All numbers of a run as plain JSON types; times are in microseconds, delays in seconds."""
    counts, delay = live.report, live.delay
    return {
        "format_version": FORMAT_VERSION,
        "engine": engine,
        "model": model,
        "rate_hz": live.rate_hz,
        "delay_s": {**dataclasses.asdict(delay), "total_s": delay.total_s},
        "stream": dataclasses.asdict(counts),
        "ears": {ear.value: dataclasses.asdict(live.aid.report(ear)) for ear in live.aid.ears},
        "stages": {
            stage.name.lower(): {
                "count": times.count,
                "mean_us": 1e-3 * times.mean,
                **{f"{name}_us": 1e-3 * times.percentile(f) for name, f in FRACTIONS.items()},
                "max_us": 1e-3 * times.max,
            }
            for stage, times in _times(live.aid).items()
        },
        "machine": this_machine(),
    }


def _check(options: argparse.Namespace) -> None:
    if (options.audiogram is None) == (options.fitting is None):
        raise NeuroampError(
            "who listens is given by --audiogram or by --fitting: give one of the two."
        )
    if options.seconds is not None and not 0.0 < options.seconds < float("inf"):
        raise NeuroampError(f"--seconds is {options.seconds:g} but must be above 0.")
    if not 0.0 <= options.interval < float("inf"):
        raise NeuroampError(f"--interval is {options.interval:g} seconds but must be at least 0.")
    check_target(options.json)


def _fittings(options: argparse.Namespace) -> list[Fitting]:
    """One fitting for each ear that plays."""
    if options.fitting is not None:
        fittings = [_read_fitting(path) for path in options.fitting]
        ears = [fitting.ear for fitting in fittings]
    else:
        listener = load_listener(*split_source(options.audiogram))
        ears = [ear for ear in Ear if _has_audiogram(listener, ear)]
        if options.ears is not None:
            ears = list(Ear) if options.ears == BOTH else [Ear(options.ears)]
        fittings = [fitting_from(options, listener, ear) for ear in ears]
    wanted = ears if options.ears in (None, BOTH) else [Ear(options.ears)]
    missing = set(Ear if options.ears == BOTH else wanted) - set(ears)
    if missing:
        names = " and ".join(sorted(ear.value for ear in missing))
        raise NeuroampError(f"there is no fitting for the {names} ear; give one with --fitting.")
    return [fitting for fitting in fittings if fitting.ear in wanted]


def _has_audiogram(listener: Listener, ear: Ear) -> bool:
    return (listener.left if ear is Ear.LEFT else listener.right) is not None


def _read_fitting(path: Path) -> Fitting:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NeuroampError(f"the fitting {path} cannot be read ({error}); check it.") from None
    return Fitting.from_json(text)


@contextmanager
def _ended_by_signals(live: Live) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the sound by a fade, in here."""

    def end(*_: Any) -> None:
        live.request_stop()

    before = {name: signal.signal(name, end) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class _Ticker:
    """Prints a line of levels now and then."""

    def __init__(self, live: Live, interval_s: float) -> None:
        self._live, self._interval_s = live, interval_s
        self._next_s = time.monotonic() + interval_s
        self._start_s = time.monotonic()

    def __call__(self) -> None:
        now_s = time.monotonic()
        if self._interval_s == 0.0 or now_s < self._next_s:
            return
        self._next_s = now_s + self._interval_s
        print(self.line(now_s - self._start_s), flush=True)

    def line(self, passed_s: float) -> str:
        """Levels of every ear, and what went wrong so far."""
        live, ears = self._live, []
        for ear in live.aid.ears:
            found = live.aid.report(ear)
            ears.append(
                f"{ear.value} in {found.input_db_spl:5.1f} out {found.output_db_spl:5.1f} dB SPL"
            )
        counts = live.report
        gaps = counts.input_gaps + counts.output_gaps
        return f"{passed_s:7.1f} s  {'  '.join(ears)}  gaps {gaps}  late {found.late_hops}"


def _head(options: argparse.Namespace, live: Live, engine: str, model: str) -> list[str]:
    aid = live.aid
    lines = [
        f"model              {model}, engine {engine}",
        f"ears               {' and '.join(ear.value for ear in aid.ears)}",
        f"rate               {live.rate_hz} Hz, blocks of {live.block}",
    ]
    if not all(aid.report(ear).is_calibrated for ear in aid.ears):
        lines.append(
            f"note: not calibrated: full scale is taken for {UNCALIBRATED_DB_SPL:g} dB SPL, and "
            f"the output stays below {UNCALIBRATED_CEILING_DB_SPL:g} dB SPL on such a receiver."
        )
    end = "Ctrl-C ends." if options.seconds is None else f"Ends after {options.seconds:g} s."
    return [*lines, f"The sound fades in. {end}"]


def _times(aid: Aid) -> dict[Stage, Times]:
    """Of all ears together."""
    return {stage: merged([aid.times(ear, stage) for ear in aid.ears]) for stage in Stage}


def _tail(live: Live) -> list[str]:
    """The final report for people."""
    aid, counts, delay = live.aid, live.report, live.delay
    lines = [f"{'stage, microseconds':22}{'count':>9}{'mean':>10}"]
    lines[0] += "".join(f"{name:>10}" for name in [*FRACTIONS, "max"])
    for stage, times in _times(aid).items():
        values = [times.mean, *(times.percentile(f) for f in FRACTIONS.values()), times.max]
        row = "".join(f"{1e-3 * value:10.2f}" for value in values)
        lines.append(f"{STAGE_NAMES[stage]:22}{times.count:9d}{row}")
    lines.append(
        f"{'ear':8}{'in, dB SPL':>12}{'out, dB SPL':>13}{'peak, dB SPL':>14}{'no net':>16}"
    )
    found: EarReport | None = None
    for ear in aid.ears:
        found = aid.report(ear)
        lines.append(
            f"{ear.value:8}{found.input_db_spl:12.1f}{found.output_db_spl:13.1f}"
            f"{found.output_peak_db_spl:14.1f}"
            f"{f'{found.stats.missed_steps} of {found.stats.steps}':>16}"
        )
    assert found is not None  # an aid has an ear
    return [
        *lines,
        *stream_lines(counts),
        f"late hops          {found.late_hops} of {found.hops}",
        f"delay              {1e3 * delay.total_s:.2f} ms: sound devices with their buffers "
        f"{1e3 * delay.devices_s:.2f}, chain {1e3 * delay.chain_s:.2f}, resampling "
        f"{1e3 * delay.resampling_s:.2f}",
    ]

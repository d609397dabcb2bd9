"""Options that several commands share: sound devices, and what full scale means at them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.fitting import MPO_RANGE_DB_SPL
from neuroamp.link.records import CALIBRATION_RANGE_DB_SPL, Calibration
from neuroamp.live import DEFAULT_PRIORITY, LiveSetup
from neuroamp.sound_devices import Device


def add_sound_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the sound devices and how they are opened."""
    for kind, what in (("input", "microphone"), ("output", "receiver")):
        parser.add_argument(
            f"--{kind}-device",
            metavar="NUMBER|NAME",
            help=f"where the {what} is: a number of `neuroamp run --list-devices` or a part of a "
            "name (default: the system's)",
        )
    parser.add_argument(
        "--rate",
        type=int,
        metavar="HZ",
        help="sample rate of the devices: the model's, or 2, 3 or 6 times it, resampled "
        "(default: the model's, 16000)",
    )
    parser.add_argument(
        "--block",
        type=int,
        metavar="FRAMES",
        help="frames a callback, at the devices' rate (default: one hop of the model)",
    )
    parser.add_argument(
        "--latency-ms",
        type=float,
        metavar="MS",
        help="asked of each of the two devices, which take what they can (default: one block)",
    )
    parser.add_argument(
        "--priority",
        type=int,
        default=DEFAULT_PRIORITY,
        metavar="0..99",
        help="SCHED_FIFO priority of the audio thread; 0: as it is (default: %(default)d)",
    )


def live_setup(options: argparse.Namespace) -> LiveSetup:
    """How the sound comes in and goes out, by the options.

    Raises:
        NeuroampError: a number is out of range.
    """
    latency_ms = options.latency_ms
    if latency_ms is not None and not 0.0 < latency_ms < float("inf"):
        raise NeuroampError(f"--latency-ms is {latency_ms:g} but must be above 0.")
    if not 0 <= options.priority <= 99:
        raise NeuroampError(f"--priority is {options.priority} but must be from 0 to 99.")
    return LiveSetup(
        input_device=_device(options.input_device),
        output_device=_device(options.output_device),
        rate_hz=options.rate,
        block=options.block,
        latency_s=None if latency_ms is None else 1e-3 * latency_ms,
        priority=options.priority,
    )


def add_calibration_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what full scale means."""
    parser.add_argument(
        "--microphone-db-spl",
        type=float,
        metavar="DB",
        help="calibration: level in dB SPL that the microphone reads as a digital RMS of 1.0",
    )
    parser.add_argument(
        "--receiver-db-spl",
        type=float,
        metavar="DB",
        help="calibration: level in dB SPL that the receiver makes of a digital RMS of 1.0",
    )
    parser.add_argument(
        "--ceiling-db-spl",
        type=float,
        default=MPO_RANGE_DB_SPL[1],
        metavar="DB",
        help="calibration: the device's own limit, dB SPL of a sine (default: %(default)g)",
    )


def calibrations_from(options: argparse.Namespace, ears: Sequence[Ear]) -> list[Calibration]:
    """The same for every ear; none if neither microphone nor receiver was measured.

    Raises:
        NeuroampError: only one of the two was, or a level is out of range.
    """
    given = (options.microphone_db_spl, options.receiver_db_spl)
    if given == (None, None):
        return []
    if None in given:
        raise NeuroampError(
            "a calibration is of microphone and receiver: give --microphone-db-spl and "
            "--receiver-db-spl, or neither."
        )
    for name, level, (low, high) in (
        ("--microphone-db-spl", options.microphone_db_spl, CALIBRATION_RANGE_DB_SPL),
        ("--receiver-db-spl", options.receiver_db_spl, CALIBRATION_RANGE_DB_SPL),
        ("--ceiling-db-spl", options.ceiling_db_spl, MPO_RANGE_DB_SPL),
    ):
        if not low <= level <= high:
            raise NeuroampError(f"{name} is {level:g} dB SPL but must be from {low:g} to {high:g}.")
    return [Calibration(ear, *given, options.ceiling_db_spl) for ear in ears]


def _device(given: str | None) -> Device:
    return int(given) if given is not None and given.isdecimal() else given

"""`neuroamp firmware`: the aid on a microcontroller, built, and run in an emulator."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.audiogram_files import load_listener
from neuroamp.core_file import read_core_file
from neuroamp.recording import (
    DEFAULT_FULL_SCALE_DB_SPL,
    Recording,
    at_level,
    check_output_path,
    read_recording,
    resample,
    write_recording,
)
from neuroamp.released import DEFAULT_MODEL, find_model
from neuroamp.units import level_db_spl
from neuroamp_export.target import make_image, read_board
from numpy.typing import NDArray

from neuroamp_host.firmware import emulator
from neuroamp_host.firmware.build import Firmware, build
from neuroamp_host.listener_options import split_source
from neuroamp_host.prescription.fit import DEFAULT_MPO_DB_SPL, make_fitting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    actions = parser.add_subparsers(
        dest="action", metavar="build|run", required=True, help="what to do"
    )
    building = actions.add_parser("build", help="compile, link, and say what memory it takes")
    running = actions.add_parser("run", help="also send a recording through it in an emulator")
    for action in (building, running):
        action.add_argument(
            "--board", default="mps2-an500", metavar="NAME", help="folder of device/firmware/boards"
        )
        action.add_argument(
            "--model",
            default=DEFAULT_MODEL,
            metavar="PATH|NAME",
            help=f".nam file or released model (default: {DEFAULT_MODEL})",
        )
        action.add_argument(
            "--ear",
            choices=[ear.value for ear in Ear],
            default=Ear.LEFT.value,
            help="which ear the aid is for (default: left)",
        )
        action.add_argument(
            "--out",
            type=Path,
            metavar="FOLDER",
            help="folder for what is built (default: out/firmware/BOARD)",
        )
    running.add_argument("input", metavar="IN", help="recording: WAV, FLAC or Ogg, any rate")
    running.add_argument(
        "output", metavar="OUT", help="WAV file to write, in time with IN, at its sample rate"
    )
    running.add_argument(
        "--audiogram",
        required=True,
        metavar="NAME|FILE[:LISTENER]",
        help="standard audiogram (N1 to N7, S1 to S3) or a file, with the listener's name in it",
    )
    running.add_argument("--rule", default="nal-r", help="prescription (default: nal-r)")
    running.add_argument(
        "--mpo-db-spl",
        type=float,
        default=DEFAULT_MPO_DB_SPL,
        metavar="DB",
        help="maximum power output, dB SPL of a sine, 60 to 120 (default: %(default)g)",
    )
    running.add_argument(
        "--input-level",
        type=float,
        metavar="DB",
        help="overall level of IN at the microphone, dB SPL (default: as the full scale says)",
    )
    running.add_argument(
        "--full-scale-db-spl",
        type=float,
        default=DEFAULT_FULL_SCALE_DB_SPL,
        metavar="DB",
        help="level in dB SPL of a digital RMS of 1.0, in IN and OUT (default: %(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    """Builds the firmware and prints its sizes; then the run, if one is asked for."""
    board = read_board(options.board)
    source = find_model(options.model, "native")
    image = make_image(read_core_file(source)[1], board.target, source.name)
    out = options.out or Path("out/firmware") / board.name
    firmware = build(board, image, out, Ear(options.ear))
    print(firmware.report())
    firmware.check_limits()
    if options.action == "run":
        _run(options, firmware)
    return 0


def _run(options: argparse.Namespace, firmware: Firmware) -> None:
    """A recording through the emulated firmware; prints what came of it."""
    target = check_output_path(options.output)
    listener = load_listener(*split_source(options.audiogram))
    ear = firmware.ear
    fitting = make_fitting(listener.ear(ear), ear, options.rule, mpo_db_spl=options.mpo_db_spl)
    recording = read_recording(options.input, options.full_scale_db_spl)
    if options.input_level is not None:
        recording = at_level(recording, options.input_level)
    profile = firmware.image.profile
    rate, samples = recording.sample_rate_hz, recording.sound_pa.shape[-1]
    heard = recording.sound_pa[-1 if ear is Ear.RIGHT else 0]
    sound = resample(heard, rate, profile.sample_rate_hz)
    delay = firmware.delay_samples
    padded = np.pad(sound, (0, delay))
    with tempfile.TemporaryDirectory() as folder:
        emulator.store_settings(Path(folder), fitting, emulator.calibration_of(ear))
        done = emulator.process(
            firmware, emulator.microphone_samples(padded, profile.hop), Path(folder)
        )
    out = resample(done.sound_pa[delay:][: sound.size], profile.sample_rate_hz, rate, samples)
    output = dataclasses.replace(recording, sound_pa=out[None])
    note = write_recording(target, output, options.full_scale_db_spl)
    _print_run(firmware, heard, output, done)
    for text in filter(None, (recording.note, note)):
        print(f"note: {text}.")
    print(f"wrote {target}")


def _print_run(
    firmware: Firmware, heard: NDArray[np.float64], output: Recording, done: emulator.Run
) -> None:
    seconds = heard.size / output.sample_rate_hz
    print(f"emulated {seconds:.1f} s of sound on {firmware.board.machine}:")
    print(f"  input    {level_db_spl(heard):8.1f} dB SPL")
    print(f"  output   {level_db_spl(output.sound_pa):8.1f} dB SPL")
    print(f"  missed   {done.report['missed steps']:8d} steps of the net")
    print(f"  stack    {done.report['stack used']:8d} of {done.report['stack size']} bytes used")

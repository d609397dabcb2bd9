"""`neuroamp export`: a checkpoint to files that devices run, and how far they are from torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.features import Features, audiogram_input
from neuroamp.profile import Profile
from neuroamp.transform import stft
from neuroamp_export.export import FORMATS, export, parity_report, save_report
from neuroamp_export.net import Stream
from neuroamp_export.parity import ParityStream
from rich.console import Console
from rich.table import Table

from neuroamp_host.corpora.mixing import MixtureSampler, evaluation_mixtures
from neuroamp_host.prescription.fit import make_fitting
from neuroamp_host.training import checkpoint

CALIBRATION_STREAMS = 40
CALIBRATION_SECONDS = 4.0
PARITY_MIXTURES = 14
"""Four-second mixtures that make up the sound of the parity report, repeated to its length."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("checkpoint", type=Path, help="checkpoint that `neuroamp train` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--data", type=Path, required=True, help="root of the audio data")
    parser.add_argument("--name", help="of the files (default: the folder's name)")
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="what to write"
    )
    parser.add_argument(
        "--gain-range",
        nargs=2,
        type=float,
        metavar=("MIN", "MAX"),
        help="what the net's output 0 and 1 mean on the device, dB on top of the prescription "
        "(default: as in training); a narrower range limits the suppression, choose it on dev",
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="length of the parity stream, minutes"
    )


def run(options: argparse.Namespace) -> int:
    """Exports, compares, prints the report and writes parity.json."""
    net = checkpoint.load_net(options.checkpoint)
    architecture = str(checkpoint.load(options.checkpoint)["net"])
    if options.gain_range:
        low, high = options.gain_range
        narrowed = {**net.profile.to_dict(), "gain_min_db": low, "gain_max_db": high}
        net.profile = Profile.from_dict(narrowed)
    name = options.name or options.out.resolve().name
    torch.set_num_threads(1)
    print("Calibrating and exporting ...")
    files = export(
        net, name, architecture, options.out, _streams(net.profile, options.data), options.formats
    )
    print(f"Comparing with torch over {options.minutes:g} minutes ...")
    mixtures = evaluation_mixtures(options.data, "test", PARITY_MIXTURES)
    sound = np.concatenate([mixture.noisy_pa for mixture in mixtures]).astype(np.float64)
    fitting = make_fitting(BISGAARD["N3"], Ear.LEFT)
    stream = ParityStream(net, sound, fitting, options.minutes)
    report = parity_report(stream, files)
    save_report(report, options.out / "parity.json")
    _print(report)
    print(f"Written to {options.out / 'parity.json'}.")
    return 0


def _streams(profile: Profile, data: Path) -> list[Stream]:
    """Features and audiograms of dev mixtures, to calibrate with."""
    sampler = MixtureSampler(data, "dev", CALIBRATION_SECONDS)
    streams = []
    for index in range(CALIBRATION_STREAMS):
        spectra = stft(profile, sampler.mixture(index).noisy_pa, every=profile.hops_per_step)
        listener = list(BISGAARD.values())[index % len(BISGAARD)]
        streams.append(
            Stream(
                Features(profile)(spectra).astype(np.float32),
                audiogram_input(listener.six_point()).astype(np.float32),
            )
        )
    return streams


def _print(report: dict[str, Any]) -> None:
    table = Table(title="Output SNR against torch float, dB")
    for heading in ("file", "engine", "kB", "first minute", "last minute", "net output", "us/step"):
        table.add_column(heading, justify="left" if heading in ("file", "engine") else "right")
    for row in report["files"]:
        table.add_row(
            row["file"],
            row["engine"],
            f"{row['kilobytes']:.0f}",
            f"{row['first_minute_db']:.1f}",
            f"{row['last_minute_db']:.1f}",
            f"{row['net_output_db']:.1f}",
            f"{row['step_us']:.1f}",
        )
    console = Console()
    console.print(table)
    for row in report["files"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(row["operators"].items()))
        console.print(f"{row['file']}: {kinds or 'the core'}", markup=False, highlight=False)
    for row in report["tflite_micro"]:
        console.print(
            f"{row['file']} in TFLite-Micro, {row['steps']} steps: net output "
            f"{row['net_output_db']:.1f} dB, at most "
            f"{row['largest_difference_to_litert']:.2g} from LiteRT",
            markup=False,
            highlight=False,
        )

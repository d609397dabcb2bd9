"""A checkpoint to files that devices run, and how far they are from torch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.features import Features, audiogram_input
from neuroamp.profile import Profile, smoothed
from neuroamp.transform import stft
from neuroamp_export.export import export, left_out, parity_report, save_report
from neuroamp_export.net import Stream
from neuroamp_export.parity import ParityStream
from rich.console import Console
from rich.table import Table

from neuroamp_host.corpora.mixing import MixtureSampler, evaluation_mixtures
from neuroamp_host.networks.net import Net
from neuroamp_host.prescription.fit import make_fitting
from neuroamp_host.training import checkpoint

CALIBRATION_STREAMS = 40
CALIBRATION_SECONDS = 4.0
PARITY_MIXTURES = 14
"""Four-second mixtures that make up the sound of the parity report, repeated to its length."""

TABLE_WIDTH = 100
"""Characters at least; narrower, the report's figures would be cut off."""


def load_for_device(
    path: Path, gain_range: Sequence[float] | None, smooth_gains: bool = False
) -> Net:
    """The net of a checkpoint, with what its output means on the device.

    Args:
        path: the checkpoint.
        gain_range: what 0 and 1 mean, dB; None as in training.
        smooth_gains: whether gains are made smooth that were not in training.

    Raises:
        NeuroampError: as `checkpoint.load_net`, or the profile has no such range or gains.
    """
    net = checkpoint.load_net(path)
    if smooth_gains:
        net.profile = smoothed(net.profile)
    if gain_range:
        low, high = gain_range
        narrowed = {**net.profile.to_dict(), "gain_min_db": low, "gain_max_db": high}
        net.profile = Profile.from_dict(narrowed)
    return net


def core_model(path: Path, name: str, gain_range: Sequence[float] | None) -> bytes:
    """The C core's file, plain, of a checkpoint; arguments as `export_and_compare`.

    Raises:
        NeuroampError: as `load_for_device`, or the core's formats do not hold the net.
    """
    net = load_for_device(path, gain_range)
    with tempfile.TemporaryDirectory() as folder:
        files = export(net, name, _architecture(path), Path(folder), [], ["core"])
        return files[0][0].read_bytes()


def export_and_compare(
    path: Path,
    out: Path,
    data: Path,
    name: str,
    formats: Sequence[str] | None,
    gain_range: Sequence[float] | None,
    minutes: float,
    smooth_gains: bool = False,
) -> None:
    """Writes a net's files and `parity.json`, and prints the report.

    Args:
        path: the checkpoint.
        out: folder for the files.
        data: root of the audio data, to calibrate and to compare with.
        name: of the files.
        formats: some of `neuroamp_export.formats.FORMATS`; None for all that there are.
        gain_range, smooth_gains: see `load_for_device`.
        minutes: length of the parity stream.

    Raises:
        NeuroampError: the checkpoint or the data cannot be read, or a file is not as it should be.
    """
    net = load_for_device(path, gain_range, smooth_gains)
    torch.set_num_threads(1)
    print("Calibrating and exporting ...")
    streams = _streams(net.profile, data)
    files = export(net, name, _architecture(path), out, streams, formats)
    for what, reason in left_out(net).items():
        print(f"No {what} file: {reason}.")
    print(f"Comparing with torch over {minutes:g} minutes ...")
    mixtures = evaluation_mixtures(data, "test", PARITY_MIXTURES)
    sound = np.concatenate([mixture.noisy_pa for mixture in mixtures]).astype(np.float64)
    fitting = make_fitting(BISGAARD["N3"], Ear.LEFT)
    report = parity_report(ParityStream(net, sound, fitting, minutes), files)
    save_report(report, out / "parity.json")
    _print(report)
    print(f"Written to {out / 'parity.json'}.")


def _architecture(path: Path) -> str:
    return str(checkpoint.load(path)["net"])


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
    table = Table(title="Output SNR against torch float, dB", show_edge=False, pad_edge=False)
    for heading in (
        "file",
        "engine",
        "kB",
        "first minute",
        "second pass",
        "last minute",
        "net output",
        "us/step",
    ):
        name = heading in ("file", "engine")
        table.add_column(heading, justify="left" if name else "right", no_wrap=name)
    for row in report["files"]:
        table.add_row(
            row["file"],
            row["engine"],
            f"{row['kilobytes']:.0f}",
            f"{row['first_minute_db']:.1f}",
            f"{row['second_pass_db']:.1f}",
            f"{row['last_minute_db']:.1f}",
            f"{row['net_output_db']:.1f}",
            f"{row['step_us']:.1f}",
        )
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
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

"""`neuroamp models`: the released models and their files."""

from __future__ import annotations

import argparse
from pathlib import Path

from neuroamp.engines import ENGINES
from neuroamp.errors import NeuroampError
from neuroamp.model_file import ModelInfo, read_model_info
from neuroamp.released import model_folders


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options: there are none."""


def run(options: argparse.Namespace) -> int:
    """Prints a line a model file: its path, net, profile, delay, quantisation and size."""
    suffixes = {engine.suffix for engine in ENGINES.values()}
    rows = []
    for folder in model_folders():
        for path in sorted(folder.glob("*/*")):
            if path.suffix in suffixes:
                rows.append(_row(path))
    if not rows:
        raise NeuroampError(
            "no model is released in " + ", ".join(map(str, model_folders())) + "; "
            "train and export one, or set NEUROAMP_MODELS to the folder that holds the models."
        )
    header = ("file", "net", "profile", "delay", "weights", "size")
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def _row(path: Path) -> tuple[str, ...]:
    name = f"{path.parent.name}/{path.name}"
    size = f"{path.stat().st_size / 1000:.0f} kB"
    try:
        info: ModelInfo = read_model_info(path)
    except NeuroampError as error:
        return (name, f"unusable: {error}", "", "", "", size)
    profile = info.profile
    delay = f"{1000 * profile.delay_samples / profile.sample_rate_hz:g} ms"
    return (name, info.net, profile.name, delay, info.quantisation, size)

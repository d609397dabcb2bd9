"""`neuroamp models`: the released models and their files, or what each net costs."""

from __future__ import annotations

import argparse
from pathlib import Path

from neuroamp.engines import ENGINES
from neuroamp.errors import NeuroampError
from neuroamp.model_file import ModelInfo, read_model_info
from neuroamp.profile import Profile
from neuroamp.released import model_folders


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--table",
        action="store_true",
        help="what every net that can be trained costs, instead of the released files",
    )


def run(options: argparse.Namespace) -> int:
    """Prints a line a model file, or a line a net."""
    _print(_nets() if options.table else _files())
    return 0


def _files() -> list[tuple[str, ...]]:
    """Path, net, profile, delay, quantisation and size of each model file."""
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
    return [header, *rows]


def _nets() -> list[tuple[str, ...]]:
    """Parameters, the paper's beside them, multiply-accumulates, states and delay of each net."""
    try:
        from neuroamp_host.networks.registry import NETS, build, cost
    except ModuleNotFoundError as error:
        raise NeuroampError(
            f"`neuroamp models --table` builds the nets and needs the package {error.name}, which "
            "is not installed; install the extra with `pip install 'neuroamp[host]'`."
        ) from None
    table: list[tuple[str, ...]] = [
        ("net", "parameters", "paper", "difference", "MACs a frame", "state bytes", "delay")
    ]
    for name, design in NETS.items():
        found = cost(build(name))
        published, difference = "", ""
        if design.published is not None:
            published = f"{design.published:,}"
            difference = f"{found.parameters / design.published - 1:+.2%}"
        table.append(
            (
                name,
                f"{found.parameters:,}",
                published,
                difference,
                f"{found.macs_per_step:,}",
                f"{found.state_bytes:,}",
                _delay(design.profile),
            )
        )
    return table


def _print(table: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _delay(profile: Profile) -> str:
    return f"{1000 * profile.delay_samples / profile.sample_rate_hz:g} ms"


def _row(path: Path) -> tuple[str, ...]:
    name = f"{path.parent.name}/{path.name}"
    size = f"{path.stat().st_size / 1000:.0f} kB"
    try:
        info: ModelInfo = read_model_info(path)
    except NeuroampError as error:
        return (name, f"unusable: {error}", "", "", "", size)
    profile = info.profile
    return (name, info.net, profile.name, _delay(profile), info.quantisation, size)

"""`neuroamp listening`: the paper's double-blind preference test, from the sounds to the result."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
from neuroamp.released import find_model
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from neuroamp_host.evaluation.paper.sounds import Sounds
from neuroamp_host.listening.material import load, prepare
from neuroamp_host.listening.results import OUTCOMES, count, draw
from neuroamp_host.listening.server import make_app
from neuroamp_host.listening.session import ListeningTest, read_results
from neuroamp_host.local_page.serving import add_page_arguments, serve_page

DEFAULT_LISTEN_PORT = 8643


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the steps and their options."""
    steps = parser.add_subparsers(
        dest="step", metavar="STEP", required=True, help="prepare, serve or results"
    )
    make = steps.add_parser("prepare", help="make the pairs of sounds")
    make.add_argument("folder", type=Path, help="new folder for the test")
    make.add_argument("--data", type=Path, required=True, help="root of the evaluation data")
    make.add_argument(
        "--model", default="paper-transformer", help="model file or name of a released model"
    )
    make.add_argument("--engine", default="onnx", help="engine that runs the net")
    make.add_argument(
        "--listener", default="N3", help="standard audiogram whose loss is simulated (default N3)"
    )
    make.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="of the paper's 50 pairs, at least one of each kind (default 1)",
    )
    page = steps.add_parser("serve", help="show the test to participants, in a browser")
    page.add_argument("folder", type=Path, help="the test's folder")
    add_page_arguments(page, DEFAULT_LISTEN_PORT)
    end = steps.add_parser("results", help="count the answers, and draw them")
    end.add_argument("folder", type=Path, help="the test's folder")


def run(options: argparse.Namespace) -> int:
    """Does one step."""
    if options.step == "prepare":
        with Progress(
            TextColumn("pairs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        ) as bar:
            task = bar.add_task("pairs", total=None)
            pairs = prepare(
                options.folder,
                Sounds(options.data, clips=10),
                find_model(options.model, options.engine),
                options.engine,
                options.listener,
                options.share,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        print(f"{len(pairs)} pairs in {options.folder}; show them with `neuroamp listening serve`.")
    elif options.step == "serve":
        test = ListeningTest(options.folder)
        serve_page(
            options,
            lambda token: make_app(test, token),
            "The listening test",
            "Ctrl+C ends it; the answers so far are kept.",
        )
    else:
        _results(options.folder)
    return 0


def _results(folder: Path) -> None:
    load(folder)
    counts = count(read_results(folder))
    figure = draw(counts)
    figure.savefig(folder / "results.png", dpi=110)
    plt.close(figure)
    (folder / "results.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    table = Table(title="preferred")
    for column in ("category", *OUTCOMES, "binomial p"):
        table.add_column(column)
    for category, own in counts.items():
        p = "" if own["binomial p"] is None else f"{own['binomial p']:.3g}"
        table.add_row(category, *(str(own[outcome]) for outcome in OUTCOMES), p)
    Console().print(table)
    print(f"Written to {folder / 'results.json'} and {folder / 'results.png'}.")

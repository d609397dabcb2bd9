"""`neuroamp evaluate`: a model against the prescriptions, or the paper's tables and figures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from neuroamp.errors import NeuroampError
from neuroamp.released import find_model
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from neuroamp_host.evaluation.cases import LISTENERS, MIXTURES, SUITES, Setting
from neuroamp_host.evaluation.paper.figures import FIGURES
from neuroamp_host.evaluation.paper.results import write_figure, write_table
from neuroamp_host.evaluation.paper.scoring import Run
from neuroamp_host.evaluation.paper.sounds import Sounds
from neuroamp_host.evaluation.paper.tables import TABLES
from neuroamp_host.evaluation.suite import evaluate
from neuroamp_host.evaluation.systems import AT_EQUAL_LEVEL, NAL_R_WDRC, NEUROAMP, PEER

NAMES = {"haspi": "HASPI", "hasqi": "HASQI", "haaqi": "HAAQI", "level_db_spl": "output dB SPL"}
FORMATS = {"level_db_spl": ".0f"}
COMPARED = (NEUROAMP, AT_EQUAL_LEVEL, PEER)
"""Systems whose difference to NAL-R+WDRC is printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--data", type=Path, required=True, help="root of the evaluation data")
    parser.add_argument(
        "--split",
        choices=("dev", "test"),
        default="test",
        help="dev to choose by, test to report (default test)",
    )
    parser.add_argument(
        "--model", default="wear", help="model file, or the name of a released model"
    )
    parser.add_argument("--engine", default="onnx", help="engine that runs the net")
    parser.add_argument(
        "--noise-reduction", type=float, default=1.0, help="strength of the net, 0 to 1"
    )
    parser.add_argument(
        "--suite",
        choices=SUITES,
        default="short",
        help="short: pairs and mixtures for four listeners; wear: the measure of the wearable "
        "model, with thirty measured audiograms, three levels, music and a peer (default short)",
    )
    parser.add_argument("--mixtures", type=int, help="number of mixtures (default 60, wear 200)")
    parser.add_argument("--pairs", type=int, default=62, help="number of pairs at most")
    parser.add_argument("--listeners", nargs="+", default=list(LISTENERS), help="audiograms")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="Dask scheduler whose workers score instead, for example tcp://10.0.0.5:8786",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the results (default out/evaluation; out/results for tables and figures)",
    )
    paper = parser.add_argument_group("the paper's tables and figures, from the released models")
    paper.add_argument(
        "--table", nargs="+", choices=(*TABLES, "all"), metavar="NUMBER", help="I to VI, or all"
    )
    paper.add_argument(
        "--figure",
        nargs="+",
        choices=(*map(str, FIGURES), "all"),
        metavar="NUMBER",
        help="4 to 13, or all",
    )
    paper.add_argument(
        "--sets",
        nargs="+",
        default=[],
        metavar="NAME=FOLDER",
        help="the paper's own data sets that are at hand (TIMIT, TMHINT, VCTK, Cadenza, "
        "MUSDB18-HQ); open recordings of --data stand for the others",
    )
    paper.add_argument("--clips", type=int, default=40, help="clips of each set (default 40)")
    paper.add_argument(
        "--rows",
        type=Path,
        default=Path("out/rows"),
        help="folder for single scores, which an interrupted run goes on from (default out/rows)",
    )


def run(options: argparse.Namespace) -> int:
    """Scores, prints the table and writes it."""
    if options.table or options.figure:
        return _paper(options)
    return _suite(options)


def _paper(options: argparse.Namespace) -> int:
    """The paper's tables and figures."""
    if options.clips < 2:
        raise NeuroampError(f"--clips is {options.clips} but must be at least 2; correct it.")
    out = options.out or Path("out/results")
    sounds = Sounds(options.data, _sets(options.sets), options.split, options.clips)
    console = Console()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ) as bar:
        task = bar.add_task("scoring", total=None)
        run = Run(
            sounds,
            options.rows,
            options.processes,
            options.cluster,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
        for number in _chosen(options.table, list(TABLES)):
            bar.reset(task, description=f"Table {number}")
            for path in write_table(TABLES[number](run), run, out):
                console.print(f"Written to {path}.", soft_wrap=True)
        for number in _chosen(options.figure, [str(number) for number in FIGURES]):
            bar.reset(task, description=f"Figure {number}")
            for path in write_figure(FIGURES[int(number)](run), run, out):
                console.print(f"Written to {path}.", soft_wrap=True)
    return 0


def _chosen(asked: list[str] | None, known: list[str]) -> list[str]:
    return known if "all" in (asked or []) else [name for name in known if name in (asked or [])]


def _sets(texts: list[str]) -> tuple[tuple[str, Path], ...]:
    found = []
    for text in texts:
        name, sign, folder = text.partition("=")
        if not sign or not folder:
            raise NeuroampError(
                f"--sets has {text!r} where NAME=FOLDER is expected, for example VCTK=/data/vctk; "
                "correct it."
            )
        if not Path(folder).is_dir():
            raise NeuroampError(f"the folder {folder} of {name} does not exist; check the path.")
        found.append((name, Path(folder)))
    return tuple(sorted(found))


def _suite(options: argparse.Namespace) -> int:
    """One model's measure."""
    out = options.out or Path("out/evaluation")
    if not 0.0 <= options.noise_reduction <= 1.0:
        raise NeuroampError(
            f"--noise-reduction is {options.noise_reduction} but must be from 0 to 1; correct it."
        )
    setting = Setting(
        data=options.data,
        split=options.split,
        model=find_model(options.model, options.engine),
        engine=options.engine,
        noise_reduction=options.noise_reduction,
        mixtures=MIXTURES[options.suite] if options.mixtures is None else options.mixtures,
        pairs=options.pairs,
        listeners=tuple(options.listeners),
        suite=options.suite,
    )
    with Progress(
        TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ) as bar:
        task = bar.add_task("scoring", total=None)
        summary = evaluate(
            setting,
            out,
            options.processes,
            lambda done, total: bar.update(task, completed=done, total=total),
            options.cluster,
        )
    console = Console()
    for condition in dict.fromkeys(table["condition"] for table in summary["tables"]):
        tables = [table for table in summary["tables"] if table["condition"] == condition]
        console.print(_render(condition, tables))
        for table in tables:
            _print_differences(console, table)
    console.print(f"Written to {out / 'summary.json'}.")
    return 0


def _render(condition: str, tables: list[dict[str, Any]]) -> Table:
    metrics = list(next(iter(tables[0]["systems"].values())))
    names = " / ".join(NAMES[metric] for metric in metrics)
    rendered = Table(title=f"{condition}: {names}, {tables[-1]['clips']} clips")
    rendered.add_column("system")
    for table in tables:
        rendered.add_column(table["group"], justify="right")
    for system in tables[0]["systems"]:
        cells = [table["systems"][system] for table in tables]
        rendered.add_row(
            system,
            *(" / ".join(f"{c[m]:{FORMATS.get(m, '.3f')}}" for m in metrics) for c in cells),
        )
    return rendered


def _print_differences(console: Console, table: dict[str, Any]) -> None:
    for system, difference in table["minus_wdrc"].items():
        if system in COMPARED:
            parts = [
                f"{NAMES[metric]} {value['mean']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"
                for metric, value in difference.items()
            ]
            console.print(
                f"{table['group']}: {system} minus {NAL_R_WDRC}: " + ", ".join(parts),
                markup=False,
            )

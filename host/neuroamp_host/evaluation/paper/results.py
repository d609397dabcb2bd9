"""Tables and figures as files: Markdown and JSON of each, and PNG of a figure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from neuroamp_host.evaluation.paper.figures import Picture
from neuroamp_host.evaluation.paper.scoring import Run
from neuroamp_host.evaluation.paper.tables import Table

DOTS_PER_INCH = 110


def write_table(table: Table, run: Run, folder: Path) -> list[Path]:
    """Writes table-N.md and table-N.json; returns their paths."""
    lines = [
        f"# Table {table.number}: {table.title}",
        "",
        f"`{_command(run, '--table', table.number)}`",
        "",
        "| " + " | ".join(table.header) + " |",
        "|" + "---|" * len(table.header),
        *("| " + " | ".join(row) + " |" for row in table.rows),
        "",
        "What to know:",
        "",
        *(f"- {note}" for note in table.notes),
    ]
    stem = folder / f"table-{table.number.lower()}"
    return [
        _text(stem.with_suffix(".md"), "\n".join(lines) + "\n"),
        _json(stem.with_suffix(".json"), table.values),
    ]


def write_figure(picture: Picture, run: Run, folder: Path) -> list[Path]:
    """Writes figure-N.png, .md and .json; returns their paths."""
    stem = folder / f"figure-{picture.number:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    picture.figure.savefig(stem.with_suffix(".png"), dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(picture.figure)
    lines = [
        f"# Figure {picture.number}: {picture.title}",
        "",
        f"`{_command(run, '--figure', str(picture.number))}`",
        "",
        f"![{picture.title}]({stem.name}.png)",
        "",
        *(f"- {note}" for note in picture.notes),
    ]
    return [
        stem.with_suffix(".png"),
        _text(stem.with_suffix(".md"), "\n".join(lines) + "\n"),
        _json(stem.with_suffix(".json"), picture.values),
    ]


def _command(run: Run, option: str, number: str) -> str:
    """What makes the file again, paths left to the reader."""
    sets = " ".join(f"{name}=FOLDER" for name, _ in run.sounds.sets)
    return (
        f"neuroamp evaluate --data DATA {option} {number} --split {run.sounds.split} "
        f"--clips {run.sounds.clips}" + (f" --sets {sets}" if sets else "")
    )


def _text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _json(path: Path, values: dict[str, Any]) -> Path:
    return _text(path, json.dumps(_rounded(values), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """Six significant digits; what JSON has no number for becomes null."""
    if isinstance(value, dict):
        return {key: _rounded(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(own) for own in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value

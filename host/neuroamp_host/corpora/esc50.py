"""ESC-50 (Piczak, ACM MM 2015): 2000 clips of 5 s, 50 classes of environmental sound."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from neuroamp.errors import NeuroampError

from neuroamp_host.corpora.corpus import Kind, SkippedFiles, Utterance

NAME = "esc50"
LAYOUT = "meta/esc50.csv and audio/1-100032-A-0.wav"
FOLDS = {"train": frozenset({"1", "2", "3"}), "dev": frozenset({"4"}), "test": frozenset({"5"})}
"""Clips cut from one recording are in one fold, so none crosses these splits."""


def recognises(root: Path) -> bool:
    """Whether there is the table of clips."""
    return (root / "meta" / "esc50.csv").is_file()


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """The clips of the split's folds.

    Raises:
        NeuroampError: the table lacks a column.
    """
    table = root / "meta" / "esc50.csv"
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restval="")
        for column in ("filename", "fold", "category"):
            if column not in (reader.fieldnames or ()):
                raise NeuroampError(f"{table} lacks the column {column!r}; restore it.")
        for row in reader:
            if row["fold"] not in FOLDS[split]:
                continue
            path = root / "audio" / row["filename"]
            if not path.is_file():
                skipped.add(path, f"it is in {table.name} but not on disk")
                continue
            # The subset ESC-10 is free of the non-commercial clause.
            licence = "CC BY 3.0" if row.get("esc10") == "True" else "CC BY-NC 3.0"
            yield Utterance(path, NAME, split, Kind.NOISE, type=row["category"], licence=licence)

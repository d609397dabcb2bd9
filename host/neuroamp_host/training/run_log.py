"""The losses of a run, as they come: `log.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

COLUMNS = (
    "step",
    "split",
    "seconds",
    "learning_rate",
    "loss",
    "audible",
    "envelope",
    "waveform",
    "quality",
    "magnitude",
)


class RunLog:
    """Appends rows to a CSV file; without `writing` it does nothing."""

    def __init__(self, path: Path, writing: bool) -> None:
        self._file = path.open("a", newline="", encoding="utf-8") if writing else None
        if self._file is not None:
            self._rows = csv.DictWriter(self._file, COLUMNS, restval="")
            if self._file.tell() == 0:
                self._rows.writeheader()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(
        self, step: int, split: str, seconds: float, rate: float, terms: Mapping[str, float]
    ) -> None:
        """One row: mean loss terms since the last one, or of the dev split."""
        if self._file is None:
            return
        row = {
            "step": step,
            "split": split,
            "seconds": round(seconds, 1),
            "learning_rate": f"{rate:.3g}",
        }
        self._rows.writerow(row | {name: f"{value:.5f}" for name, value in terms.items()})
        self._file.flush()

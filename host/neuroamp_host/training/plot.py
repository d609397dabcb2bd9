"""A picture of a run's losses."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def plot_log(log: Path, picture: Path) -> None:
    """Draws every loss term of `log` (see `run_log.COLUMNS`) over steps into a PNG."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    terms = [
        name for name in ("loss", "audible", "envelope", "waveform") if any(r[name] for r in rows)
    ]
    figure, axes = plt.subplots(1, len(terms), figsize=(4 * len(terms), 3), squeeze=False)
    for axis, term in zip(axes[0], terms, strict=True):
        for split in ("train", "dev"):
            own = [row for row in rows if row["split"] == split and row[term]]
            axis.plot(
                [int(row["step"]) for row in own], [float(row[term]) for row in own], label=split
            )
        axis.set_xlabel("step")
        axis.set_title(term)
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=120)
    plt.close(figure)

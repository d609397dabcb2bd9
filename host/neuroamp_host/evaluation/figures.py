"""Pictures of a listener, of a prescription and of sound, in the field's conventions.

Every function draws one thing on the axes it is given; colours are told apart by readers with
any colour vision and every line also has its own marker or dashes. Levels are in dB SPL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from neuroamp.audiogram import Audiogram, Ear
from neuroamp.profile import PAPER
from neuroamp.transform import power_scale, stft
from neuroamp.units import REFERENCE_PRESSURE_PA
from numpy.typing import ArrayLike

matplotlib.rcParams.update(
    {
        "font.size": 9.0,
        "axes.titlesize": 10.0,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "grid.color": "0.88",
        "legend.frameon": False,
    }
)

OCTAVES_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
AUDIOGRAM_RANGE_DB_HL = (-10.0, 120.0)
SPECTROGRAM_RANGE_DB_SPL = (5.0, 70.0)
EAR_STYLES: dict[Ear, dict[str, Any]] = {
    Ear.RIGHT: {"color": "#c8102e", "marker": "o", "markersize": 8, "label": "right ear"},
    Ear.LEFT: {"color": "#0b4fa8", "marker": "x", "markersize": 7, "label": "left ear"},
}
"""Red circles for the right ear and blue crosses for the left (ISO 8253-1, unmasked air)."""

SYSTEM_COLOURS = ("#6f6f6f", "#009e73", "#7b3294", "#e69f00")
SYSTEM_MARKERS = ("s", "^", "D", "v")


TimesRow = tuple[Sequence[float], Sequence[int], Mapping[str, float], float]
"""Edges of the buckets and percentiles and the longest of times, all in microseconds; counts."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line of a gain plot.

    Attributes:
        label: for the legend.
        frequencies_hz, gain_db: of equal length.
        colour: a matplotlib colour.
        line: a matplotlib line style, '' for markers alone.
        marker: a matplotlib marker, '' for none.
    """

    label: str
    frequencies_hz: ArrayLike
    gain_db: ArrayLike
    colour: str
    line: str = "-"
    marker: str = ""


def _mark_octaves(axes: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic frequency axis with a tick at each octave of the audiogram."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(OCTAVES_HZ))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([f"{f // 1000}k" if f >= 1000 else str(f) for f in OCTAVES_HZ])


def draw_audiogram(axes: Axes, audiograms: Mapping[Ear, Audiogram]) -> None:
    """Thresholds in dB HL over frequency in Hz, hearing level downwards, one line an ear.

    An octave is as wide as 20 dB is high (ISO 8253-1). An arrow marks 'no response'; points not
    measured are left out.
    """
    for ear, audiogram in audiograms.items():
        style = EAR_STYLES[ear]
        points = [
            (f, level, silent) for f, level, silent in audiogram.points() if level is not None
        ]
        axes.plot(
            [frequency for frequency, _, _ in points],
            [threshold for _, threshold, _ in points],
            markerfacecolor="none",
            markeredgewidth=1.6,
            linewidth=1.2,
            clip_on=False,
            **style,
        )
        for frequency, threshold, silent in points:
            if silent:
                axes.annotate(
                    "",
                    xy=(frequency, threshold),
                    xytext=(-15 if ear is Ear.RIGHT else 15, -15),
                    textcoords="offset points",
                    arrowprops={"arrowstyle": "<-", "color": style["color"], "shrinkB": 5},
                    annotation_clip=False,
                )
    _mark_octaves(axes, "x")
    low, high = AUDIOGRAM_RANGE_DB_HL
    axes.set(
        xlim=(100, 10000),
        ylim=(high, low),
        yticks=np.arange(0, high + 1, 20),
        xlabel="frequency, Hz",
        ylabel="hearing level, dB HL",
    )
    axes.set_box_aspect((high - low) / 20.0 / np.log2(10000 / 100))
    axes.grid(True)
    axes.legend(loc="lower left")


def draw_gains(axes: Axes, curves: Sequence[Curve]) -> None:
    """Insertion gain in dB over frequency in Hz."""
    for curve in curves:
        axes.plot(
            np.asarray(curve.frequencies_hz),
            np.asarray(curve.gain_db),
            color=curve.colour,
            linestyle=curve.line or "none",
            marker=curve.marker or None,
            markerfacecolor="none" if not curve.line else curve.colour,
            markersize=7 if not curve.line else 4,
            label=curve.label,
        )
    _mark_octaves(axes, "x")
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    axes.set(xlim=(100, 10000), xlabel="frequency, Hz", ylabel="insertion gain, dB")
    axes.grid(True)
    axes.legend(loc="best", fontsize=8)


def draw_spectrogram(axes: Axes, sound_pa: ArrayLike) -> QuadMesh:
    """Level per bin of 31 Hz, dB SPL, over time and frequency, of a sound [samples] at 16 kHz.

    Sound of less than one hop (16 ms) gives an empty picture. Returns what a colour bar needs.
    """
    spectra = stft(PAPER, sound_pa)
    power = np.abs(spectra) ** 2 * power_scale(PAPER)
    floor = REFERENCE_PRESSURE_PA**2 * 10.0 ** (SPECTROGRAM_RANGE_DB_SPL[0] / 10.0 - 1.0)
    level = 10.0 * np.log10(np.maximum(power, floor) / REFERENCE_PRESSURE_PA**2)
    spacing = PAPER.sample_rate_hz / PAPER.frame_length
    times = np.arange(spectra.shape[0] + 1) * PAPER.hop / PAPER.sample_rate_hz
    edges = (np.arange(PAPER.bins + 1) - 0.5) * spacing
    low, high = SPECTROGRAM_RANGE_DB_SPL
    # The first bin reaches below 0 Hz, which a logarithmic axis has no place for.
    mesh = axes.pcolormesh(times, edges[1:], level.T[1:], cmap="magma", vmin=low, vmax=high)
    _mark_octaves(axes, "y")
    axes.set(xlabel="time, s", ylabel="frequency, Hz", ylim=(110.0, 8000.0))
    return mesh


def draw_scores(axes: Axes, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Scores from 0 to 1: a row for each metric, a marker for each system.

    Args:
        axes: where to draw.
        scores: system to metric to score; at most four systems.
    """
    metrics = list(next(iter(scores.values())))
    for index, (system, own) in enumerate(scores.items()):
        rows = np.arange(len(metrics)) + 0.16 * (index - (len(scores) - 1) / 2)
        values = [own[metric] for metric in metrics]
        colour = SYSTEM_COLOURS[index]
        axes.hlines(rows, 0.0, values, color=colour, linewidth=1.6, alpha=0.6)
        axes.plot(
            values, rows, linestyle="none", marker=SYSTEM_MARKERS[index], color=colour, label=system
        )
        for value, row in zip(values, rows, strict=True):
            axes.annotate(
                f"{value:.2f}",
                (value, row),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    axes.set(xlim=(0.0, 1.08), ylim=(len(metrics) - 0.5, -0.55), xlabel="score, 0 to 1")
    axes.set_yticks(range(len(metrics)), metrics)
    axes.set_xticks(np.arange(0.0, 1.01, 0.2))
    axes.grid(True, axis="x")
    axes.legend(
        loc="center",
        ncols=len(scores),
        fontsize=8,
        columnspacing=1.2,
        handletextpad=0.1,
        bbox_to_anchor=(0.48, 0.5),
    )


def draw_times_figure(
    stages: Mapping[str, TimesRow], deadline_us: float | None, title: str
) -> Figure:
    """Histograms of computing times, one row a stage, on one logarithmic axis in microseconds.

    Args:
        stages: by name: edges of the buckets in microseconds, counts (one fewer), percentiles by
            name and the longest time in microseconds.
        deadline_us: drawn as a line over all rows, where it is known.
        title: of the figure.
    """
    figure, rows = plt.subplots(
        len(stages), 1, sharex=True, figsize=(7.0, 0.8 + len(stages)), squeeze=False
    )
    styles = (":", "--", "-.")
    for axes, (name, (edges, counts, percentiles, longest)) in zip(
        rows[:, 0], stages.items(), strict=True
    ):
        used = np.flatnonzero(counts)
        first, last = int(used[0]), int(used[-1]) + 1
        axes.stairs(counts[first:last], edges[first : last + 1], fill=True, color="#9ecae1")
        for (label, value), style in zip(percentiles.items(), styles, strict=True):
            axes.axvline(value, color="#08519c", linestyle=style, linewidth=1.1, label=label)
        axes.plot(longest, 1.0, "v", color="#08519c", markersize=5, label="longest", clip_on=False)
        if deadline_us is not None:
            axes.axvline(deadline_us, color="#c8102e", linewidth=1.2, label="deadline")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.set_ylabel("frames")
        axes.set_title(name, fontsize=8, pad=2)
    rows[-1, 0].set_xlabel("computing time, microseconds")
    figure.suptitle(title, x=0.02, ha="left", fontweight="bold")
    handles, labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), loc="upper right", fontsize=7)
    figure.tight_layout()
    return figure

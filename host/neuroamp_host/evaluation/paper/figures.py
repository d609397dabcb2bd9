"""Figures 4 to 13: scatter plots of scores, and one sound through four systems."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from neuroamp.audiogram import BISGAARD, Audiogram, Ear
from neuroamp.errors import NeuroampError
from neuroamp.profile import PAPER
from neuroamp.transform import power_scale, stft
from neuroamp.units import REFERENCE_PRESSURE_PA
from numpy.typing import NDArray

from neuroamp_host.evaluation.cases import SAMPLE_RATE_HZ
from neuroamp_host.evaluation.figures import (
    Curve,
    draw_audiogram,
    draw_gains,
    draw_spectrogram,
)
from neuroamp_host.evaluation.paper.published import ARCHITECTURES
from neuroamp_host.evaluation.paper.scoring import ENGINE, Run, fidelity_rows, released
from neuroamp_host.evaluation.paper.sounds import Place, make_sound
from neuroamp_host.evaluation.paper.statistics import agreement
from neuroamp_host.evaluation.separation import third_octave_gain_db
from neuroamp_host.evaluation.systems import (
    NAL_R,
    NAL_R_WDRC,
    NEUROAMP,
    UNPROCESSED,
    Sound,
    systems,
)

SHOWN_LISTENER = "N3"
GAIN_LISTENERS = ("N2", "S3")
"""Two losses, the second steeper and worse at high frequencies, as the paper's two are."""

SHOWN_SYSTEMS = (UNPROCESSED, NAL_R, NAL_R_WDRC, NEUROAMP)
COLOURS = {
    UNPROCESSED: "#6f6f6f",
    NAL_R: "#009e73",
    NAL_R_WDRC: "#7b3294",
    NEUROAMP: "#e69f00",
}
CONDITION_STYLES = {
    "noisy": ("#c8102e", "v"),
    "enhanced (FCN)": ("#e69f00", "s"),
    "enhanced (LSTM)": ("#009e73", "D"),
    "clean": ("#0b4fa8", "o"),
}
BANDS_HZ = ((0.0, 500.0), (500.0, 2000.0), (2000.0, 8000.0))
GAIN_FREQUENCIES_HZ = tuple(250.0 * 2.0 ** (i / 3.0) for i in range(15))


@dataclasses.dataclass(frozen=True)
class Picture:
    """One figure.

    Attributes:
        number: as in the paper.
        title: what it shows.
        figure: the drawing.
        values: its numbers, for JSON.
        notes: a sentence each.
    """

    number: int
    title: str
    figure: Figure
    values: dict[str, Any]
    notes: list[str]


def scatter(run: Run, number: int, name: str, metric: str) -> Picture:
    """Scores of each optimised net over NAL-R+WDRC's, coloured by condition."""
    models = released(basic=False)
    rows = fidelity_rows(run, name, models)
    if not rows:
        raise _no_model()
    figure, panels = plt.subplots(2, 2, figsize=(8.0, 8.0), sharex=True, sharey=True)
    values: dict[str, Any] = {}
    for axes, architecture in zip(panels.flat, ARCHITECTURES, strict=True):
        axes.plot([0.0, 1.0], [0.0, 1.0], color="0.6", linewidth=0.8)
        if architecture not in models:
            axes.set_title(f"{architecture}: not trained")
            continue
        values[architecture] = {}
        for condition, (colour, marker) in CONDITION_STYLES.items():
            own = [row["scores"] for row in rows if row["condition"] == condition]
            if own:
                x = [scores[NAL_R_WDRC][metric] for scores in own]
                y = [scores[architecture][metric] for scores in own]
                axes.scatter(
                    x, y, s=18, c=colour, marker=marker, alpha=0.7, linewidths=0, label=condition
                )
                values[architecture][condition] = {NAL_R_WDRC: x, NEUROAMP: y}
        found = agreement(
            [row["scores"][NAL_R_WDRC][metric] for row in rows],
            [row["scores"][architecture][metric] for row in rows],
        )
        axes.set_title(f"{architecture}: SRCC {found.srcc.value:.3f}, MSE {found.mse.value:.4f}")
    for axes in panels[1]:
        axes.set_xlabel(f"{metric}, NAL-R+WDRC")
    for axes in panels[:, 0]:
        axes.set_ylabel(f"{metric}, NeuroAMP")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.tight_layout(rect=(0.0, 0.04, 1.0, 1.0))
    return Picture(
        number,
        f"{metric} on {name}",
        figure,
        values,
        [f"{name}: {run.sounds.describe(name)}.", "A point is a clip for one listener."],
    )


def waveforms(run: Run) -> Picture:
    """One sentence through the four systems, as waveforms."""
    heard, notes = _heard(run)
    figure, rows = plt.subplots(len(heard), 1, figsize=(8.0, 7.0), sharex=True)
    for axes, (system, sound) in zip(rows, heard.items(), strict=True):
        axes.plot(
            np.arange(sound.size) / SAMPLE_RATE_HZ, sound, color=COLOURS[system], linewidth=0.5
        )
        axes.set_title(system)
        axes.set_ylabel("Pa")
    rows[-1].set_xlabel("time, s")
    figure.tight_layout()
    target, net = heard[NAL_R_WDRC], heard[NEUROAMP]
    values = {
        "correlation with NAL-R+WDRC": {
            system: float(np.corrcoef(sound, target)[0, 1]) for system, sound in heard.items()
        },
        "output SNR of NeuroAMP against NAL-R+WDRC, dB": float(
            10.0 * np.log10(np.sum(target**2) / np.sum((target - net) ** 2))
        ),
    }
    return Picture(10, "Waveforms", figure, values, notes)


def spectrograms(run: Run) -> Picture:
    """The same sentence as spectrograms."""
    heard, notes = _heard(run)
    figure, panels = plt.subplots(
        2, 2, figsize=(9.0, 6.5), sharex=True, sharey=True, layout="constrained"
    )
    for axes, (system, sound) in zip(panels.flat, heard.items(), strict=True):
        mesh = draw_spectrogram(axes, sound)
        axes.set_title(system)
        axes.label_outer()
    figure.colorbar(mesh, ax=panels, label="dB SPL per bin")
    levels = {system: _bin_levels_db(sound) for system, sound in heard.items()}
    audible = levels[NAL_R_WDRC] > levels[NAL_R_WDRC].max() - 60.0
    values = {
        "mean absolute difference to NAL-R+WDRC, dB": {
            system: float(np.abs(own - levels[NAL_R_WDRC])[audible].mean())
            for system, own in levels.items()
        }
    }
    return Picture(11, "Spectrograms", figure, values, notes)


def band_energies(run: Run) -> Picture:
    """Energy over time in three bands."""
    heard, notes = _heard(run)
    figure, rows = plt.subplots(len(BANDS_HZ), 1, figsize=(8.0, 8.0), sharex=True)
    values: dict[str, Any] = {}
    for axes, (low, high) in zip(rows, BANDS_HZ, strict=True):
        name = f"{low:g}-{high:g} Hz"
        levels = {system: _band_levels_db(sound, low, high) for system, sound in heard.items()}
        for system, own in levels.items():
            axes.plot(
                np.arange(own.size) * PAPER.hop / SAMPLE_RATE_HZ,
                own,
                color=COLOURS[system],
                linewidth=1.0,
                linestyle="--" if system == NEUROAMP else "-",
                label=system,
            )
        loud = levels[NAL_R_WDRC] > levels[NAL_R_WDRC].max() - 40.0
        values[f"mean absolute difference to NAL-R+WDRC in {name}, dB"] = {
            system: float(np.abs(own - levels[NAL_R_WDRC])[loud].mean())
            for system, own in levels.items()
        }
        axes.set_title(name)
        axes.set_ylabel("dB SPL")
        axes.set_ylim(bottom=20.0)
    rows[-1].set_xlabel("time, s")
    rows[0].legend(ncols=4, fontsize=7, loc="lower right")
    figure.tight_layout()
    return Picture(12, "Band energies over time", figure, values, notes)


def gains(run: Run) -> Picture:
    """Insertion gains for two listeners, beside their audiograms."""
    figure, panels = plt.subplots(2, 2, figsize=(9.0, 7.5))
    values: dict[str, Any] = {}
    notes: list[str] = []
    for row, listener in zip(panels, GAIN_LISTENERS, strict=True):
        heard, notes = _heard(run, listener)
        draw_audiogram(row[0], {Ear.LEFT: BISGAARD[listener]})
        row[0].set_title(listener)
        own = {
            system: third_octave_gain_db(
                heard[UNPROCESSED], sound, SAMPLE_RATE_HZ, GAIN_FREQUENCIES_HZ
            )
            for system, sound in heard.items()
            if system != UNPROCESSED
        }
        draw_gains(
            row[1],
            [
                Curve(system, GAIN_FREQUENCIES_HZ, gain, COLOURS[system], marker="o")
                for system, gain in own.items()
            ],
        )
        row[1].set_title(f"insertion gain for {listener}")
        row[1].legend(fontsize=7)
        values[listener] = {
            "frequencies, Hz": list(GAIN_FREQUENCIES_HZ),
            **{f"{system}, dB": [float(g) for g in gain] for system, gain in own.items()},
        }
    figure.tight_layout()
    return Picture(
        13,
        "Frequency-specific gain for two listeners",
        figure,
        values,
        [notes[0], f"Listeners: the standard audiograms {' and '.join(GAIN_LISTENERS)}."],
    )


FIGURES: Mapping[int, Callable[[Run], Picture]] = {
    4: lambda run: scatter(run, 4, "TMHINT", "HASPI"),
    5: lambda run: scatter(run, 5, "TMHINT", "HASQI"),
    6: lambda run: scatter(run, 6, "VCTK", "HASPI"),
    7: lambda run: scatter(run, 7, "VCTK", "HASQI"),
    8: lambda run: scatter(run, 8, "Cadenza", "HAAQI"),
    9: lambda run: scatter(run, 9, "MUSDB18-HQ", "HAAQI"),
    10: waveforms,
    11: spectrograms,
    12: band_energies,
    13: gains,
}


def _heard(run: Run, listener: str = SHOWN_LISTENER) -> tuple[dict[str, Sound], list[str]]:
    """The first clean sentence of VCTK through the four systems, and what to say about it."""
    models = released(basic=False)
    if not models:
        raise _no_model()
    # The paper shows its Transformer.
    shown = "Transformer" if "Transformer" in models else next(iter(models))
    case, _ = make_sound(run.sounds, Place("VCTK", "clean", 0))
    table = systems(models[shown], ENGINE)
    audiogram: Audiogram = BISGAARD[listener]
    heard = {system: table[system](case.clean_pa, audiogram) for system in SHOWN_SYSTEMS}
    return heard, [
        f"NeuroAMP is the {shown}. The sound: clip {case.name} of VCTK "
        f"({run.sounds.describe('VCTK')}), clean, 65 dB SPL.",
        f"Listener: the standard audiogram {listener}.",
    ]


def _no_model() -> NeuroampError:
    return NeuroampError(
        "none of the paper's nets is released here; train and export one, or set NEUROAMP_MODELS "
        "to the folder that holds them."
    )


def _bin_levels_db(sound_pa: Sound) -> NDArray[np.float64]:
    power = np.abs(stft(PAPER, sound_pa)) ** 2 * power_scale(PAPER)
    return np.asarray(10.0 * np.log10(power / REFERENCE_PRESSURE_PA**2 + 1e-6))


def _band_levels_db(sound_pa: Sound, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    frequencies = np.arange(PAPER.bins) * SAMPLE_RATE_HZ / PAPER.frame_length
    chosen = (frequencies >= low_hz) & (frequencies < high_hz)
    power = np.abs(stft(PAPER, sound_pa)[:, chosen]) ** 2 * power_scale(PAPER)[chosen]
    return np.asarray(10.0 * np.log10(power.sum(axis=1) / REFERENCE_PRESSURE_PA**2 + 1e-6))

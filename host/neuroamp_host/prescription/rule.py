"""What a prescription rule gives, and interpolation shared by the rules."""

from __future__ import annotations

import dataclasses

import numpy as np
from neuroamp.audiogram import Audiogram
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Prescription:
    """Insertion gain for speech of 65 dB SPL and compression, at some frequencies.

    This is what `neuroamp.wdrc` runs: with L65 the level of 65 dB SPL speech in a channel, the
    gain at a level L above the knee is gain_65_db + (1 / compression_ratio - 1)(L - L65).

    Attributes:
        frequencies_hz: shape [n], Hz.
        gain_65_db: insertion gain, dB, never negative, shape [n].
        compression_ratio: dB in over dB out, 1 or more, shape [n].
    """

    frequencies_hz: Floats
    gain_65_db: Floats
    compression_ratio: Floats


def on_log_frequency(
    frequencies_hz: ArrayLike, known_hz: ArrayLike, known_values: ArrayLike
) -> Floats:
    """A rule's table at other frequencies: linear in log frequency, held flat outside."""
    known = np.asarray(known_hz, dtype=np.float64)
    # 0 Hz, the first bin of a spectrum, has no logarithm; below the table all is flat.
    wanted = np.maximum(np.asarray(frequencies_hz, dtype=np.float64), known[0])
    return np.interp(np.log(wanted), np.log(known), np.asarray(known_values, dtype=np.float64))


def three_frequency_average(audiogram: Audiogram) -> float:
    """Mean threshold at 500, 1000 and 2000 Hz, dB HL (3FA)."""
    return float(np.mean(audiogram.at([500.0, 1000.0, 2000.0])))


def compression_ratio(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """Compression ratio of the paper's WDRC for rules that prescribe none: 1 + HL/100, 1 to 2.

    The paper (II-B) leaves the ratio open; this one is the project's choice (docs/architecture.md).
    """
    return np.clip(1.0 + audiogram.at(frequencies_hz) / 100.0, 1.0, 2.0)

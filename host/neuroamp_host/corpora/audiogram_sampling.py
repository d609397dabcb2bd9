"""Hearing losses by pattern and degree, after Alshuaib et al. (2015), seeded.

'Classification of Hearing Loss' (in: Update on Hearing Loss, ch. 4) names the patterns by the
audiogram's shape and the degrees by the pure-tone average; the paper (IV-A-4) generates its
listeners that way. The numbers of each pattern below are this project's own.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ, THRESHOLD_RANGE_DB_HL, Audiogram
from neuroamp.errors import NeuroampError

Pattern = Literal["flat", "sloping", "ski-slope", "rising", "u-shaped", "tent-shaped", "notched"]
PATTERNS: tuple[str, ...] = get_args(Pattern)

DEGREES = {
    "mild": (26.0, 40.0),
    "moderate": (41.0, 55.0),
    "moderately severe": (56.0, 70.0),
    "severe": (71.0, 90.0),
    "profound": (91.0, 105.0),
}
"""Range of the pure-tone average at 500, 1000 and 2000 Hz, dB HL (Goodman 1965)."""

OCTAVES = np.log2(np.array(STANDARD_FREQUENCIES_HZ) / 1000.0)
AUDIOMETER_STEP_DB = 5.0
MEASURING_SPREAD_DB = 2.5


def sample_audiogram(
    rng: np.random.Generator, pattern: str | None = None, degree: str | None = None
) -> Audiogram:
    """One ear's hearing loss at the six standard frequencies, rounded to steps of 5 dB.

    Args:
        rng: the same state gives the same audiogram.
        pattern: one of `PATTERNS`; drawn evenly if None.
        degree: one of `DEGREES`; drawn evenly, without 'profound', if None.

    Raises:
        NeuroampError: there is no such pattern or degree.
    """
    if pattern is not None and pattern not in PATTERNS:
        raise NeuroampError(
            f"there is no pattern {pattern!r} of hearing loss; choose from {', '.join(PATTERNS)}."
        )
    if degree is not None and degree not in DEGREES:
        raise NeuroampError(
            f"there is no degree {degree!r} of hearing loss; choose from {', '.join(DEGREES)}."
        )
    chosen_pattern = pattern or PATTERNS[int(rng.integers(len(PATTERNS)))]
    wearable = [name for name in DEGREES if name != "profound"]
    low, high = DEGREES[degree or wearable[int(rng.integers(len(wearable)))]]
    shape = _shape(rng, chosen_pattern) + rng.normal(0.0, MEASURING_SPREAD_DB, OCTAVES.size)
    # The degree is that of the average at 500, 1000 and 2000 Hz; rounding must not leave it.
    average = rng.uniform(low, high)
    thresholds = shape - shape[1:4].mean() + average
    thresholds = AUDIOMETER_STEP_DB * np.round(thresholds / AUDIOMETER_STEP_DB)
    while thresholds[1:4].mean() < low:
        thresholds += AUDIOMETER_STEP_DB
    while thresholds[1:4].mean() > high:
        thresholds -= AUDIOMETER_STEP_DB
    clipped = np.clip(thresholds, *THRESHOLD_RANGE_DB_HL)
    return Audiogram(STANDARD_FREQUENCIES_HZ, tuple(float(level) for level in clipped))


def _shape(rng: np.random.Generator, pattern: str) -> np.ndarray:
    """A pattern's thresholds at the six standard frequencies, dB, up to a constant."""
    if pattern == "flat":
        return rng.uniform(-1.0, 1.0) * OCTAVES
    if pattern == "sloping":
        return rng.uniform(5.0, 12.0) * OCTAVES
    if pattern == "ski-slope":
        # Nearly normal up to an edge, then 20 dB or more an octave.
        edge = rng.uniform(-0.5, 1.0)
        return rng.uniform(20.0, 30.0) * np.clip(OCTAVES - edge, 0.0, 2.0)
    if pattern == "rising":
        return -rng.uniform(5.0, 12.0) * OCTAVES
    middle, depth = rng.uniform(-0.3, 0.6), rng.uniform(15.0, 30.0)
    if pattern == "u-shaped":
        return depth * np.exp(-0.5 * (OCTAVES - middle) ** 2)
    if pattern == "tent-shaped":
        return -depth * np.exp(-0.5 * (OCTAVES - middle) ** 2)
    notch = np.array([0.0, 0.0, 0.0, 0.25, 1.0, 0.4])  # the 4 kHz notch of noise exposure
    return rng.uniform(20.0, 40.0) * notch

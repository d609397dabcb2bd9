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
from numpy.typing import NDArray

Pattern = Literal["flat", "sloping", "ski-slope", "rising", "u-shaped", "tent-shaped", "notched"]
PATTERNS: tuple[str, ...] = get_args(Pattern)
"""Shapes as they look on an audiogram, whose dB HL axis points down: 'u-shaped', or cookie-bite, is
worst in the middle, 'tent-shaped', or reverse cookie-bite, best; 'ski-slope' is precipitous."""

DEGREES = {
    "mild": (26.0, 40.0),
    "moderate": (41.0, 55.0),
    "moderately severe": (56.0, 70.0),
    "severe": (71.0, 90.0),
    "profound": (91.0, 105.0),
}
"""Range of the pure-tone average at 500, 1000 and 2000 Hz, dB HL (Goodman 1965); above 105 dB HL a
pattern no longer fits on the audiogram."""

OCTAVES = np.log2(np.array(STANDARD_FREQUENCIES_HZ) / 1000.0)
AVERAGED = slice(1, 4)
"""The points of the pure-tone average among `STANDARD_FREQUENCIES_HZ`."""

AUDIOMETER_STEP_DB = 5.0
MEASURING_ERROR_DB = 2.0
"""Largest deviation of a threshold from its pattern, before it is rounded to an audiometer step:
small enough that every sample still shows its pattern."""


def sample_audiogram(
    rng: np.random.Generator, pattern: str | None = None, degree: str | None = None
) -> Audiogram:
    """One ear's hearing loss at the six standard frequencies, in steps of 5 dB.

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
    if pattern is None:
        pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    if degree is None:
        wearable = [name for name in DEGREES if name != "profound"]
        degree = wearable[int(rng.integers(len(wearable)))]

    low, high = DEGREES[degree]
    error = rng.uniform(-MEASURING_ERROR_DB, MEASURING_ERROR_DB, OCTAVES.size)
    shape = _shape(rng, pattern) + error
    thresholds = shape - shape[AVERAGED].mean() + rng.uniform(low, high)
    thresholds = AUDIOMETER_STEP_DB * np.round(thresholds / AUDIOMETER_STEP_DB)
    # Rounding may have left the degree; one step back is enough, a degree being wider than a step.
    if thresholds[AVERAGED].mean() < low:
        thresholds += AUDIOMETER_STEP_DB
    elif thresholds[AVERAGED].mean() > high:
        thresholds -= AUDIOMETER_STEP_DB
    on_the_scale = np.clip(thresholds, *THRESHOLD_RANGE_DB_HL)
    return Audiogram(STANDARD_FREQUENCIES_HZ, tuple(on_the_scale), name=f"{degree} {pattern}")


def _shape(rng: np.random.Generator, pattern: str) -> NDArray[np.float64]:
    """A pattern's thresholds at the six standard frequencies, dB, up to a constant."""
    if pattern == "flat":
        return rng.uniform(-2.0, 2.0) * OCTAVES
    if pattern == "sloping":
        return rng.uniform(5.0, 12.0) * OCTAVES
    if pattern == "ski-slope":
        # Level up to an edge between 700 Hz and 2 kHz, then more than 20 dB an octave.
        edge = rng.uniform(-0.5, 1.0)
        return rng.uniform(25.0, 35.0) * np.clip(OCTAVES - edge, 0.0, 2.0)
    if pattern == "rising":
        return -rng.uniform(5.0, 12.0) * OCTAVES
    if pattern == "notched":
        # The notch at 4 kHz of noise exposure.
        return rng.uniform(25.0, 40.0) * np.array([0.0, 0.0, 0.0, 0.2, 1.0, 0.3])
    middle, depth = rng.uniform(-0.3, 0.6), rng.uniform(25.0, 35.0)
    trough = depth * np.exp(-0.5 * (OCTAVES - middle) ** 2)
    return trough if pattern == "u-shaped" else -trough

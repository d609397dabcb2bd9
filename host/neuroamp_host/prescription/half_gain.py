"""Half gain: half of the hearing loss (Lybarger 1944)."""

import numpy as np
from neuroamp.audiogram import Audiogram
from numpy.typing import ArrayLike

from neuroamp_host.prescription.rule import Floats


def half_gain(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """Insertion gain in dB, never negative, at `frequencies_hz`: G = 0.5 H."""
    return np.maximum(0.0, 0.5 * audiogram.at(frequencies_hz))

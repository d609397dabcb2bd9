"""What a metric returns, the same for the reference implementation and for the fast one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

METRICS = ("haspi", "hasqi", "haaqi")


class HaspiResult(NamedTuple):
    """HASPI v2: predicted intelligibility.

    Attributes:
        score: predicted proportion of sentences understood, 0 to 1.
        modulation_correlation: the ten inputs of HASPI's network, float64 [10]: correlation of
            the cepstral coefficients at modulation rates 2, 6, 10, 16, 25, 40, 64, 100, 160 and
            256 Hz, each 0 to 1.
    """

    score: float
    modulation_correlation: NDArray[np.float64]


class QualityResult(NamedTuple):
    """HASQI v2 or HAAQI v1: predicted quality.

    Attributes:
        score: predicted quality, 0 to 1.
        nonlinear: the part that hears noise and distortion, 0 to 1.
        linear: the part that hears a changed long-term spectrum, 0 to 1.
        cepstral_correlation: envelope fidelity, 0 to 1 (HAAQI: modulation rates above 20 Hz).
        fine_structure_correlation: basilar-membrane fidelity over audible tiles, 0 to 1.
        loudness: 1 minus the scaled spread of the specific-loudness difference, 0 to 1.
        shape: 1 minus the scaled spread of its slope (HASQI) or of the normalised difference
            (HAAQI), 0 to 1.
    """

    score: float
    nonlinear: float
    linear: float
    cepstral_correlation: float
    fine_structure_correlation: float
    loudness: float
    shape: float


class Scores(NamedTuple):
    """Scores of one processed signal; None for a metric that was not asked for."""

    haspi: HaspiResult | None = None
    hasqi: QualityResult | None = None
    haaqi: QualityResult | None = None

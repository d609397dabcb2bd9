"""NAL-R (Byrne & Dillon 1986, Ear and Hearing 7:257-265), and the Clarity toolkit's variant."""

import numpy as np
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ, Audiogram
from numpy.typing import ArrayLike

from neuroamp_host.prescription.rule import Floats, on_log_frequency, three_frequency_average

CORRECTION_HZ = (250.0, 500.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0, 6000.0)
CORRECTION_DB = (-17.0, -8.0, 1.0, 1.0, -1.0, -2.0, -2.0, -2.0)
STANDARD_CORRECTION_DB = (-17.0, -8.0, 1.0, -1.0, -2.0, -2.0)


def nal_r_unclamped(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """0.15 3FA + 0.31 H(f) + k(f) in dB, which NAL-RP builds on; may be negative."""
    correction = on_log_frequency(frequencies_hz, CORRECTION_HZ, CORRECTION_DB)
    common = 0.15 * three_frequency_average(audiogram)
    return common + 0.31 * audiogram.at(frequencies_hz) + correction


def nal_r(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """Insertion gain in dB, never negative, at `frequencies_hz`, after Byrne & Dillon."""
    return np.maximum(0.0, nal_r_unclamped(audiogram, frequencies_hz))


def nal_r_clarity(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """Insertion gain in dB, never negative, as the Clarity toolkit computes NAL-R.

    Six frequencies; above a sum S of 180 dB HL at 500, 1000 and 2000 Hz the common term grows
    with 0.116 (S - 180) instead of 0.05 S. Gains, not thresholds, are interpolated, and an ear
    without any loss gets none. The paper's own experiments most likely used this variant.
    """
    thresholds = audiogram.six_point()
    if thresholds.max() <= 0.0:
        return np.zeros(np.shape(frequencies_hz))
    total = 3.0 * three_frequency_average(audiogram)
    common = 0.05 * total if total <= 180.0 else 9.0 + 0.116 * (total - 180.0)
    gains = common + 0.31 * thresholds + np.array(STANDARD_CORRECTION_DB)
    return on_log_frequency(frequencies_hz, STANDARD_FREQUENCIES_HZ, np.maximum(0.0, gains))

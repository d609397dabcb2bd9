"""CAMEQ, linear (Moore & Glasberg 1998) and compressive (Moore, Alcantara, Stone & Glasberg 1999).

Both aim at equal loudness of speech in all bands.
"""

import numpy as np
from neuroamp.audiogram import Audiogram
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.wdrc import speech_levels_db_spl
from numpy.typing import ArrayLike

from neuroamp_host.prescription.rule import Floats, Prescription, on_log_frequency

INTERCEPT_HZ = (125.0, 250.0, 500.0, 750.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0, 5000.0)
INTERCEPT_DB = (-11.0, -10.0, -8.0, -6.0, 0.0, -1.0, 1.0, -1.0, 0.0, 1.0)

THRESHOLD_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 3150.0, 4000.0, 6300.0, 8000.0)
THRESHOLD_DB_SPL = (22.1, 11.4, 4.4, 2.4, -1.3, -6.0, -5.4, 6.0, 12.6)
"""Threshold of normal hearing, dB SPL (ISO 226, 389-7)."""

SPEECH_RANGE_DB = 38.0
LEAST_OUTPUT_RANGE_DB = 13.0
MOST_OUTPUT_DB_SPL = 100.0


def cameq_linear(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """Insertion gain in dB, never negative: 0.48 H + c(f); normal hearing gets none."""
    if not np.any(audiogram.at(frequencies_hz) > 0.0):
        return np.zeros(np.shape(frequencies_hz))
    intercept = on_log_frequency(frequencies_hz, INTERCEPT_HZ, INTERCEPT_DB)
    return np.maximum(0.0, 0.48 * audiogram.at(frequencies_hz) + intercept)


def cameq_compressive(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Prescription:
    """Gain for speech of 65 dB SPL, and the ratio that keeps soft speech audible.

    A band is one of the device's compression channels: Lmid is the level of 65 dB SPL speech in
    it, Lmin = Lmid - 38 the softest speech that must be heard, which Gmin lifts to threshold.
    """
    frequencies = np.asarray(frequencies_hz, dtype=np.float64)
    middle = on_log_frequency(frequencies, CHANNEL_FREQUENCIES_HZ, speech_levels_db_spl(65.0))
    softest = middle - SPEECH_RANGE_DB
    threshold = on_log_frequency(frequencies, THRESHOLD_HZ, THRESHOLD_DB_SPL)
    gain_softest = audiogram.at(frequencies) + threshold - softest
    gain_middle = cameq_linear(audiogram, frequencies)
    output_range = middle + gain_middle - softest - gain_softest
    ratio = np.maximum(1.0, SPEECH_RANGE_DB / np.maximum(output_range, LEAST_OUTPUT_RANGE_DB))
    gain = (middle - softest) / ratio + softest + gain_softest - middle
    # Where the ratio stays at 1 the line through Lmin would be too steep: the linear gain holds.
    gain = np.where(ratio > 1.0, gain, gain_middle)
    gain = np.clip(gain, 0.0, np.maximum(0.0, MOST_OUTPUT_DB_SPL - middle))
    return Prescription(frequencies, gain, ratio)

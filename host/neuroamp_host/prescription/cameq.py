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

THRESHOLD_HZ, THRESHOLD_DB_SPL = np.transpose((
    (125.0, 22.1), (160.0, 17.9), (200.0, 14.4), (250.0, 11.4), (315.0, 8.6), (400.0, 6.2),
    (500.0, 4.4), (630.0, 3.0), (800.0, 2.2), (1000.0, 2.4), (1250.0, 3.5), (1600.0, 1.7),
    (2000.0, -1.3), (2500.0, -4.2), (3150.0, -6.0), (4000.0, -5.4), (5000.0, -1.5),
    (6300.0, 6.0), (8000.0, 12.6),
))  # fmt: skip
"""Threshold of normal hearing in a free field, dB SPL (ISO 226:2003, table 1)."""

SPEECH_RANGE_DB = 38.0
LEAST_OUTPUT_RANGE_DB = 13.0
MOST_OUTPUT_DB_SPL = 100.0


def cameq_linear(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """Insertion gain in dB, never negative: 0.48 H + c(f); an ear without any loss gets none."""
    if not _any_loss(audiogram):
        return np.zeros(np.shape(frequencies_hz))
    intercept = on_log_frequency(frequencies_hz, INTERCEPT_HZ, INTERCEPT_DB)
    return np.maximum(0.0, 0.48 * audiogram.at(frequencies_hz) + intercept)


def cameq_compressive(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Prescription:
    """Gain for speech of 65 dB SPL, and the ratio that keeps soft speech audible.

    A band is one of the device's compression channels: Lmid is the level of 65 dB SPL speech in
    it, Lmin = Lmid - 38 the softest speech that must be heard, which Gmin lifts to threshold. The
    line G(L) = (L - Lmin) / CR + Lmin + Gmin - L is given by its value at Lmid and its slope; the
    output stays under 100 dB SPL there, at other levels the device's limiter sees to it. An ear
    without any loss gets neither gain nor compression.
    """
    frequencies = np.asarray(frequencies_hz, dtype=np.float64)
    if not _any_loss(audiogram):
        return Prescription(frequencies, np.zeros(frequencies.shape), np.ones(frequencies.shape))
    middle = on_log_frequency(frequencies, CHANNEL_FREQUENCIES_HZ, speech_levels_db_spl(65.0))
    softest = middle - SPEECH_RANGE_DB
    threshold = on_log_frequency(frequencies, THRESHOLD_HZ, THRESHOLD_DB_SPL)
    gain_softest = audiogram.at(frequencies) + threshold - softest
    gain_middle = cameq_linear(audiogram, frequencies)
    output_range = middle + gain_middle - softest - gain_softest
    ratio = np.maximum(1.0, SPEECH_RANGE_DB / np.maximum(output_range, LEAST_OUTPUT_RANGE_DB))
    gain = (middle - softest) / ratio + softest + gain_softest - middle
    gain = np.clip(gain, 0.0, np.maximum(0.0, MOST_OUTPUT_DB_SPL - middle))
    return Prescription(frequencies, gain, ratio)


def _any_loss(audiogram: Audiogram) -> bool:
    return bool(audiogram.at(audiogram.frequencies_hz).max() > 0.0)

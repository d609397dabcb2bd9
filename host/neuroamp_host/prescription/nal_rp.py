"""NAL-RP: NAL-R for severe and profound losses (Byrne, Parkinson & Newall 1990 and 1991)."""

import numpy as np
from neuroamp.audiogram import Audiogram
from numpy.typing import ArrayLike

from neuroamp_host.prescription.nal_r import CORRECTION_HZ, nal_r_unclamped
from neuroamp_host.prescription.rule import Floats, on_log_frequency, three_frequency_average

PROFOUND_H2000_DB_HL = (95.0, 100.0, 105.0, 110.0, 115.0, 120.0)
PROFOUND_DB = (
    (4.0, 3.0, 0.0, -1.0, -2.0, -2.0, -2.0, -2.0),
    (6.0, 4.0, 0.0, -2.0, -3.0, -3.0, -3.0, -3.0),
    (8.0, 5.0, 0.0, -3.0, -5.0, -5.0, -5.0, -5.0),
    (11.0, 7.0, 0.0, -3.0, -6.0, -6.0, -6.0, -6.0),
    (13.0, 8.0, 0.0, -4.0, -8.0, -8.0, -8.0, -8.0),
    (15.0, 9.0, 0.0, -5.0, -9.0, -9.0, -9.0, -9.0),
)
"""Rows by the threshold at 2 kHz, columns by `CORRECTION_HZ`."""


def nal_rp(audiogram: Audiogram, frequencies_hz: ArrayLike) -> Floats:
    """Insertion gain in dB, never negative, at `frequencies_hz`."""
    gain = nal_r_unclamped(audiogram, frequencies_hz)
    average = three_frequency_average(audiogram)
    if average > 60.0:
        gain = gain + 0.2 * (average - 60.0)
    at_2000 = float(audiogram.at(2000.0))
    if at_2000 >= PROFOUND_H2000_DB_HL[0]:
        columns = np.array(PROFOUND_DB).T
        row = [np.interp(at_2000, PROFOUND_H2000_DB_HL, column) for column in columns]
        gain = gain + on_log_frequency(frequencies_hz, CORRECTION_HZ, row)
    return np.maximum(0.0, gain)

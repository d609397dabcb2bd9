"""Band layouts: the net's ERB-rate bands and the compressor's audiometric channels.

Both are triangular and add up to one at every bin, so that one matrix turns bin powers into
band powers and band gains in dB into bin gains in dB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.profile import Profile

Floats = NDArray[np.float64]

CHANNEL_FREQUENCIES_HZ = (
    125.0,
    250.0,
    500.0,
    750.0,
    1000.0,
    1500.0,
    2000.0,
    3000.0,
    4000.0,
    6000.0,
    8000.0,
)
"""Centres of the compression channels: the frequencies of the audiogram."""


def erb_rate(frequency_hz: ArrayLike) -> Floats:
    """ERB-rate (Cams) of a frequency in Hz (Glasberg & Moore 1990, eq. 4)."""
    relative = 4.37e-3 * np.asarray(frequency_hz, dtype=np.float64) + 1.0
    rate: Floats = 21.4 * np.log10(relative)
    return rate


def bin_frequencies_hz(profile: Profile) -> Floats:
    """Centre frequency of each FFT bin in Hz, shape [bins]."""
    spacing_hz = profile.sample_rate_hz / profile.frame_length
    return np.arange(profile.bins, dtype=np.float64) * spacing_hz


def band_frequencies_hz(profile: Profile) -> Floats:
    """Centres of the net's bands in Hz, shape [bands]: whole bins, equal ERB-rate steps.

    Where the ERB-rate step is narrower than a bin the bands are single bins; the rest of the
    scale is divided evenly.
    """
    rate = erb_rate(bin_frequencies_hz(profile))
    centres = [0]
    for remaining in range(profile.bands - 1, 0, -1):
        step = (rate[-1] - rate[centres[-1]]) / remaining
        nearest = int(np.argmin(np.abs(rate - (rate[centres[-1]] + step))))
        centres.append(max(centres[-1] + 1, nearest))
    return bin_frequencies_hz(profile)[centres]


def band_matrix(profile: Profile) -> Floats:
    """Triangular weights of the net's bands, shape [bands, bins], columns adding up to one."""
    return _triangles(band_frequencies_hz(profile), bin_frequencies_hz(profile))


def channel_matrix(profile: Profile) -> Floats:
    """Triangular weights of the compression channels, shape [11, bins], on log frequency.

    Bins below 125 Hz belong wholly to the first channel.
    """
    centres = np.log(np.asarray(CHANNEL_FREQUENCIES_HZ))
    bins = np.log(np.maximum(bin_frequencies_hz(profile), CHANNEL_FREQUENCIES_HZ[0]))
    return _triangles(centres, bins)


def _triangles(centres: Floats, positions: Floats) -> Floats:
    identity = np.eye(centres.size)
    return np.stack([np.interp(positions, centres, row) for row in identity])

"""What the net hears and what its output means: the profile's feature and output definitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.bands import band_matrix
from neuroamp.profile import Profile
from neuroamp.transform import power_scale

Floats = NDArray[np.float64]

BAND_LEVEL_CENTRE_DB_SPL = 40.0
BAND_LEVEL_SPAN_DB = 30.0
BAND_LEVEL_FLOOR_DB_SPL = -20.0
BAND_LEVEL_CEILING_DB_SPL = 120.0
LOG_MAGNITUDE_SPAN = 4.0
MOST_MAGNITUDE = 1e7
"""140 dB SPL."""
AUDIOGRAM_SPAN_DB = 100.0
LEAST_WEIGHT = 1e-6
"""Of a bin in the mean of a band's gains; in digital silence it is that of all."""


class Features:
    """Spectra to the net's spectral input; shapes [..., bins] to [..., feature_count].

    'band-level': (level of the band in dB SPL - 40) / 30, levels clamped to -20..120 dB SPL.
    'log-magnitude': ln(1 + m) / 4, m the magnitude of the bin as a sound pressure in units of
    20 micropascals RMS: linear below 0 dB SPL, logarithmic above.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._scale = power_scale(profile) / profile.level_reference_pa**2
        if profile.features == "band-level":
            self._weights = (band_matrix(profile) * self._scale).T

    def __call__(self, spectrum: NDArray[np.complex128]) -> Floats:
        power = spectrum.real**2 + spectrum.imag**2
        if self._profile.features == "log-magnitude":
            return np.log1p(np.sqrt(power * self._scale)) / LOG_MAGNITUDE_SPAN
        floor, ceiling = BAND_LEVEL_FLOOR_DB_SPL, BAND_LEVEL_CEILING_DB_SPL
        level = 10.0 * np.log10(np.maximum(power @ self._weights, 10.0 ** (floor / 10.0)))
        return (np.minimum(level, ceiling) - BAND_LEVEL_CENTRE_DB_SPL) / BAND_LEVEL_SPAN_DB


def audiogram_input(thresholds_db_hl: ArrayLike) -> Floats:
    """The net's second input, shape [..., 6]: thresholds in dB HL divided by 100."""
    return np.asarray(thresholds_db_hl, dtype=np.float64) / AUDIOGRAM_SPAN_DB


class BandGains:
    """A 'band-gain' output to dB per bin, on top of the prescription's gain.

    The net's output y, one per band in 0..1, means `gain_min_db + y (gain_max_db - gain_min_db)`.
    """

    def __init__(self, profile: Profile) -> None:
        self._low, self._span = profile.gain_min_db, profile.gain_max_db - profile.gain_min_db
        self._matrix = band_matrix(profile)

    def in_bands(self, output: ArrayLike) -> Floats:
        """Gain in dB, shape [..., bands], of net outputs [..., bands]; clamped to the range."""
        return self._low + self._span * np.clip(np.asarray(output, dtype=np.float64), 0.0, 1.0)

    def __call__(self, output: ArrayLike) -> Floats:
        """The same per bin, shape [..., bins]."""
        return self.in_bands(output) @ self._matrix


class GainsInBands:
    """Gains per bin made smooth: each of the profile's bands has the mean of its bins' gains.

    A net that gives magnitudes copies what it hears bin by bin, not quite exactly; smoothed, its
    gains keep the fine structure of the sound. A bin weighs in the mean with its magnitude m as a
    sound pressure in units of 20 micropascals RMS, before and after the gain, as m / (1 + m): what
    nobody hears hardly counts.
    """

    def __init__(self, profile: Profile) -> None:
        self._matrix = band_matrix(profile)
        self._scale = power_scale(profile) / profile.level_reference_pa**2

    def __call__(self, gain_db: ArrayLike, spectrum: NDArray[np.complex128]) -> Floats:
        """Gains in dB [..., bins] of such, and of the spectrum that they are for [..., bins]."""
        gain_db = np.asarray(gain_db, dtype=np.float64)
        heard = np.sqrt((spectrum.real**2 + spectrum.imag**2) * self._scale)
        wanted = heard * 10.0 ** (gain_db / 20.0)
        weight = heard / (1.0 + heard) * wanted / (1.0 + wanted) + LEAST_WEIGHT
        return (weight * gain_db) @ self._matrix.T / (weight @ self._matrix.T) @ self._matrix


class Magnitudes:
    """A 'log-magnitude' output to magnitudes |Y| per bin, in the units of the spectrum."""

    def __init__(self, profile: Profile) -> None:
        self._scale = np.sqrt(power_scale(profile)) / profile.level_reference_pa

    def __call__(self, output: ArrayLike) -> Floats:
        """Magnitudes [..., bins] of net outputs [..., bins]; at most 140 dB SPL a bin."""
        most = np.log(MOST_MAGNITUDE) / LOG_MAGNITUDE_SPAN
        bounded = np.clip(np.asarray(output, dtype=np.float64), 0.0, most)
        return np.expm1(LOG_MAGNITUDE_SPAN * bounded) / self._scale

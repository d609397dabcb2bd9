"""HASQI v2 and HAAQI v1: what they share, and how each combines it.

HASQI: Kates and Arehart, "The Hearing-Aid Speech Quality Index (HASQI) version 2", J. Audio Eng.
Soc. 62 (2014) 99-117. HAAQI: Kates and Arehart, "The Hearing-Aid Audio Quality Index (HAAQI)",
IEEE/ACM Trans. Audio Speech Lang. Process. 24 (2016) 354-365. Both signals are heard by the
impaired ear, the reference through NAL-R.
"""

from typing import NamedTuple

import numpy as np
from clarity.enhancer.nalr import NALR
from clarity.utils.audiogram import Audiogram
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ
from numba import njit
from numpy.typing import NDArray
from scipy.signal import firwin

from neuroamp_host.evaluation.metrics.alignment import BandReference, block_spectra
from neuroamp_host.evaluation.metrics.cepstral import CepstralReference, audible_frames
from neuroamp_host.evaluation.metrics.dither import motion_noise
from neuroamp_host.evaluation.metrics.ear_model import (
    AUDIBLE_DB_SL,
    CENTRE_HZ,
    N_BANDS,
    SAMPLE_RATE_HZ,
    BandResponse,
    Cochlea,
    adapted,
    adapted_motion,
    band_response,
    group_delay_corrections,
    middle_ear,
)
from neuroamp_host.evaluation.metrics.results import QualityResult

Array = NDArray[np.float64]

_NAL_R_ORDER = 140
# 16 ms, of the covariance and of HASQI's envelopes, and 8 ms, of HAAQI's; both overlap by half.
_TILE_WINDOW = np.hanning(round(0.016 * SAMPLE_RATE_HZ))
_HAAQI_WINDOW = np.hanning(round(0.008 * SAMPLE_RATE_HZ))
_MAX_TILE_LAG = round(0.001 * SAMPLE_RATE_HZ)
_TINY = 1e-30

# Weight of a band in the fine structure: inner hair cells lose synchrony above 3.5 kHz.
_SYNCHRONY = np.sqrt(3500.0**10 / (3500.0**10 + CENTRE_HZ**10))


def _haaqi_filters() -> list[Array]:
    """HAAQI's four upper modulation filters: 20-32, 32-50, 50-80 and 80-125 Hz at 250 Hz."""
    nyquist_hz, taps = 125.0, 129
    bands = [(20.0, 32.0), (32.0, 50.0), (50.0, 80.0)]
    band_passes = [
        firwin(taps, [low / nyquist_hz, high / nyquist_hz], window="hann", pass_zero="bandpass")
        for low, high in bands
    ]
    high_pass = firwin(taps, 80.0 / nyquist_hz, window="hann", pass_zero="highpass")
    return [*band_passes, high_pass]


_HAAQI_FILTERS = _haaqi_filters()


class ProcessedBand(NamedTuple):
    """What the quality metrics keep of one processed band.

    Attributes:
        hasqi_db_sl: aligned and adapted level above threshold, smoothed over 16 ms, [segments].
        haaqi_db_sl: the same smoothed over 8 ms, [segments].
        covariance: with the reference in each tile, 0 to 1, [tiles]; 0 where it is inaudible.
        average_db_sl: of the whole signal.
    """

    hasqi_db_sl: Array
    haaqi_db_sl: Array
    covariance: Array
    average_db_sl: float


class QualityReference:
    """The reference, amplified by NAL-R, as the impaired ear hears it, ready to be compared."""

    def __init__(self, reference: Array, thresholds_db_hl: Array, dither_seed: int | None) -> None:
        """Run the reference through NAL-R and the impaired ear.

        Args:
            reference: pascals at 24 kHz, trimmed and not amplified, [n].
            thresholds_db_hl: at the six audiometric frequencies, [6].
            dither_seed: of the metric's noise; None for none.
        """
        signal = middle_ear(_nal_r_amplified(reference, thresholds_db_hl))
        cochlea = Cochlea.of(thresholds_db_hl)
        responses = [band_response(signal, cochlea, band) for band in range(N_BANDS)]
        self._envelopes = [BandReference.of(response.envelope) for response in responses]
        self._motions = [BandReference.of(response.motion) for response in responses]
        self._corrections = group_delay_corrections(np.array([r.bandwidth for r in responses]))
        self._noise = None if dither_seed is None else motion_noise(dither_seed, reference.size)
        self._loudness = _specific_loudness([r.average_db_sl for r in responses])

        hasqi_levels, haaqi_levels, motions = [], [], []
        for band, (response, correction) in enumerate(
            zip(responses, self._corrections, strict=True)
        ):
            level = adapted(response.level_db_sl, 0, correction)
            motion = adapted_motion(response.motion, 0, response.envelope, 0, level, correction)
            self._add_noise(motion, 0, band)
            hasqi_levels.append(_smoothed(level, _TILE_WINDOW))
            haaqi_levels.append(_smoothed(level, _HAAQI_WINDOW))
            motions.append(motion)
        self._motion = np.stack(motions)
        self._audible = _audible_tiles(self._motion)
        self._hasqi_cepstra = _cepstral_reference(np.stack(hasqi_levels), None)
        self._haaqi_cepstra = _cepstral_reference(np.stack(haaqi_levels), _HAAQI_FILTERS)

    def processed_band(
        self, band: int, response: BandResponse, spectra: NDArray[np.complex128]
    ) -> ProcessedBand:
        """Align one processed band with the reference and compare its fine structure.

        Args:
            band: 0 to 31.
            response: the impaired ear's response in that band.
            spectra: `block_spectra` of its envelope.
        """
        correction = self._corrections[band]
        envelope_delay = self._envelopes[band].delay_of(spectra)
        motion_delay = self._motions[band].delay_of(block_spectra(response.motion))
        level = adapted(response.level_db_sl, envelope_delay, correction)
        motion = adapted_motion(
            response.motion, motion_delay, response.envelope, envelope_delay, level, correction
        )
        self._add_noise(motion, 1, band)
        return ProcessedBand(
            _smoothed(level, _TILE_WINDOW),
            _smoothed(level, _HAAQI_WINDOW),
            _covariance(self._motion[band], motion, self._audible[band], _TILE_WINDOW),
            response.average_db_sl,
        )

    def hasqi(self, bands: list[ProcessedBand]) -> QualityResult:
        """HASQI v2 of the 32 processed bands: the product of a nonlinear and a linear part."""
        levels = np.stack([band.hasqi_db_sl for band in bands])
        cepstral = _mean_correlation(self._hasqi_cepstra, levels)
        fine_structure = self._fine_structure_correlation(bands)
        difference = self._loudness - _specific_loudness([b.average_db_sl for b in bands])
        loudness = _similarity(difference, 2.5)
        slope = _similarity(np.diff(difference), 1.0)
        nonlinear = cepstral**2 * fine_structure
        linear = 0.579 * loudness + 0.421 * slope
        return QualityResult(
            nonlinear * linear, nonlinear, linear, cepstral, fine_structure, loudness, slope
        )

    def haaqi(self, bands: list[ProcessedBand]) -> QualityResult:
        """HAAQI v1 of the 32 processed bands: a polynomial of a nonlinear and a linear part."""
        levels = np.stack([band.haaqi_db_sl for band in bands])
        cepstral = _mean_correlation(self._haaqi_cepstra, levels)
        fine_structure = self._fine_structure_correlation(bands)
        processed_loudness = _specific_loudness([b.average_db_sl for b in bands])
        difference = self._loudness - processed_loudness
        normalised = difference / (self._loudness + processed_loudness)
        loudness = _similarity(difference, 2.5)
        shape = _similarity(normalised, 25.0)
        nonlinear = 0.754 * cepstral**3 + 0.246 * fine_structure
        linear = 0.329 * loudness + 0.671 * shape
        score = 0.336 * nonlinear + 0.001 * linear + 0.501 * nonlinear**2 + 0.161 * linear**2
        return QualityResult(score, nonlinear, linear, cepstral, fine_structure, loudness, shape)

    def _fine_structure_correlation(self, bands: list[ProcessedBand]) -> float:
        """Mean covariance over the reference's audible tiles, weighted by synchrony."""
        weight = self._audible * _SYNCHRONY[:, None]
        total = np.sum(weight)
        covariance = np.stack([band.covariance for band in bands])
        return float(np.sum(weight * covariance) / total) if total > 0 else 0.0

    def _add_noise(self, motion: Array, side: int, band: int) -> None:
        """Add the threshold noise of the reference (side 0) or the processed signal (1)."""
        if self._noise is not None:
            correction = self._corrections[band]
            motion[correction:] += self._noise[side, band, : motion.size - correction]


def _nal_r_amplified(reference: Array, thresholds_db_hl: Array) -> Array:
    """The reference through HASQI's linear-phase NAL-R filter, its first 140 samples dropped."""
    audiogram = Audiogram(levels=thresholds_db_hl, frequencies=np.array(STANDARD_FREQUENCIES_HZ))
    taps, _ = NALR(_NAL_R_ORDER, SAMPLE_RATE_HZ).build(audiogram)
    return np.convolve(reference, taps)[_NAL_R_ORDER : _NAL_R_ORDER + reference.size]


def _specific_loudness(average_db_sl: list[float]) -> Array:
    """Loudness over the bands with sum 1, so that the overall level does not count, [32]."""
    loudness = 10.0 ** (np.array(average_db_sl) / 20.0)
    return loudness / np.sum(loudness)


def _similarity(difference: Array, scale: float) -> float:
    """1 for a difference that is the same in every band, 0 for a spread of scale / 32 or more."""
    return float(np.clip(1.0 - N_BANDS * np.std(difference) / scale, 0.0, 1.0))


def _cepstral_reference(
    level_db_sl: Array, filters: list[Array] | None
) -> CepstralReference | None:
    """None where the listener hears fewer than two segments of the reference."""
    frames = audible_frames(level_db_sl)
    return CepstralReference(level_db_sl, frames, filters) if frames.size > 1 else None


def _mean_correlation(reference: CepstralReference | None, level_db_sl: Array) -> float:
    return 0.0 if reference is None else float(np.mean(reference.correlation(level_db_sl)))


def _audible_tiles(motion: Array) -> NDArray[np.bool_]:
    """Tiles of the reference that count in the fine-structure correlation, [32, tiles].

    A tile counts above 2.5 dB SL, in segments whose loudness over the bands exceeds that too.
    """
    level_db_sl = np.stack([np.sqrt(2.0 * _mean_squares(row, _TILE_WINDOW)) for row in motion])
    segments = audible_frames(level_db_sl)
    audible = np.zeros(level_db_sl.shape, dtype=np.bool_)
    if segments.size > 1:
        audible[:, segments] = level_db_sl[:, segments] > AUDIBLE_DB_SL
    return audible


@njit(cache=True, inline="always")
def _tile(index, n_tiles, window):  # type: ignore[no-untyped-def]
    """Window of a tile; it starts `index` half windows after the signal's beginning.

    The first and the last tile are half as long: the falling and the rising half of the window.
    """
    half = window.size // 2
    if index == 0:
        return window[half:]
    if index == n_tiles - 1:
        return window[:half]
    return window


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _smoothed(level, window):  # type: ignore[no-untyped-def]
    """Windowed means with 50 % overlap, [2 n / window]."""
    half = window.size // 2
    out = np.empty(level.size // half)
    for index in range(out.size):
        tile = _tile(index, out.size, window)
        total, weight = 0.0, 0.0
        for k in range(tile.size):
            total += tile[k] * level[index * half + k]
            weight += tile[k]
        out[index] = total / weight
    return out


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _windowed(motion, start, tile, out):  # type: ignore[no-untyped-def]
    """Fill `out` with the windowed tile less its mean; return its mean square over the window's."""
    mean, window_power = 0.0, 0.0
    for k in range(tile.size):
        out[k] = motion[start + k] * tile[k]
        mean += out[k]
        window_power += tile[k] * tile[k]
    mean /= tile.size
    power = 0.0
    for k in range(tile.size):
        out[k] -= mean
        power += out[k] * out[k]
    return power / window_power


@njit(cache=True, error_model="numpy")
def _mean_squares(motion, window):  # type: ignore[no-untyped-def]
    """Mean square of every tile, [tiles]."""
    half = window.size // 2
    out = np.empty(motion.size // half)
    scratch = np.empty(window.size)
    for index in range(out.size):
        out[index] = _windowed(motion, index * half, _tile(index, out.size, window), scratch)
    return out


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _correlations(x, y_padded, out):  # type: ignore[no-untyped-def]
    """Sums of x[k] y_padded[k + lag] for every lag in `out`."""
    for lag in range(out.size):
        y = y_padded[lag : lag + x.size]
        total = 0.0
        for k in range(x.size):
            total += x[k] * y[k]
        out[lag] = total


@njit(cache=True, error_model="numpy")
def _inverse_overlap(tile):  # type: ignore[no-untyped-def]
    """One over the window's autocorrelation at each lag: makes a correlation unbiased."""
    padded = np.zeros(tile.size + 2 * _MAX_TILE_LAG)
    padded[_MAX_TILE_LAG : _MAX_TILE_LAG + tile.size] = tile
    out = np.empty(2 * _MAX_TILE_LAG + 1)
    _correlations(tile, padded, out)
    return 1.0 / out


@njit(cache=True, error_model="numpy")
def _covariance(reference, processed, audible, window):  # type: ignore[no-untyped-def]
    """Largest magnitude of the normalised cross-covariance within 1 ms, 0 to 1, [tiles].

    Only where `audible`; 0 elsewhere.
    """
    half = window.size // 2
    x = np.empty(window.size)
    y_padded = np.empty(window.size + 2 * _MAX_TILE_LAG)
    correlation = np.empty(2 * _MAX_TILE_LAG + 1)
    full_overlap = _inverse_overlap(window)
    half_overlap = _inverse_overlap(window[:half])
    out = np.zeros(audible.size)
    for index in range(audible.size):
        if not audible[index]:
            continue
        tile = _tile(index, audible.size, window)
        y_padded[:] = 0.0
        y = y_padded[_MAX_TILE_LAG : _MAX_TILE_LAG + tile.size]
        x_power = _windowed(reference, index * half, tile, x)
        y_power = _windowed(processed, index * half, tile, y)
        if x_power <= _TINY or y_power <= _TINY:
            continue
        _correlations(x[: tile.size], y_padded, correlation)
        inverse_overlap = full_overlap if tile.size == window.size else half_overlap
        peak = np.max(np.abs(correlation * inverse_overlap))
        out[index] = min(peak / np.sqrt(x_power * y_power), 1.0)
    return out

"""Alignment of the processed signal with the reference, broadband and then band by band."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import fft

from neuroamp_host.evaluation.metrics.ear_model import SAMPLE_RATE_HZ

Array = NDArray[np.float64]

MAX_LAG = round(0.100 * SAMPLE_RATE_HZ)
"""A band is looked for within 100 ms of the reference, in samples."""
_DISPERSION = round(0.002 * SAMPLE_RATE_HZ)  # left to the bands after broadband alignment
_EDGE_LEVEL = 0.001  # of the peak; the reference is cut to what exceeds it

# Lags from -(MAX_LAG - 1) to MAX_LAG come out of blocks of _BLOCK samples against segments of the
# reference that reach as much further on both sides, by circular correlation of _TRANSFORM points.
_N_LAGS = 2 * MAX_LAG
_TRANSFORM = 10_240
_BLOCK = _TRANSFORM - _N_LAGS + 1


def shifted(signal: Array, delay: int) -> Array:
    """The signal moved earlier by `delay` samples (later where negative), zeros moved in."""
    out = np.zeros_like(signal)
    n = signal.size
    if abs(delay) < n:
        out[max(0, -delay) : n - max(0, delay)] = signal[max(0, delay) : n - max(0, -delay)]
    return out


class BroadbandReference:
    """The reference at 24 kHz as the broadband alignment needs it.

    Attributes:
        trimmed: the reference without its leading and trailing near-silence, [n].
    """

    def __init__(self, reference: Array) -> None:
        self._n_samples = reference.size
        self._n_transform = fft.next_fast_len(2 * reference.size - 1, real=True)
        self._spectrum = fft.rfft(reference - np.mean(reference), self._n_transform)
        magnitude = np.abs(reference)
        active = np.flatnonzero(magnitude > _EDGE_LEVEL * np.max(magnitude))
        self._active = slice(int(active[0]), int(active[-1]) + 1)
        self.trimmed = reference[self._active]

    def align(self, processed: Array) -> Array:
        """The part of `processed` (24 kHz, at least as long as the reference) beside `trimmed`.

        It is moved to the largest magnitude of the cross-covariance, less 2 ms.
        """
        processed = processed[: self._n_samples]
        spectrum = fft.rfft(processed - np.mean(processed), self._n_transform)
        circular = fft.irfft(self._spectrum * np.conj(spectrum), self._n_transform)
        covariance = np.roll(circular, self._n_samples - 1)[: 2 * self._n_samples - 1]
        delay = self._n_samples - 1 - int(np.argmax(np.abs(covariance)))
        return shifted(processed, delay - _DISPERSION)[self._active]


class BandReference(NamedTuple):
    """One band's signal of the reference, ready for `delay_of`: spectra of its segments."""

    segment_spectra: NDArray[np.complex128]

    @classmethod
    def of(cls, signal: Array) -> "BandReference":
        """From a band's envelope or motion, [n]."""
        n_blocks = -(-signal.size // _BLOCK)
        padded = np.zeros(n_blocks * _BLOCK + _N_LAGS - 1)
        padded[MAX_LAG - 1 : MAX_LAG - 1 + signal.size] = signal
        segments = np.lib.stride_tricks.sliding_window_view(padded, _TRANSFORM)[::_BLOCK]
        return cls(fft.rfft(segments))

    def delay_of(self, spectra: NDArray[np.complex128]) -> int:
        """Samples by which a processed band lags: the peak of the cross-correlation.

        Args:
            spectra: `block_spectra` of the processed band, which must be as long as the reference.
        """
        correlation = fft.irfft(_cross_spectrum(self.segment_spectra, spectra), _TRANSFORM)
        return MAX_LAG - 1 - int(np.argmax(correlation[:_N_LAGS]))


def block_spectra(signal: Array) -> NDArray[np.complex128]:
    """Spectra of a processed band's blocks, [blocks, transform / 2 + 1]."""
    blocks = np.zeros((-(-signal.size // _BLOCK), _TRANSFORM))
    for index, block in enumerate(blocks):
        part = signal[index * _BLOCK : (index + 1) * _BLOCK]
        block[: part.size] = part
    return fft.rfft(blocks)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _cross_spectrum(reference, processed):  # type: ignore[no-untyped-def]
    """Sum over blocks of reference times the conjugate of processed."""
    total = np.zeros(reference.shape[1], dtype=np.complex128)
    for block in range(reference.shape[0]):
        for k in range(reference.shape[1]):
            total[k] += reference[block, k] * np.conj(processed[block, k])
    return total

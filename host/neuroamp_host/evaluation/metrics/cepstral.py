"""Correlation of the cepstral coefficients of two signals over time, the core of all three metrics.

The spectrum over the 32 bands, in dB above threshold, is projected on half-cosines (basis
functions 2 to 6 of the published metrics; the first, the level, never counts). Each coefficient,
a sequence in time, is filtered into modulation bands (HASPI, HAAQI) or taken as it is (HASQI) and
correlated between reference and processed signal, over the frames where the reference is audible.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from neuroamp_host.evaluation.metrics.ear_model import AUDIBLE_DB_SL, N_BANDS

Array = NDArray[np.float64]

N_COEFFICIENTS = 5
_TINY = 1e-30


def _half_cosines() -> Array:
    order = np.arange(1, N_COEFFICIENTS + 1)[:, None]
    basis = np.cos(order * np.pi * np.arange(N_BANDS) / (N_BANDS - 1))
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)


_BASIS = _half_cosines()  # [5, 32]


def audible_frames(level_db_sl: Array) -> NDArray[np.int64]:
    """Frames whose loudness, the mean over bands of 10^(level / 20), exceeds 2.5 dB.

    Args:
        level_db_sl: levels above threshold, [32, frames].
    """
    loudness = np.mean(10.0 ** (level_db_sl / 20.0), axis=0)
    return np.flatnonzero(20.0 * np.log10(loudness) > AUDIBLE_DB_SL)


class CepstralReference:
    """The reference's cepstral coefficients, ready to be compared with many processed signals."""

    def __init__(
        self, level_db_sl: Array, frames: NDArray[np.int64], filters: list[Array] | None = None
    ) -> None:
        """Prepare the comparison over some frames.

        Args:
            level_db_sl: the reference's smoothed levels above threshold, [32, frames].
            frames: those to compare, at least 2.
            filters: modulation filters, each symmetric with an odd number of taps; None for the
                coefficients as they are.
        """
        self._frames = frames
        self._filter_spectra: NDArray[np.complex128] | None = None
        if filters is not None:
            longest = max(taps.size for taps in filters)
            self._n_transform = fft.next_fast_len(frames.size + longest // 2, real=True)
            centred = np.zeros((len(filters), 1, self._n_transform))
            for row, taps in zip(centred[:, 0], filters, strict=True):
                half = min(taps.size // 2, self._n_transform // 2)
                for k in range(-half, half + 1):
                    row[k] += taps[taps.size // 2 + k]
            self._filter_spectra = fft.rfft(centred)
        self._reference = self._modulations(level_db_sl)
        self._energy = np.sum(self._reference**2, axis=-1)

    def correlation(self, level_db_sl: Array) -> Array:
        """Magnitude of the correlation of each coefficient in each modulation band, 0 to 1.

        Args:
            level_db_sl: the processed signal's smoothed levels above threshold, [32, frames].

        Returns:
            [modulation bands (1 without filters), 5]; 0 where either side does not vary.
        """
        processed = self._modulations(level_db_sl)
        energy = np.sum(processed**2, axis=-1)
        product = np.abs(np.sum(self._reference * processed, axis=-1))
        varies = (self._energy >= _TINY) & (energy >= _TINY)
        scale = np.sqrt(np.where(varies, self._energy * energy, 1.0))
        return np.where(varies, product / scale, 0.0)

    def _modulations(self, level_db_sl: Array) -> Array:
        """Coefficients without their mean, filtered and again without it, [filters, 5, frames]."""
        cepstra = _BASIS @ level_db_sl[:, self._frames]
        cepstra -= np.mean(cepstra, axis=-1, keepdims=True)
        if self._filter_spectra is None:
            return cepstra[None]
        spectra = fft.rfft(cepstra, self._n_transform)
        filtered = fft.irfft(self._filter_spectra * spectra, self._n_transform)
        modulations = filtered[..., : self._frames.size]
        return modulations - np.mean(modulations, axis=-1, keepdims=True)

"""The output limiter: always last, always on, and no fitting can lift it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.fitting import MPO_RANGE_DB_SPL
from neuroamp.units import pascal_from_db_spl

Floats = NDArray[np.float64]

RELEASE_S = 0.05


def ceiling_pa(mpo_db_spl: float) -> float:
    """Peak pressure, pascals, of a sine at `mpo_db_spl`, clamped to the device's own range.

    A level that is not a number gives the lowest ceiling.
    """
    low, high = MPO_RANGE_DB_SPL
    level = min(max(mpo_db_spl, low), high) if mpo_db_spl == mpo_db_spl else low
    return float(np.sqrt(2.0) * pascal_from_db_spl(level))


class Limiter:
    """Peak limiter without delay: instantaneous attack, 50 ms release, hard ceiling.

    No output sample is above the ceiling in magnitude, whatever comes in; NaN and infinity
    come out as silence.
    """

    def __init__(self, sample_rate_hz: float, mpo_db_spl: float) -> None:
        self._release = float(np.exp(-1.0 / (RELEASE_S * sample_rate_hz)))
        self._gain = 1.0
        self.set_mpo(mpo_db_spl)

    def set_mpo(self, mpo_db_spl: float) -> None:
        """A new maximum power output, dB SPL of a sine; clamped to the device's own range."""
        self._ceiling = ceiling_pa(mpo_db_spl)

    def process(self, signal_pa: ArrayLike) -> Floats:
        """Limited signal of the same shape [samples], pascals."""
        signal = np.asarray(signal_pa, dtype=np.float64)
        out = np.where(np.isfinite(signal), signal, 0.0)
        # Far below the ceiling and fully released, the gain is one for the whole block.
        if self._gain == 1.0 and (out.size == 0 or np.abs(out).max() <= self._ceiling):
            return out
        gain = self._gain
        for i, sample in enumerate(out):
            gain = 1.0 - (1.0 - gain) * self._release
            if gain > 1.0 - 1e-6:
                gain = 1.0
            if abs(sample) * gain > self._ceiling:
                gain = self._ceiling / abs(sample)
            out[i] = sample * gain
        self._gain = gain
        return np.clip(out, -self._ceiling, self._ceiling)

"""Physical units: sound pressure in pascals, levels in dB SPL (re 20 micropascals)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

REFERENCE_PRESSURE_PA = 20e-6
"""0 dB SPL, in pascals RMS (ISO 1683)."""


def db_spl_from_pascal(rms_pa: ArrayLike, floor_db: float = -200.0) -> NDArray[np.float64]:
    """Level in dB SPL of an RMS pressure in pascals, never below `floor_db`."""
    rms = np.maximum(np.abs(np.asarray(rms_pa, dtype=np.float64)), 1e-30)
    return np.maximum(20.0 * np.log10(rms / REFERENCE_PRESSURE_PA), floor_db)


def pascal_from_db_spl(level_db: ArrayLike) -> NDArray[np.float64]:
    """RMS pressure in pascals of a level in dB SPL."""
    return REFERENCE_PRESSURE_PA * 10.0 ** (np.asarray(level_db, dtype=np.float64) / 20.0)


def level_db_spl(signal_pa: ArrayLike) -> float:
    """Level in dB SPL of a whole signal in pascals (RMS over all samples of all axes)."""
    signal = np.asarray(signal_pa, dtype=np.float64)
    if signal.size == 0:
        return -200.0
    return float(db_spl_from_pascal(np.sqrt(np.mean(signal**2))))

"""Checks of what the metrics are given: signals in pascals and thresholds in dB HL."""

import numpy as np
from neuroamp.errors import NeuroampError
from neuroamp.units import level_db_spl
from numpy.typing import ArrayLike, NDArray


def checked_signal(signal_pa: ArrayLike, name: str) -> NDArray[np.float64]:
    """The signal as float64 [n]; NeuroampError when it is not one finite channel."""
    signal = np.asarray(signal_pa, dtype=np.float64)
    if signal.ndim != 1 or signal.size == 0:
        raise NeuroampError(
            f"the {name} signal has shape {signal.shape} where one channel of samples [n] is "
            "expected: score each ear by itself."
        )
    if not np.all(np.isfinite(signal)):
        raise NeuroampError(
            f"the {name} signal holds {np.count_nonzero(~np.isfinite(signal))} samples that are "
            "not finite: check the processing that made it."
        )
    return signal


def checked_reference(reference_pa: ArrayLike) -> NDArray[np.float64]:
    """The reference as float64 [n]; NeuroampError also when it is digital silence."""
    reference = checked_signal(reference_pa, "reference")
    if not np.any(reference):
        raise NeuroampError(
            "the reference signal is silent, and nothing can be compared with silence: leave "
            "this item out, or give the clean signal."
        )
    return reference


def checked_thresholds(thresholds_db_hl: ArrayLike) -> NDArray[np.float64]:
    """Thresholds in dB HL as float64 [6]; NeuroampError for another shape or missing values."""
    thresholds = np.asarray(thresholds_db_hl, dtype=np.float64)
    if thresholds.shape != (6,) or not np.all(np.isfinite(thresholds)):
        raise NeuroampError(
            f"the thresholds {thresholds.tolist()} are not six finite values in dB HL: give them "
            "at 250, 500, 1000, 2000, 4000 and 6000 Hz."
        )
    return thresholds


def below_threshold_error(reference_pa: NDArray[np.float64]) -> NeuroampError:
    """For a reference that HASPI cannot use: not even a normal ear would hear it."""
    return NeuroampError(
        f"the reference signal has {level_db_spl(reference_pa):.0f} dB SPL, too soft for a normal "
        "ear to hear, so HASPI is not defined: give it in pascals at a speech level such as "
        "65 dB SPL."
    )

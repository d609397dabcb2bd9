"""From a sound card's rate to the model's and back: the filter that the core's resampler takes.

Down and up use the same filter with linear phase, so that both together are late by a whole, known
number of the card's samples: 52 at 48 kHz, 1.1 ms. A steeper filter would be later. This one is
flat to 6.5 kHz and 0.8 dB down at 7 kHz, down and up together; what lies above 9.5 kHz and would
fold back below 6.5 kHz is 50 dB down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuroamp.errors import NeuroampError

FACTORS = (1, 2, 3, 6)
"""Multiples of the model's rate that a sound card may run at: 16, 32, 48 and 96 kHz."""

HALF_LENGTH = 26.0 / 3.0
"""Of the filter, in samples of the model's rate."""

KAISER_BETA = 4.5


def factor_of(device_rate_hz: int, model_rate_hz: int) -> int:
    """How many samples of the device one of the model is.

    Raises:
        NeuroampError: the device's rate is not one of `FACTORS` times the model's.
    """
    factor, rest = divmod(device_rate_hz, model_rate_hz)
    if rest or factor not in FACTORS:
        allowed = ", ".join(str(model_rate_hz * factor) for factor in FACTORS)
        raise NeuroampError(
            f"the rate is {device_rate_hz} Hz but must be one of {allowed} Hz; choose one that the "
            "device has."
        )
    return factor


def lowpass(factor: int) -> NDArray[np.float32]:
    """The filter of a factor above 1, shape [taps], symmetric, its sum 1, its edge at half the
    model's rate; an odd number of taps."""
    half = round(HALF_LENGTH * factor)
    n = np.arange(-half, half + 1)
    taps = np.sinc(n / factor) * np.kaiser(n.size, KAISER_BETA)
    return (taps / taps.sum()).astype(np.float32)


def delay_samples(factor: int) -> int:
    """Delay of down and up together, samples of the device's rate; 0 without resampling."""
    return 0 if factor == 1 else lowpass(factor).size - 1

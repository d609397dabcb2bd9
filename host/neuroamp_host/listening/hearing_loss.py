"""What an impaired ear hears, for normal ears: the MSBG simulation, with its levels kept.

pyclarity's implementation of the Cambridge simulation (Moore, Stone, Baer, Glasberg; Nejime and
Moore 1997), which the paper uses (IV-D).
"""

from __future__ import annotations

import logging

import numpy as np
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ, Audiogram
from neuroamp.units import pascal_from_db_spl
from numpy.typing import NDArray

from neuroamp_host.corpora.audio import resample

SAMPLE_RATE_HZ = 44100
"""The only one that the simulation takes."""

FULL_SCALE_DB_SPL = 120.0
"""Level that the simulation takes an RMS of 1 for."""

WORST_DB_HL = 80.0
"""Thresholds that the simulation is good for; worse ones are simulated as this."""


def simulate_hearing_loss(
    sound_pa: NDArray[np.float64], sample_rate_hz: float, audiogram: Audiogram
) -> NDArray[np.float64]:
    """What a normal ear must hear to be in the place of an impaired one.

    Args:
        sound_pa: at the impaired ear, pascals, [samples].
        sample_rate_hz: of the sound.
        audiogram: of the impaired ear.

    Returns:
        Pascals at `SAMPLE_RATE_HZ`, as long as the sound and what its filters ring on for.
    """
    from clarity.evaluator.msbg.msbg import Ear
    from clarity.utils.audiogram import Audiogram as ClarityAudiogram

    full_scale_pa = pascal_from_db_spl(FULL_SCALE_DB_SPL)
    signal = resample((sound_pa / full_scale_pa).astype(np.float32), sample_rate_hz, SAMPLE_RATE_HZ)
    levels = np.minimum(audiogram.six_point(), WORST_DB_HL)
    # It tells its steps to the root logger.
    logger, level = logging.getLogger(), logging.getLogger().level
    logger.setLevel(logging.ERROR)
    try:
        ear = Ear(src_pos="ff", sample_rate=SAMPLE_RATE_HZ, equiv_0db_spl=100.0, ahr=20.0)
        ear.set_audiogram(
            ClarityAudiogram(levels=levels, frequencies=np.array(STANDARD_FREQUENCIES_HZ))
        )
        heard = ear.process(signal.astype(np.float64))[0]
    finally:
        logger.setLevel(level)
    return np.asarray(heard, dtype=np.float64) * full_scale_pa

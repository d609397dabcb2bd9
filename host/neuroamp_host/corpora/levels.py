"""Levels of speech and noise, and mixing them at a signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np
from neuroamp import units
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray

FRAME_SAMPLES = 256
"""Frames of the active level: 16 ms at 16 kHz, the time constant's order of ITU-T P.56."""

ACTIVITY_MARGIN_DB = 15.9
"""A frame is active when it is less than this below the active level (ITU-T P.56, section 5)."""


def active_level_db_spl(signal_pa: NDArray[np.floating]) -> float:
    """Active level in dB SPL of a signal [n] in pascals: its level without the pauses.

    The mean power of the 16 ms frames that lie no more than 15.9 dB below it: the definition of
    ITU-T P.56 (method B) on frame powers in place of its envelope and hangover. Found by
    iteration from the level of the whole. Steady sounds have the same active and whole level.
    -200 for silence.
    """
    whole = signal_pa.size // FRAME_SAMPLES * FRAME_SAMPLES
    if whole == 0:
        return units.level_db_spl(signal_pa)
    frames = signal_pa[:whole].reshape(-1, FRAME_SAMPLES)
    power = np.einsum("fn,fn->f", frames, frames, dtype=np.float64) / FRAME_SAMPLES
    active = float(power.mean())
    if active == 0.0:
        return units.level_db_spl(signal_pa)
    margin = 10.0 ** (-ACTIVITY_MARGIN_DB / 10.0)
    # Each round drops frames and so raises the level: it ends when none is dropped.
    while (next_active := float(power[power >= active * margin].mean())) > active * (1 + 1e-9):
        active = next_active
    return float(units.db_spl_from_pascal(math.sqrt(active)))


def set_level(signal_pa: NDArray[np.float32], level_db_spl: float) -> NDArray[np.float32]:
    """The signal [n] scaled to an active level in dB SPL.

    Raises:
        NeuroampError: the signal is silent: no gain gives it a level.
    """
    now = active_level_db_spl(signal_pa)
    if now <= -200.0:
        raise NeuroampError(
            f"a silent signal cannot be set to {level_db_spl:g} dB SPL; leave its file out."
        )
    return signal_pa * np.float32(10.0 ** ((level_db_spl - now) / 20.0))


def mix_at_snr(
    speech_pa: NDArray[np.float32], noise_pa: NDArray[np.float32], snr_db: float
) -> NDArray[np.float32]:
    """Speech plus noise scaled so that the ratio is `snr_db`; both [n], pascals.

    The ratio is that of the speech's active level to the noise's level (plain RMS over the n
    samples), as in VoiceBank+DEMAND (Valentini-Botinhao et al., SSW 2016). inf adds no noise.

    Raises:
        NeuroampError: the lengths differ, or speech or noise is silent.
    """
    if speech_pa.shape != noise_pa.shape:
        raise NeuroampError(
            f"speech has the shape {speech_pa.shape} but noise {noise_pa.shape}; cut them alike."
        )
    if snr_db == math.inf:
        return speech_pa.copy()
    return speech_pa + scaled_noise(noise_pa, active_level_db_spl(speech_pa) - snr_db)


def scaled_noise(noise_pa: NDArray[np.float32], level_db_spl: float) -> NDArray[np.float32]:
    """Noise [n] scaled to an RMS level in dB SPL.

    Raises:
        NeuroampError: the noise is silent.
    """
    now = units.level_db_spl(noise_pa)
    if now <= -200.0:
        raise NeuroampError(
            f"silent noise cannot be set to {level_db_spl:g} dB SPL; leave its file out."
        )
    return noise_pa * np.float32(10.0 ** ((level_db_spl - now) / 20.0))

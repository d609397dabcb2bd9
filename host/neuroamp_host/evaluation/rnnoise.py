"""A published denoiser to compare with: RNNoise (Valin 2018), from the package `pyrnnoise`.

It works on 10 ms frames at 48 kHz with 30 ms of delay and knows nothing of a hearing loss.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

RATE_HZ = 48000
FRAME = 480
DELAY = 960
"""Samples by which its output is late, its look-ahead included."""

SPEECH_RE_FULL_SCALE_DB = -26.0
"""Level that it is given every sound at: the usual level of telephone speech (ITU-T P.56)."""


def denoise(sound_pa: NDArray[np.float64], sample_rate_hz: int = 16000) -> NDArray[np.float64]:
    """The sound [samples], pascals, with less noise, at the level it had; the delay taken off."""
    from pyrnnoise import rnnoise

    rms = float(np.sqrt(np.mean(sound_pa**2)))
    if rms == 0.0:
        return sound_pa.copy()
    scale = 10.0 ** (SPEECH_RE_FULL_SCALE_DB / 20.0) / rms
    fast = soxr.resample(sound_pa * scale, sample_rate_hz, RATE_HZ)
    frames = -(-(fast.size + DELAY) // FRAME)
    padded = np.zeros(frames * FRAME)
    padded[: fast.size] = np.clip(fast, -1.0, 1.0)
    state = rnnoise.create()
    try:
        out = [
            np.asarray(rnnoise.process_mono_frame(state, frame.astype(np.float32))[0]).reshape(-1)
            for frame in padded.reshape(frames, FRAME)
        ]
    finally:
        rnnoise.destroy(state)
    late = np.concatenate(out).astype(np.float64) / 32768.0
    slow = soxr.resample(late[DELAY : DELAY + fast.size], RATE_HZ, sample_rate_hz)
    denoised = np.zeros_like(sound_pa)
    count = min(slow.size, denoised.size)
    denoised[:count] = slow[:count] / scale
    return denoised

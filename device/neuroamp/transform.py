"""Analysis and synthesis: windowed FFT frames and overlap-add with an exact, known delay.

The product of the two windows overlap-adds to one, so that an unmodified spectrum gives back
the input delayed by exactly `profile.delay_samples`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.profile import Profile

Floats = NDArray[np.float64]
Spectrum = NDArray[np.complex128]


def windows(profile: Profile) -> tuple[Floats, Floats]:
    """Analysis and synthesis window, each of shape [frame_length].

    'asymmetric' follows Mauler & Martin (2007, 'A low delay, variable resolution, perfect
    reconstruction spectral analysis-synthesis system', EUSIPCO): a long rising half, a falling
    half as short as the hop, and a synthesis window that is zero but for its last
    `synthesis_length` samples. 'hamming' is the paper's: the Hamming window both ways,
    divided by the sum of its overlapping squares (Griffin & Lim 1984, eq. 6).
    """
    length, hop = profile.frame_length, profile.hop
    if profile.window == "hamming":
        analysis = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(length) / length)
        overlap = (analysis**2).reshape(-1, hop).sum(axis=0)
        return analysis, analysis / np.tile(overlap, length // hop)
    long_half = np.sin(np.pi / 2 * (np.arange(length - hop) + 0.5) / (length - hop))
    short_half = np.cos(np.pi / 2 * (np.arange(hop) + 0.5) / hop)
    analysis = np.concatenate([long_half, short_half])
    rising = np.sin(np.pi / 2 * (np.arange(hop) + 0.5) / hop)
    synthesis = np.zeros(length)
    synthesis[length - 2 * hop : length - hop] = rising**2 / analysis[length - 2 * hop : -hop]
    synthesis[length - hop :] = short_half
    return analysis, synthesis


def power_scale(profile: Profile) -> Floats:
    """Factor per bin, shape [bins], that turns |X|^2 into mean square pressure, Pa^2.

    With it the bins of a stationary signal add up to its mean square (Parseval).
    """
    analysis, _ = windows(profile)
    scale = np.full(profile.bins, 2.0 / (profile.frame_length * np.sum(analysis**2)))
    scale[[0, -1]] *= 0.5
    return scale


class Analysis:
    """Streaming analysis: one hop of samples in, one spectrum out."""

    def __init__(self, profile: Profile) -> None:
        self._window = windows(profile)[0]
        self._hop = profile.hop
        self._frame = np.zeros(profile.frame_length)

    def push(self, hop_pa: ArrayLike) -> Spectrum:
        """Spectrum, shape [bins], of the latest frame after `hop_pa`, shape [hop], pascals."""
        self._frame[: -self._hop] = self._frame[self._hop :]
        self._frame[-self._hop :] = hop_pa
        return np.fft.rfft(self._frame * self._window)


class Synthesis:
    """Streaming synthesis: one spectrum in, one hop of finished samples out."""

    def __init__(self, profile: Profile) -> None:
        self._window = windows(profile)[1][-profile.synthesis_length :]
        self._hop = profile.hop
        self._length = profile.frame_length
        self._sum = np.zeros(profile.synthesis_length)

    def push(self, spectrum: Spectrum) -> Floats:
        """The next finished hop, shape [hop], pascals, after a spectrum of shape [bins]."""
        frame = np.fft.irfft(spectrum, n=self._length)
        self._sum += frame[-self._sum.size :] * self._window
        finished = self._sum[: self._hop].copy()
        self._sum[: -self._hop] = self._sum[self._hop :]
        self._sum[-self._hop :] = 0.0
        return finished


def stft(profile: Profile, signal_pa: ArrayLike, every: int = 1) -> Spectrum:
    """All spectra of a signal [..., samples], shape [..., frames, bins]; equals `Analysis`.

    Frame t is the spectrum after the samples up to (t * every + 1) * hop: with `every` =
    `profile.hops_per_step` these are the frames that the net hears. An incomplete last hop is
    dropped.
    """
    signal = np.asarray(signal_pa, dtype=np.float64)
    frames = signal.shape[-1] // profile.hop
    history = profile.frame_length - profile.hop
    padding = [(0, 0)] * (signal.ndim - 1) + [(history, 0)]
    padded = np.pad(signal[..., : frames * profile.hop], padding)
    view = np.lib.stride_tricks.sliding_window_view(padded, profile.frame_length, axis=-1)
    return np.fft.rfft(view[..., :: profile.hop * every, :] * windows(profile)[0])


def istft(profile: Profile, spectra: Spectrum) -> Floats:
    """Signal of shape [frames * hop] from spectra [frames, bins]; equals `Synthesis`.

    The signal is late by `synthesis_length - hop` samples: streaming adds the buffering of
    one hop, which a whole recording does not need.
    """
    synthesis = Synthesis(profile)
    return np.concatenate([synthesis.push(spectrum) for spectrum in spectra])

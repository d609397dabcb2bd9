"""The two enhancers whose output the paper amplifies as 'enhanced speech' (IV-A).

Each takes noisy sound and gives sound with less noise, at any level, without a listener: one on
short-time spectra (after Sun et al. 2017, the paper's reference [43]), one on the waveform (after
Fu et al. 2017, reference [27]). They prepare data for evaluation and training, whole signals at a
time; nothing of them runs in the aid.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from neuroamp.profile import PAPER
from neuroamp.transform import windows
from torch import Tensor, nn

from neuroamp_host.networks.bounded_lstm import LstmStack

SOFTEST_PA = 2e-5
"""Signals are brought to a level of one before a net; none softer than this is made louder."""

LSTM_WIDTHS = (128, 128)
FCN_FILTERS = 30
FCN_TAPS = 55
FCN_LAYERS = 6


class Enhancer(nn.Module):
    """Noisy signals [batch, samples], pascals at 16 kHz, to enhanced ones, the same shape."""

    def forward(self, noisy_pa: Tensor) -> Tensor:
        """The enhanced signals; each signal's level goes around the net."""
        level = noisy_pa.square().mean(dim=1, keepdim=True).sqrt().clamp(min=SOFTEST_PA)
        return self.enhance(noisy_pa / level) * level

    def enhance(self, noisy: Tensor) -> Tensor:
        """Of signals with an RMS of one."""
        raise NotImplementedError

    def loss(self, noisy_pa: Tensor, clean_pa: Tensor) -> Tensor:
        """What training minimises, relative to the noisy signal's level."""
        raise NotImplementedError


class SpectralEnhancer(Enhancer):
    """LSTM layers from log-magnitudes to a mask on the magnitudes; the phase stays noisy.

    The paper profile's frames: 32 ms, 16 ms apart. Minimised is the mean squared error of the
    log-magnitudes.
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in zip(("analysis", "synthesis"), windows(PAPER), strict=True):
            self.register_buffer(name, torch.from_numpy(np.float32(values)), persistent=False)
        self.layers = LstmStack(PAPER.bins, LSTM_WIDTHS)
        self.output_layer = nn.Linear(self.layers.output_width, PAPER.bins)

    def enhance(self, noisy: Tensor) -> Tensor:
        """See `Enhancer`."""
        spectra = self._spectra(noisy)
        frames = torch.fft.irfft(spectra * self._mask(spectra), PAPER.frame_length) * self.synthesis
        joined = nn.functional.fold(
            frames.transpose(1, 2),
            (1, (frames.shape[1] + 1) * PAPER.hop),
            (1, PAPER.frame_length),
            stride=(1, PAPER.hop),
        )
        return joined[:, 0, 0, PAPER.hop : PAPER.hop + noisy.shape[1]]

    def loss(self, noisy_pa: Tensor, clean_pa: Tensor) -> Tensor:
        """See `Enhancer`."""
        level = noisy_pa.square().mean(dim=1, keepdim=True).sqrt().clamp(min=SOFTEST_PA)
        noisy, clean = self._spectra(noisy_pa / level), self._spectra(clean_pa / level)
        enhanced = noisy * self._mask(noisy)
        return (_log_magnitude(enhanced) - _log_magnitude(clean)).square().mean()

    def _mask(self, spectra: Tensor) -> Tensor:
        return torch.sigmoid(self.output_layer(self.layers(_log_magnitude(spectra))))

    def _spectra(self, signal: Tensor) -> Tensor:
        """Spectra [batch, frames, bins]; every sample lies in two frames."""
        hop = PAPER.hop
        padded = nn.functional.pad(signal, (hop, hop + -signal.shape[1] % hop))
        return torch.fft.rfft(padded.unfold(-1, PAPER.frame_length, hop) * self.analysis)


class WaveformEnhancer(Enhancer):
    """Convolutions over the waveform, none of them strided; minimised is the mean absolute error.

    A layer has 30 filters of 55 taps, normalised and rectified leakily; the last has one.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for _ in range(FCN_LAYERS - 1):
            layers += [
                nn.Conv1d(channels, FCN_FILTERS, FCN_TAPS, padding="same"),
                nn.InstanceNorm1d(FCN_FILTERS, affine=True),
                nn.LeakyReLU(0.3),
            ]
            channels = FCN_FILTERS
        layers.append(nn.Conv1d(channels, 1, FCN_TAPS, padding="same"))
        self.layers = nn.Sequential(*layers)

    def enhance(self, noisy: Tensor) -> Tensor:
        """See `Enhancer`."""
        enhanced: Tensor = self.layers(noisy[:, None])[:, 0]
        return enhanced

    def loss(self, noisy_pa: Tensor, clean_pa: Tensor) -> Tensor:
        """See `Enhancer`."""
        level = noisy_pa.square().mean(dim=1, keepdim=True).sqrt().clamp(min=SOFTEST_PA)
        return (self.enhance(noisy_pa / level) - clean_pa / level).abs().mean()


def _log_magnitude(spectra: Tensor) -> Tensor:
    """ln(1 + m) of spectra of signals with an RMS of one, smooth in silence."""
    power = spectra.real.square() + spectra.imag.square()
    return torch.log1p((power + 1e-8).sqrt())


ENHANCERS: dict[str, Callable[[], Enhancer]] = {
    "enhancer-lstm": SpectralEnhancer,
    "enhancer-fcn": WaveformEnhancer,
}
"""The enhancers by name, freshly initialised; seed torch first for a reproducible start."""

"""What training minimises.

The paper's nets minimise the mean squared error of the amplified spectrum (Eq. 6 and 8). For
the wearable net that error over-suppresses: it counts inaudible errors in full and lost speech
like left-over noise. `WearLoss` compares what the listener hears: levels above that ear's
threshold, the modulation of the audible spectral envelope (what HASPI and HASQI correlate), and
the compressed complex spectrum (the waveform, phase included).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from neuroamp.bands import band_frequencies_hz, band_matrix
from neuroamp.features import AUDIOGRAM_SPAN_DB
from neuroamp.profile import Profile
from neuroamp.transform import power_scale
from neuroamp.units import REFERENCE_PRESSURE_PA
from torch import Tensor

THRESHOLD_HZ = (125, 250, 500, 1000, 2000, 3150, 4000, 6300, 8000)
THRESHOLD_DB_SPL = (22.1, 11.4, 4.4, 2.4, -1.3, -6.0, -5.4, 6.0, 12.6)
"""Threshold of normal hearing, dB SPL, free field (ISO 389-7)."""

AUDIOGRAM_HZ = (250, 500, 1000, 2000, 4000, 6000)
CEPSTRA = (1, 2, 3, 4, 5)
"""Cosine terms across bands whose modulations HASPI correlates (Kates & Arehart 2021)."""

SMOOTHING_S = (0.008, 0.02, 0.05, 0.12, 0.4)
"""Edges of the modulation bands: each is the difference of two smoothings of the envelope."""

SILENCE_DB = 2.5
"""Frames whose mean sensation level in the reference is below this do not count, as in HASPI."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """Shares of the terms of `WearLoss`, and the cost of lost speech against left-over noise."""

    audible: float
    envelope: float
    waveform: float
    lost_speech: float


class WearLoss:
    """Loss of a 'band-gain' net on short-time spectra.

    Args:
        profile: the net's profile.
        weights: shares of the terms.
    """

    def __init__(self, profile: Profile, weights: Weights) -> None:
        self._weights = weights
        scale = power_scale(profile) / REFERENCE_PRESSURE_PA**2
        self._bands = torch.from_numpy((band_matrix(profile) * scale).T).float()
        centres = np.log(np.maximum(band_frequencies_hz(profile), 60.0))
        self._normal = torch.from_numpy(
            np.interp(centres, np.log(THRESHOLD_HZ), THRESHOLD_DB_SPL)
        ).float()
        audiogram_rows = [np.interp(centres, np.log(AUDIOGRAM_HZ), row) for row in np.eye(6)]
        self._from_audiogram = torch.from_numpy(np.stack(audiogram_rows)).float()
        band = (np.arange(profile.bands) + 0.5) / profile.bands
        cosines = np.cos(np.pi * np.outer(CEPSTRA, band))
        self._cepstrum = torch.from_numpy(cosines.T / profile.bands).float()
        lengths = [max(1, round(seconds / profile.step_seconds)) for seconds in SMOOTHING_S]
        self._kernels = [torch.hann_window(n + 2, periodic=False)[1:-1] for n in lengths]

    def __call__(
        self, output: Tensor, target: Tensor, clean: Tensor, audiogram: Tensor
    ) -> dict[str, Tensor]:
        """The terms and their weighted sum under 'loss'.

        Args:
            output: amplified spectra, complex [batch, frames, bins], pascals.
            target: the prescription's amplification of the clean signal, same shape.
            clean: the clean signal, not amplified, same shape.
            audiogram: [batch, 6], dB HL / 100.
        """
        loss_db_hl = (audiogram * AUDIOGRAM_SPAN_DB) @ self._from_audiogram
        impaired = (self._normal + loss_db_hl.clamp(min=0.0))[:, None, :]
        heard = self._sensation_db(output, impaired)
        wanted = self._sensation_db(target, impaired)
        terms = {
            "audible": self._audible(heard, wanted),
            "envelope": self._envelope(heard, self._sensation_db(clean, self._normal))
            + self._envelope(heard, wanted),
            "waveform": self._waveform(output, target),
        }
        weights = self._weights
        terms["loss"] = (
            weights.audible * terms["audible"]
            + weights.envelope * terms["envelope"]
            + weights.waveform * terms["waveform"]
        )
        return terms

    def _sensation_db(self, spectra: Tensor, threshold_db_spl: Tensor) -> Tensor:
        """Band levels in dB above threshold, [batch, frames, bands], smooth down to 0."""
        power = (spectra.real**2 + spectra.imag**2) @ self._bands
        return 10.0 * torch.log10(1.0 + power * 10.0 ** (-threshold_db_spl / 10.0))

    def _audible(self, heard: Tensor, wanted: Tensor) -> Tensor:
        error = (heard - wanted) / 10.0
        cost = torch.where(error < 0.0, self._weights.lost_speech, 1.0)
        return (
            cost * torch.nn.functional.huber_loss(error, torch.zeros_like(error), "none")
        ).mean()

    def _envelope(self, heard: Tensor, wanted: Tensor) -> Tensor:
        """One minus the mean correlation of cepstral modulations, over sounding frames."""
        sounding = (wanted.mean(dim=2) > SILENCE_DB).to(wanted.dtype)[:, None, :]
        heard, wanted = heard @ self._cepstrum, wanted @ self._cepstrum
        slow_heard = [self._smooth(heard, kernel) for kernel in self._kernels]
        slow_wanted = [self._smooth(wanted, kernel) for kernel in self._kernels]
        bands = len(self._kernels) - 1
        total = heard.new_zeros(())
        for fast in range(bands):
            a = (slow_heard[fast] - slow_heard[fast + 1]) * sounding
            b = (slow_wanted[fast] - slow_wanted[fast + 1]) * sounding
            # The small constant keeps silence, whose correlation means nothing, from counting.
            power = (a.square().mean(dim=2) + 1e-3) * (b.square().mean(dim=2) + 1e-3)
            total = total + 1.0 - ((a * b).mean(dim=2) / power.sqrt()).mean()
        return total / bands

    @staticmethod
    def _smooth(sequence: Tensor, kernel: Tensor) -> Tensor:
        """[batch, frames, channels] smoothed over frames, as [batch, channels, frames]."""
        rows = sequence.transpose(1, 2)
        flat = rows.reshape(-1, 1, rows.shape[2])
        left = (kernel.numel() - 1) // 2
        padded = torch.nn.functional.pad(flat, (left, kernel.numel() - 1 - left), mode="replicate")
        weights = (kernel / kernel.sum()).view(1, 1, -1)
        return torch.nn.functional.conv1d(padded, weights).view_as(rows)

    @staticmethod
    def _waveform(output: Tensor, target: Tensor) -> Tensor:
        """Squared error of magnitude^0.3 with phase, relative to the target's power.

        The batch's mean power in the denominator keeps silent targets from ruling the sum.
        """
        small = 1e-6
        compressed = []
        for spectra in (output, target):
            power = spectra.real**2 + spectra.imag**2 + small**2
            compressed.append(spectra * power ** ((0.3 - 1.0) / 2.0))
        error = (compressed[0] - compressed[1]).abs().square().mean(dim=(1, 2))
        reference = compressed[1].abs().square().mean(dim=(1, 2))
        return (error / (reference + reference.mean() + small)).mean()


def magnitude_error(output: Tensor, target: Tensor) -> Tensor:
    """The paper's mean squared error (Eq. 6, 8) of log-magnitudes [batch, frames, bins]."""
    return (output - target).square().mean()

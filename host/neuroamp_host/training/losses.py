"""What training minimises.

The paper's nets minimise the mean squared error of the amplified spectrum (Eq. 6 and 8). For
the wearable net that error over-suppresses: it counts inaudible errors in full and lost speech
like left-over noise. `WearLoss` compares what the listener hears: levels above that ear's
threshold, the modulation of the audible spectral envelope (what HASPI correlates), that envelope
as a whole and the long-term spectrum (what HASQI multiplies), and the compressed complex spectrum
(the waveform, phase included).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from neuroamp.bands import band_frequencies_hz, band_matrix
from neuroamp.features import AUDIOGRAM_SPAN_DB, LOG_MAGNITUDE_SPAN, MOST_MAGNITUDE
from neuroamp.profile import Profile
from neuroamp.transform import power_scale
from neuroamp.units import REFERENCE_PRESSURE_PA
from numpy.typing import NDArray
from torch import Tensor, nn

THRESHOLD_HZ = (125, 250, 500, 1000, 2000, 3150, 4000, 6300, 8000)
THRESHOLD_DB_SPL = (22.1, 11.4, 4.4, 2.4, -1.3, -6.0, -5.4, 6.0, 12.6)
"""Threshold of normal hearing, dB SPL, free field (ISO 389-7)."""

AUDIOGRAM_HZ = (250, 500, 1000, 2000, 4000, 6000)
CEPSTRA = (1, 2, 3, 4, 5)
"""Cosine terms across bands whose modulations HASPI correlates (Kates & Arehart 2021)."""

SMOOTHING_S = (0.008, 0.02, 0.05, 0.12, 0.4)
"""Edges of the modulation bands: each is the difference of two smoothings of the envelope."""

QUALITY_SMOOTHING_S = 0.016
"""Smoothing of the envelope whose correlation HASQI takes (Kates & Arehart 2014)."""

SYNCHRONY_HZ = 3500.0
"""Up to here the inner hair cells follow the waveform (Kates & Arehart 2014)."""

SILENCE_DB = 2.5
"""Frames whose mean sensation level in the reference is below this do not count, as in HASPI."""


MAGNITUDE_BANDS = 64
"""Bands in which the magnitudes of a 'log-magnitude' net are compared."""

SHORT_TAPS = 8
SPARSE = 4
"""Every so many frames enter the waveform's term: frames of 32 ms hardly differ after 4 ms."""


@dataclasses.dataclass(frozen=True)
class Sounds:
    """What the loss needs to know of a batch, made once, before the net's gains are known.

    Attributes:
        prescribed, target, clean: band powers re 0 dB SPL, [batch, frames, bands]: the noisy
            signal with the prescription's own gains, the amplified wanted signal, the wanted
            signal as it is.
        cross: real part of the first's spectrum times the second's, the same shape and scale.
        prescribed_spectra, target_spectra: every `SPARSE`-th frame, complex
            [batch, frames / SPARSE, bins], pascals.
    """

    prescribed: Tensor
    target: Tensor
    clean: Tensor
    cross: Tensor
    prescribed_spectra: Tensor
    target_spectra: Tensor


@dataclasses.dataclass(frozen=True)
class Weights:
    """Shares of the terms of `WearLoss`, and the cost of lost speech against left-over noise."""

    audible: float
    envelope: float
    waveform: float
    quality: float
    lost_speech: float


class WearLoss(nn.Module):
    """Loss of a 'band-gain' net on short-time spectra.

    Args:
        profile: the net's profile.
        weights: shares of the terms.
    """

    def __init__(self, profile: Profile, weights: Weights) -> None:
        super().__init__()
        self._weights = weights
        scale = power_scale(profile) / REFERENCE_PRESSURE_PA**2
        self._constant("bands", (band_matrix(profile) * scale).T)
        self._constant("to_bins", band_matrix(profile))
        centres = np.log(np.maximum(band_frequencies_hz(profile), 60.0))
        self._constant("normal", np.interp(centres, np.log(THRESHOLD_HZ), THRESHOLD_DB_SPL))
        audiogram_rows = [np.interp(centres, np.log(AUDIOGRAM_HZ), row) for row in np.eye(6)]
        self._constant("from_audiogram", np.stack(audiogram_rows))
        band = (np.arange(profile.bands) + 0.5) / profile.bands
        cosines = np.cos(np.pi * np.outer(CEPSTRA, band))
        self._constant("cepstrum", cosines.T / profile.bands)
        for index, seconds in enumerate(SMOOTHING_S):
            self._constant(f"kernel{index}", _hann(seconds, profile))
        self._constant("quality_kernel", _hann(QUALITY_SMOOTHING_S, profile))
        centres_hz = band_frequencies_hz(profile)
        synchrony = np.sqrt(SYNCHRONY_HZ**10 / (SYNCHRONY_HZ**10 + centres_hz**10))
        self._constant("synchrony", synchrony)

    def _constant(self, name: str, values: NDArray[np.float64]) -> None:
        """Keeps an array so that it goes with the loss to another device."""
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)).float())

    bands: Tensor
    to_bins: Tensor
    normal: Tensor
    from_audiogram: Tensor
    cepstrum: Tensor
    quality_kernel: Tensor
    synchrony: Tensor

    def sounds(self, prescribed: Tensor, target: Tensor, clean: Tensor) -> Sounds:
        """What of complex spectra [batch, frames, bins], pascals, the loss compares."""
        cross = prescribed.real * target.real + prescribed.imag * target.imag
        return Sounds(
            prescribed=self._power(prescribed),
            target=self._power(target),
            clean=self._power(clean),
            cross=cross @ self.bands,
            prescribed_spectra=prescribed[:, ::SPARSE].contiguous(),
            target_spectra=target[:, ::SPARSE].contiguous(),
        )

    def forward(self, gain_db: Tensor, sounds: Sounds, audiogram: Tensor) -> dict[str, Tensor]:
        """The terms and their weighted sum under 'loss'.

        Args:
            gain_db: what the net adds to the prescription's gain, [batch, frames, bands], dB.
                Within a band it counts as constant.
            sounds: of the batch.
            audiogram: [batch, 6], dB HL / 100.
        """
        factor = torch.exp(gain_db * (math.log(10.0) / 20.0))
        in_bins = torch.exp((gain_db[:, ::SPARSE] @ self.to_bins) * (math.log(10.0) / 20.0))
        return self._terms(
            sounds.prescribed * factor.square(),
            sounds.cross * factor,
            sounds.prescribed_spectra * in_bins,
            sounds,
            audiogram,
        )

    def _terms(
        self, power: Tensor, cross: Tensor, spectra: Tensor, sounds: Sounds, audiogram: Tensor
    ) -> dict[str, Tensor]:
        """The terms of an output with these band powers, real cross powers and spectra."""
        loss_db_hl = (audiogram * AUDIOGRAM_SPAN_DB) @ self.from_audiogram
        impaired = (self.normal + loss_db_hl.clamp(min=0.0))[:, None, :]
        heard = _sensation_db(power, impaired)
        wanted = _sensation_db(sounds.target, impaired)
        alike = self._fine_structure(cross, power, sounds.target, wanted)
        terms = {
            "audible": self._audible(heard, wanted),
            "envelope": self._envelope(heard, _sensation_db(sounds.clean, self.normal))
            + self._envelope(heard, wanted),
            "waveform": self._waveform(spectra, sounds.target_spectra),
            "quality": self._quality(heard, wanted, alike),
        }
        weights = self._weights
        terms["loss"] = (
            weights.audible * terms["audible"]
            + weights.envelope * terms["envelope"]
            + weights.waveform * terms["waveform"]
            + weights.quality * terms["quality"]
        )
        return terms

    def _power(self, spectra: Tensor) -> Tensor:
        """Band powers re 0 dB SPL, [batch, frames, bands]."""
        return (spectra.real.square() + spectra.imag.square()) @ self.bands

    def _audible(self, heard: Tensor, wanted: Tensor) -> Tensor:
        error = (heard - wanted) / 10.0
        cost = torch.where(error < 0.0, self._weights.lost_speech, 1.0)
        return (
            cost * torch.nn.functional.huber_loss(error, torch.zeros_like(error), "none")
        ).mean()

    def _envelope(self, heard: Tensor, wanted: Tensor) -> Tensor:
        """One minus the mean correlation of cepstral modulations, over sounding frames."""
        sounding = (wanted.mean(dim=2) > SILENCE_DB).to(wanted.dtype)[:, None, :]
        heard, wanted = heard @ self.cepstrum, wanted @ self.cepstrum
        kernels = [getattr(self, f"kernel{index}") for index in range(len(SMOOTHING_S))]
        slow_heard = [self._smooth(heard, kernel) for kernel in kernels]
        slow_wanted = [self._smooth(wanted, kernel) for kernel in kernels]
        bands = len(SMOOTHING_S) - 1
        total = heard.new_zeros(())
        for fast in range(bands):
            a = (slow_heard[fast] - slow_heard[fast + 1]) * sounding
            b = (slow_wanted[fast] - slow_wanted[fast + 1]) * sounding
            # The small constant keeps silence, whose correlation means nothing, from counting.
            power = (a.square().mean(dim=2) + 1e-3) * (b.square().mean(dim=2) + 1e-3)
            total = total + 1.0 - ((a * b).mean(dim=2) / power.sqrt()).mean()
        return total / bands

    def _fine_structure(
        self, cross: Tensor, power: Tensor, target_power: Tensor, wanted: Tensor
    ) -> Tensor:
        """Mean correlation of the bands' waveforms over audible stretches of 16 ms, [batch].

        As HASQI's, it counts less where the hair cells no longer follow the waveform.
        """
        kernel = self.quality_kernel
        both = self._smooth(power, kernel) * self._smooth(target_power, kernel)
        correlation = self._smooth(cross, kernel) / (both + 1e-3).sqrt()
        audible = (self._smooth(wanted, kernel) > SILENCE_DB).to(wanted.dtype)
        weight = audible * self.synchrony[None, :, None]
        total = weight.sum(dim=(1, 2)).clamp(min=1.0)
        return (weight * correlation.clamp(min=0.0)).sum(dim=(1, 2)) / total

    def _quality(self, heard: Tensor, wanted: Tensor, alike: Tensor) -> Tensor:
        """One minus a differentiable likeness of HASQI.

        HASQI multiplies the squared correlation of the envelope's cepstrum over sounding frames,
        the correlation of the fine structure (`alike`, [batch]) and a measure of the long-term
        spectrum's shape. Silence counts as perfect: there is nothing to correlate.
        """
        sounding = (wanted.mean(dim=2) > SILENCE_DB).to(wanted.dtype)[:, None, :]
        share = sounding / sounding.sum(dim=2, keepdim=True).clamp(min=1.0)
        a = self._smooth(heard @ self.cepstrum, self.quality_kernel)
        b = self._smooth(wanted @ self.cepstrum, self.quality_kernel)
        a = a - (a * share).sum(dim=2, keepdim=True)
        b = b - (b * share).sum(dim=2, keepdim=True)
        power = ((a * a * share).sum(dim=2) + 1e-3) * ((b * b * share).sum(dim=2) + 1e-3)
        correlation = ((a * b * share).sum(dim=2) / power.sqrt()).mean(dim=1)
        difference = _specific_loudness(heard) - _specific_loudness(wanted)
        loudness = 1.0 - _spread(difference) / 2.5
        slope = 1.0 - _spread(torch.diff(difference, dim=1))
        shape = 0.579 * loudness + 0.421 * slope
        likeness = correlation.clamp(min=0.0).square() * alike * shape.clamp(min=0.0)
        return (sounding.amax(dim=(1, 2)) * (1.0 - likeness)).mean()

    @staticmethod
    def _smooth(sequence: Tensor, kernel: Tensor) -> Tensor:
        """[batch, frames, channels] smoothed over frames, as [batch, channels, frames]."""
        rows = sequence.transpose(1, 2)
        taps, frames = kernel.numel(), rows.shape[2]
        weights = kernel / kernel.sum()
        left = (taps - 1) // 2
        padded = torch.nn.functional.pad(rows, (left, taps - 1 - left), mode="replicate")
        if taps <= SHORT_TAPS:
            # For few taps on many channels a sum is faster, backwards above all.
            shifted = [weights[k] * padded[..., k : k + frames] for k in range(taps)]
            return torch.stack(shifted).sum(dim=0)
        flat = padded.reshape(-1, 1, padded.shape[2])
        return torch.nn.functional.conv1d(flat, weights.view(1, 1, -1)).view_as(rows)

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


class HeardMagnitudes(WearLoss):
    """The same loss for a 'log-magnitude' net, whose output gets the phase of what it heard."""

    magnitude_scale: Tensor

    def __init__(self, profile: Profile, weights: Weights) -> None:
        in_bands = dataclasses.replace(
            profile, features="band-level", output="band-gain", bands=MAGNITUDE_BANDS
        )
        super().__init__(in_bands, weights)
        scale = profile.level_reference_pa / np.sqrt(power_scale(profile))
        self._constant("magnitude_scale", scale)

    def sounds(self, prescribed: Tensor, target: Tensor, clean: Tensor) -> Sounds:
        """As of `WearLoss`, but `cross` is of the first's phase alone, for each bin, and the
        spectra are those of all frames, the first's of magnitude 1."""
        phase = prescribed / prescribed.abs().clamp(min=1e-12)
        return Sounds(
            prescribed=self._power(prescribed),
            target=self._power(target),
            clean=self._power(clean),
            cross=phase.real * target.real + phase.imag * target.imag,
            prescribed_spectra=phase,
            target_spectra=target,
        )

    def forward(self, output: Tensor, sounds: Sounds, audiogram: Tensor) -> dict[str, Tensor]:
        """The terms of a net's output [batch, frames, bins], see `features.Magnitudes`."""
        bounded = output.clamp(max=math.log(MOST_MAGNITUDE) / LOG_MAGNITUDE_SPAN)
        magnitude = torch.expm1(LOG_MAGNITUDE_SPAN * bounded) * self.magnitude_scale
        return self._terms(
            magnitude.square() @ self.bands,
            (magnitude * sounds.cross) @ self.bands,
            magnitude * sounds.prescribed_spectra,
            sounds,
            audiogram,
        )


def _sensation_db(power: Tensor, threshold_db_spl: Tensor) -> Tensor:
    """Levels of band powers in dB above threshold, the same shape, smooth down to 0."""
    return 10.0 * torch.log10(1.0 + power * 10.0 ** (-threshold_db_spl / 10.0))


def _hann(seconds: float, profile: Profile) -> NDArray[np.float64]:
    """A smoothing kernel of that length in net steps, without its zeros."""
    steps = max(1, round(seconds / profile.step_seconds))
    return np.hanning(steps + 2)[1:-1]


def _specific_loudness(sensation_db: Tensor) -> Tensor:
    """Long-term loudness [batch, bands], with sum 1, of levels [batch, frames, bands]."""
    mean_power = (10.0 ** (sensation_db / 10.0)).mean(dim=1)
    loudness = mean_power.sqrt()
    return loudness / loudness.sum(dim=1, keepdim=True)


def _spread(values: Tensor) -> Tensor:
    """Standard deviation over bands, times their number."""
    variance = values.var(dim=1, unbiased=False)
    return values.shape[1] * (variance + 1e-10).sqrt()


def magnitude_error(output: Tensor, target: Tensor) -> Tensor:
    """The paper's mean squared error (Eq. 6, 8) of log-magnitudes [batch, frames, bins]."""
    return (output - target).square().mean()

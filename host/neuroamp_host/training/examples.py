"""Batches for training: mixtures and listeners, and what each net is asked to give for them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
import torch.utils.data
from neuroamp.audiogram import BISGAARD, Audiogram, Ear
from neuroamp.bands import band_matrix, channel_matrix
from neuroamp.features import (
    BAND_LEVEL_CEILING_DB_SPL,
    BAND_LEVEL_CENTRE_DB_SPL,
    BAND_LEVEL_FLOOR_DB_SPL,
    BAND_LEVEL_SPAN_DB,
    LOG_MAGNITUDE_SPAN,
    audiogram_input,
)
from neuroamp.profile import PAPER, Profile
from neuroamp.transform import power_scale, windows
from neuroamp.units import REFERENCE_PRESSURE_PA
from neuroamp.wdrc import (
    MAX_GAIN_DB,
    SPECTRUM_FLOOR_DB_SPL,
    STEADYING_LOUDEST,
    STEADYING_RANGE_DB,
    STEADYING_REACH_DB,
    Wdrc,
)
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroamp_host.corpora.audiogram_sampling import sample_audiogram
from neuroamp_host.prescription.fit import make_fitting

T = TypeVar("T")

BISGAARD_SHARE = 0.4
NORMAL_HEARING_SHARE = 0.03


@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch; time runs in net steps.

    Attributes:
        features: [batch, steps, features], the net's spectral input.
        audiogram: [batch, 6], dB HL / 100.
        clean: spectra of the wanted signal, complex [batch, steps, bins], pascals.
        prescribed: the noisy signal with the prescription's own gains, the same shape.
        target: the prescription's amplification of the wanted signal, the same shape.
    """

    features: Tensor
    audiogram: Tensor
    clean: Tensor
    prescribed: Tensor
    target: Tensor


def sample_listener(rng: np.random.Generator) -> Audiogram:
    """A hearing loss for training: mostly sampled patterns, some standard ones, few normal."""
    draw = rng.random()
    if draw < NORMAL_HEARING_SHARE:
        return Audiogram((250.0, 8000.0), (float(rng.integers(-5, 16)),) * 2, (False,) * 2)
    if draw < NORMAL_HEARING_SHARE + BISGAARD_SHARE:
        name = sorted(BISGAARD)[int(rng.integers(len(BISGAARD)))]
        base = BISGAARD[name]
        shift = rng.uniform(-7.5, 7.5)
        thresholds = tuple(
            float(np.clip((level or 0.0) + shift + rng.uniform(-5.0, 5.0), -10.0, 120.0))
            for level in base.thresholds_db_hl
        )
        return Audiogram(base.frequencies_hz, thresholds, (False,) * len(thresholds))
    return sample_audiogram(rng)


@dataclasses.dataclass(frozen=True)
class Draw:
    """What a batch is made from: sounds and listeners.

    Attributes:
        clean_pa, noisy_pa: the wanted signal and what the microphone hears, [batch, samples],
            pascals.
        audiogram: [batch, 6], dB HL / 100.
        knee_db_spl, gain_65_db, slope: of the listeners' compressors, [batch, 11], see
            `neuroamp.wdrc.Curves`.
    """

    clean_pa: Tensor
    noisy_pa: Tensor
    audiogram: Tensor
    knee_db_spl: Tensor
    gain_65_db: Tensor
    slope: Tensor

    def to(self, device: torch.device | str) -> Draw:
        """The same on another device."""
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return Draw(*(value.to(device, non_blocking=True) for value in values))


def draw_of(
    clean_pa: NDArray[np.float32],
    noisy_pa: NDArray[np.float32],
    listeners: list[Audiogram],
    rule: str,
) -> Draw:
    """Signals [batch, samples] in pascals with one audiogram a signal, fitted by the rule."""
    curves = Wdrc(PAPER, [make_fitting(who, Ear.LEFT, rule=rule) for who in listeners]).curves
    thresholds = np.stack([listener.six_point() for listener in listeners])
    arrays = (
        clean_pa,
        noisy_pa,
        audiogram_input(thresholds),
        curves.knee_db_spl,
        curves.gain_65_db,
        curves.slope,
    )
    return Draw(*(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in arrays))


class BatchMaker(nn.Module):
    """Draws to batches: the device's analysis, features and compressor, in single precision.

    `neuroamp.transform`, `neuroamp.features` and `neuroamp.wdrc` define what is computed here;
    the tests compare.

    Args:
        profile: of the net.
        denoise: whether the target is made of the clean signal or of the noisy one.
        steady: share of the compressor's changes over each signal that the target lacks, 0 to 1.
    """

    def __init__(self, profile: Profile, denoise: bool = True, steady: float = 0.0) -> None:
        super().__init__()
        self._profile = profile
        self._denoise = denoise
        self._steady = steady
        # The rates and the anchor are every listener's.
        flat = Audiogram((250.0, 8000.0), (0.0, 0.0), (False, False))
        curves = Wdrc(profile, [make_fitting(flat, Ear.LEFT)]).curves
        self._attack, self._release = curves.attack, curves.release
        self._steadying = curves.steadying
        channels = channel_matrix(profile)
        scale = power_scale(profile) / REFERENCE_PRESSURE_PA**2
        constants = {
            "window": windows(profile)[0],
            "anchor": curves.anchor_db_spl,
            "to_channels": (channels * scale).T,
            "to_bins": channels,
            "feature_scale": scale * (REFERENCE_PRESSURE_PA / profile.level_reference_pa) ** 2,
        }
        if profile.features == "band-level":
            constants["to_bands"] = (band_matrix(profile) * constants["feature_scale"]).T
        for name, values in constants.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)).float())

    window: Tensor
    anchor: Tensor
    to_channels: Tensor
    to_bins: Tensor
    to_bands: Tensor
    feature_scale: Tensor

    def forward(self, draw: Draw) -> Batch:
        """The batch of a draw on the same device."""
        noisy = self.spectra(draw.noisy_pa)
        noisy_power = _power(noisy)
        noisy_level, noisy_gains_db = self._followed(draw, noisy_power)
        if self._denoise:
            clean = self.spectra(draw.clean_pa)
            level, gains_db = self._followed(draw, _power(clean))
        else:
            clean, level, gains_db = noisy, noisy_level, noisy_gains_db
        if self._steady > 0.0:
            gains_db = gains_db + self._steady * (_on_the_whole_db(level, gains_db) - gains_db)
        return Batch(
            features=self.features(noisy_power),
            audiogram=draw.audiogram,
            clean=clean,
            prescribed=noisy * _factor(noisy_gains_db @ self.to_bins),
            target=clean * _factor(gains_db @ self.to_bins),
        )

    def spectra(self, signal_pa: Tensor) -> Tensor:
        """Spectra at the net's steps, complex [batch, steps, bins], of signals [batch, samples]."""
        profile = self._profile
        hops = signal_pa.shape[-1] // profile.hop
        history = profile.frame_length - profile.hop
        padded = nn.functional.pad(signal_pa[..., : hops * profile.hop], (history, 0))
        step = profile.hop * profile.hops_per_step
        return torch.fft.rfft(padded.unfold(-1, profile.frame_length, step) * self.window)

    def features(self, power: Tensor) -> Tensor:
        """The net's spectral input of squared magnitudes, [batch, steps, bins], Pa^2."""
        if self._profile.features == "log-magnitude":
            return torch.log1p((power * self.feature_scale).sqrt()) / LOG_MAGNITUDE_SPAN
        power = (power @ self.to_bands).clamp(min=10.0 ** (BAND_LEVEL_FLOOR_DB_SPL / 10.0))
        level = (10.0 * power.log10()).clamp(max=BAND_LEVEL_CEILING_DB_SPL)
        return (level - BAND_LEVEL_CENTRE_DB_SPL) / BAND_LEVEL_SPAN_DB

    def _followed(self, draw: Draw, power: Tensor) -> tuple[Tensor, Tensor]:
        """Momentary levels, dB SPL, and gains, dB, of the channels, both [batch, steps, 11]."""
        floor = 10.0 ** (SPECTRUM_FLOOR_DB_SPL / 10.0)
        level = 10.0 * (power @ self.to_channels).clamp(min=floor).log10()
        tracked = track(level, SPECTRUM_FLOOR_DB_SPL, self._attack, self._release)
        above_anchor = torch.maximum(tracked, draw.knee_db_spl[:, None]) - self.anchor
        gains_db = _gains_at(draw, above_anchor)
        if self._profile.output == "band-gain":
            weights = 10.0 ** (level / 40.0)
            weight = weights.sum(dim=-1, keepdim=True)
            now_db = (weights * above_anchor).sum(dim=-1, keepdim=True) / weight
            steadied_db = _gains_at(draw, running_mean_db(now_db, weight, self._steadying))
            gains_db = gains_db + (steadied_db - gains_db).clamp(*STEADYING_RANGE_DB)
        return level, gains_db


def make_batch(
    profile: Profile,
    clean_pa: NDArray[np.float32],
    noisy_pa: NDArray[np.float32],
    listeners: list[Audiogram],
    rule: str,
    denoise: bool = True,
    steady: float = 0.0,
) -> Batch:
    """A batch from signals [batch, samples] in pascals and one audiogram a signal."""
    draw = draw_of(clean_pa, noisy_pa, listeners, rule)
    batch: Batch = BatchMaker(profile, denoise, steady)(draw)
    return batch


def _gains_at(draw: Draw, above_anchor: Tensor) -> Tensor:
    """Gains, dB, [batch, steps, 11], at levels so far above average speech's, dB."""
    gains_db = draw.gain_65_db[:, None] + draw.slope[:, None] * above_anchor
    return gains_db.clamp(0.0, MAX_GAIN_DB)


def _on_the_whole_db(level_db: Tensor, gains_db: Tensor) -> Tensor:
    """What gains [batch, steps, 11] give to the power over the whole signal, dB, [batch, 1, 11].

    The mean is that of the amplified power, so that every channel comes out at the level that
    the compressor gives it, without its fast changes.
    """
    before = (10.0 ** (level_db / 10.0)).sum(dim=1, keepdim=True)
    after = (10.0 ** ((level_db + gains_db) / 10.0)).sum(dim=1, keepdim=True)
    return 10.0 * (after / before).log10()


def track(level: Tensor, start: float, attack: float, release: float) -> Tensor:
    """Tracked levels of momentary ones, both [batch, steps, channels]: `Wdrc.track` from `start`.

    `attack` and `release` are the shares of the way up and down of one step.
    """
    if level.is_cuda:
        from neuroamp_host import cuda_kernels

        return cuda_kernels.track(level.contiguous(), start, attack, release)
    tracked = torch.empty_like(level, memory_format=torch.contiguous_format)
    _track(level.contiguous().numpy(), tracked.numpy(), start, attack, release)
    return tracked


@njit(cache=True, error_model="numpy")
def _track(level, tracked, start, attack, release):  # type: ignore[no-untyped-def]
    batch, steps, channels = level.shape
    for row in range(batch):
        for channel in range(channels):
            now = start
            for t in range(steps):
                rise = level[row, t, channel] - now
                now += rise * (attack if rise > 0.0 else release)
                tracked[row, t, channel] = now


def running_mean_db(level_db: Tensor, weight: Tensor, share: float) -> Tensor:
    """The mean level of `Wdrc.steadied_db`, all [batch, steps, values], one for each value.

    `share` is what a weight as large as their mean contributes.
    """
    if level_db.is_cuda:
        from neuroamp_host import cuda_kernels

        return cuda_kernels.running_mean_db(level_db.contiguous(), weight.contiguous(), share)
    mean_db = torch.empty_like(level_db, memory_format=torch.contiguous_format)
    _running_mean_db(
        level_db.contiguous().numpy(), weight.contiguous().numpy(), mean_db.numpy(), share
    )
    return mean_db


@njit(cache=True, error_model="numpy")
def _running_mean_db(level_db, weight, means_db, share):  # type: ignore[no-untyped-def]
    batch, steps, values = level_db.shape
    for row in range(batch):
        for value in range(values):
            mean_weight = weight[row, 0, value]
            mean_db = level_db[row, 0, value]
            for t in range(steps):
                now = min(weight[row, t, value], STEADYING_LOUDEST * mean_weight)
                mean_weight += share * (now - mean_weight)
                away_db = level_db[row, t, value] - mean_db
                away_db = min(max(away_db, -STEADYING_REACH_DB), STEADYING_REACH_DB)
                mean_db += share * now / mean_weight * away_db
                means_db[row, t, value] = mean_db


def _power(spectra: Tensor) -> Tensor:
    return spectra.real.square() + spectra.imag.square()


def _factor(gain_db: Tensor) -> Tensor:
    return torch.exp(gain_db * (math.log(10.0) / 20.0))


class BatchStream(torch.utils.data.Dataset[T]):
    """Batches by number, made by `make(index)`, for torch's loader."""

    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make

    def __getitem__(self, index: int) -> T:
        return self._make(index)


def prefetch(make: Callable[[int], T], first: int, last: int, workers: int = 1) -> Iterator[T]:
    """Batches `make(first)` to `make(last - 1)` in order, made ahead in processes of their own.

    A process, because a thread's Python would hold up the thousands of short operations of a
    recurrent net. An exception in `make` is raised here, at the batch it belongs to.
    """
    loader = torch.utils.data.DataLoader(
        BatchStream(make),
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=3,
    )
    return iter(loader)

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
from neuroamp.bands import channel_matrix
from neuroamp.features import Features, audiogram_input
from neuroamp.fitting import Fitting
from neuroamp.profile import Profile
from neuroamp.transform import power_scale, windows
from neuroamp.wdrc import Wdrc
from numpy.typing import NDArray
from torch import Tensor

from neuroamp_host.corpora.audiogram_sampling import sample_audiogram
from neuroamp_host.prescription.fit import make_fitting

T = TypeVar("T")

BISGAARD_SHARE = 0.2
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


def _spectra(profile: Profile, signal_pa: NDArray[np.float32]) -> Tensor:
    """Spectra at the net's steps, complex [batch, steps, bins]: `neuroamp.transform.stft`, in
    single precision and several times as fast."""
    signal = torch.from_numpy(np.ascontiguousarray(signal_pa, dtype=np.float32))
    hops = signal.shape[-1] // profile.hop
    history = profile.frame_length - profile.hop
    padded = torch.nn.functional.pad(signal[..., : hops * profile.hop], (history, 0))
    step = profile.hop * profile.hops_per_step
    frames = padded.unfold(-1, profile.frame_length, step)
    return torch.fft.rfft(frames * torch.from_numpy(windows(profile)[0]).float())


class Prescription:
    """The WDRC gains of a batch of listeners on spectra [batch, steps, bins], per channel."""

    def __init__(self, profile: Profile, fittings: list[Fitting]) -> None:
        self._profile = profile
        self._fittings = fittings
        channels = channel_matrix(profile)
        self._to_channels = torch.from_numpy((channels * power_scale(profile)).T).float()
        self._to_bins = torch.from_numpy(channels).float()

    def moving_gains_db(self, power: Tensor) -> Tensor:
        """What the compressor gives from step to step, dB, [batch, steps, bins]."""
        _, gains_db = self._followed(power)
        return torch.from_numpy(gains_db).float() @ self._to_bins

    def steady_gains_db(self, power: Tensor) -> Tensor:
        """What the compressor gives on the whole, dB, [batch, 1, bins].

        The mean over the signal is that of the amplified power, so that every channel comes out
        at the level that the compressor gives it, without its fast changes.
        """
        level_db, gains_db = self._followed(power)
        before = (10.0 ** (level_db / 10.0)).sum(axis=1, keepdims=True)
        after = (10.0 ** ((level_db + gains_db) / 10.0)).sum(axis=1, keepdims=True)
        return torch.from_numpy(10.0 * np.log10(after / before)).float() @ self._to_bins

    def _followed(self, power: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Momentary levels, dB SPL, and gains, dB, of the channels, both [batch, steps, 11]."""
        compressor = Wdrc(self._profile, self._fittings)
        level_db = compressor.in_db_spl((power @ self._to_channels).double().numpy())
        tracked = np.stack([compressor.track(level_db[:, t]) for t in range(level_db.shape[1])])
        gains = np.stack([compressor.channel_gains_db(row) for row in tracked], axis=1)
        return level_db, gains


def make_batch(
    profile: Profile,
    clean_pa: NDArray[np.float32],
    noisy_pa: NDArray[np.float32],
    listeners: list[Audiogram],
    rule: str,
    denoise: bool = True,
    steady: bool = False,
) -> Batch:
    """A batch from signals [batch, samples] in pascals and one audiogram a signal."""
    fittings = [make_fitting(listener, Ear.LEFT, rule=rule) for listener in listeners]
    prescription = Prescription(profile, fittings)
    noisy = _spectra(profile, noisy_pa)
    clean = _spectra(profile, clean_pa) if denoise else noisy
    noisy_power, clean_power = _power(noisy), _power(clean)
    target_gain_db = (prescription.steady_gains_db if steady else prescription.moving_gains_db)(
        clean_power
    )
    target = clean * _factor(target_gain_db)
    thresholds = np.stack([listener.six_point() for listener in listeners])
    features = Features(profile)
    return Batch(
        features=torch.from_numpy(features(noisy.numpy()).astype(np.float32)),
        audiogram=torch.from_numpy(audiogram_input(thresholds).astype(np.float32)),
        clean=clean,
        prescribed=noisy * _factor(prescription.moving_gains_db(noisy_power)),
        target=target,
    )


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


def prefetch(make: Callable[[int], T], first: int, last: int) -> Iterator[T]:
    """Batches `make(first)` to `make(last - 1)`, made ahead in a process of their own.

    A process, because a thread's Python would hold up the thousands of short operations of a
    recurrent net. An exception in `make` is raised here, at the batch it belongs to.
    """
    loader = torch.utils.data.DataLoader(
        BatchStream(make),
        batch_size=None,
        sampler=range(first, last),
        num_workers=1,
        prefetch_factor=3,
    )
    return iter(loader)

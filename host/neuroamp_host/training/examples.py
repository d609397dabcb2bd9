"""Batches for training: mixtures and listeners, and what each net is asked to give for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.utils.data
from neuroamp.audiogram import BISGAARD, Audiogram, Ear
from neuroamp.features import Features, audiogram_input
from neuroamp.fitting import Fitting
from neuroamp.profile import Profile
from neuroamp.transform import stft
from neuroamp.wdrc import Wdrc
from numpy.typing import NDArray
from torch import Tensor

from neuroamp_host.corpora.audiogram_sampling import sample_audiogram
from neuroamp_host.prescription.fit import make_fitting

BISGAARD_SHARE = 0.2
NORMAL_HEARING_SHARE = 0.03


@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch; time runs in net steps.

    Attributes:
        features: [batch, steps, features], the net's spectral input.
        audiogram: [batch, 6], dB HL / 100.
        noisy, clean: spectra, complex [batch, steps, bins], pascals.
        noisy_gain_db: the prescription's own gains on the noisy input, [batch, steps, bins].
        target: the prescription's amplification of the wanted signal, complex, same shape.
        target_features: the same as features of the profile, [batch, steps, features].
    """

    features: Tensor
    audiogram: Tensor
    noisy: Tensor
    clean: Tensor
    noisy_gain_db: Tensor
    target: Tensor
    target_features: Tensor


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


def wdrc_gains_db(
    profile: Profile, fittings: list[Fitting], spectra: NDArray[np.complex128]
) -> NDArray[np.float64]:
    """The prescription's gains per bin, dB, of a batch of spectra [batch, steps, bins]."""
    compressor = Wdrc(profile, fittings)
    level = compressor.levels_db_spl(spectra)
    tracked = np.stack([compressor.track(level[:, t]) for t in range(level.shape[1])])
    gains = np.stack([compressor.channel_gains_db(row) for row in tracked], axis=1)
    return compressor.to_bins(gains)


def make_batch(
    profile: Profile,
    clean_pa: NDArray[np.float32],
    noisy_pa: NDArray[np.float32],
    listeners: list[Audiogram],
    rule: str,
    denoise: bool = True,
) -> Batch:
    """A batch from signals [batch, samples] in pascals and one audiogram a signal."""
    fittings = [make_fitting(listener, Ear.LEFT, rule=rule) for listener in listeners]
    noisy = stft(profile, noisy_pa, every=profile.hops_per_step)
    clean = stft(profile, clean_pa, every=profile.hops_per_step) if denoise else noisy
    target = clean * 10.0 ** (wdrc_gains_db(profile, fittings, clean) / 20.0)
    thresholds = np.stack([listener.six_point() for listener in listeners])

    features = Features(profile)

    def single(array: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(array.astype(np.float32))

    def complex_single(array: NDArray[np.complex128]) -> Tensor:
        return torch.from_numpy(array.astype(np.complex64))

    return Batch(
        features=single(features(noisy)),
        audiogram=single(audiogram_input(thresholds)),
        noisy=complex_single(noisy),
        clean=complex_single(clean),
        noisy_gain_db=single(wdrc_gains_db(profile, fittings, noisy)),
        target=complex_single(target),
        target_features=single(features(target)),
    )


class BatchStream(torch.utils.data.Dataset[Batch]):
    """Batches by number, made by `make(index)`, for torch's loader."""

    def __init__(self, make: Callable[[int], Batch]) -> None:
        self._make = make

    def __getitem__(self, index: int) -> Batch:
        return self._make(index)


def prefetch(make: Callable[[int], Batch], first: int, last: int) -> Iterator[Batch]:
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

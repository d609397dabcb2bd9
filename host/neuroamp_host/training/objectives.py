"""What a run minimises: from drawn sounds to named loss terms, by the kind of its net."""

from __future__ import annotations

import dataclasses
import math

import torch
from neuroamp.bands import band_matrix
from neuroamp.features import LEAST_WEIGHT, LOG_MAGNITUDE_SPAN, MOST_MAGNITUDE
from neuroamp.profile import Profile, smoothed
from torch import Tensor, nn

from neuroamp_host.enhancement.nets import Enhancer
from neuroamp_host.networks.net import Net
from neuroamp_host.training.config import TrainingConfig
from neuroamp_host.training.examples import BatchMaker, Draw
from neuroamp_host.training.losses import (
    HeardMagnitudes,
    Sounds,
    WearLoss,
    Weights,
    magnitude_error,
)

_INAUDIBLE = 1e-6
"""Magnitude, 120 dB below 0 dB SPL, that keeps logarithms finite."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A batch as an objective takes it.

    Attributes:
        inputs: of the net: features [batch, steps, features] and audiogram [batch, 6], or an
            enhancer's noisy signals [batch, samples].
        sounds: what the listener shall hear, where the loss compares that.
        wanted: what the output shall be, where the loss compares that: the target's features,
            or an enhancer's clean signals.
    """

    inputs: tuple[Tensor, ...]
    sounds: Sounds | None = None
    wanted: Tensor | None = None


class Objective(nn.Module):
    """Loss terms of a net, in two parts of which the first knows nothing of the net's weights."""

    def prepare(self, draw: Draw) -> Task:
        """What of drawn sounds the loss needs; may run ahead, in another process."""
        raise NotImplementedError

    def forward(self, task: Task) -> dict[str, Tensor]:
        """Loss terms, scalars; 'loss' is the one to minimise."""
        raise NotImplementedError


class GainObjective(Objective):
    """`WearLoss` of a 'band-gain' net."""

    def __init__(self, net: Net, config: TrainingConfig) -> None:
        super().__init__()
        self.net = net
        self.maker = BatchMaker(net.profile, config.denoise, config.steady)
        self.loss = WearLoss(net.profile, _weights(config))
        self._low = net.profile.gain_min_db
        self._span = net.profile.gain_max_db - net.profile.gain_min_db

    def prepare(self, draw: Draw) -> Task:
        """See `Objective`."""
        batch = self.maker(draw)
        sounds = self.loss.sounds(batch.prescribed, batch.target, batch.clean)
        return Task((batch.features, batch.audiogram), sounds)

    def forward(self, task: Task) -> dict[str, Tensor]:
        """See `Objective`."""
        assert task.sounds is not None
        gain_db = self._low + self._span * self.net(*task.inputs)
        terms: dict[str, Tensor] = self.loss(gain_db, task.sounds, task.inputs[1])
        return terms


class GainsInBands(nn.Module):
    """Outputs of a 'log-magnitude' net with the gains that the device makes of them, smooth.

    As `neuroamp.features.GainsInBands`, from and to the net's scale, [batch, steps, bins].
    """

    matrix: Tensor

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(band_matrix(profile)).float())

    def forward(self, output: Tensor, features: Tensor) -> Tensor:
        """Both net inputs and outputs of spectra."""
        most = math.log(MOST_MAGNITUDE) / LOG_MAGNITUDE_SPAN
        heard = torch.expm1(LOG_MAGNITUDE_SPAN * features)
        wanted = torch.expm1(LOG_MAGNITUDE_SPAN * output.clamp(max=most))
        gain = wanted.clamp(min=_INAUDIBLE).log() - heard.clamp(min=_INAUDIBLE).log()
        weight = heard / (1.0 + heard) * wanted / (1.0 + wanted) + LEAST_WEIGHT
        in_bands = ((weight * gain) @ self.matrix.T) / (weight @ self.matrix.T)
        return torch.log1p(heard * torch.exp(in_bands @ self.matrix)) / LOG_MAGNITUDE_SPAN


class MagnitudeObjective(Objective):
    """The paper's mean squared error of log-magnitudes (Eq. 6, 8), or what is heard beside it."""

    def __init__(self, net: Net, config: TrainingConfig) -> None:
        super().__init__()
        self.net = net
        self.maker = BatchMaker(net.profile, config.denoise, config.steady)
        self.heard = HeardMagnitudes(net.profile, _weights(config)) if config.heard else None
        self.in_bands = GainsInBands(smoothed(net.profile)) if config.smooth_gains else None
        self._share = config.magnitude_weight

    def prepare(self, draw: Draw) -> Task:
        """See `Objective`."""
        batch = self.maker(draw)
        target = batch.target
        wanted = self.maker.features(target.real.square() + target.imag.square())
        sounds = None
        if self.heard is not None:
            sounds = self.heard.sounds(batch.prescribed, target, batch.clean)
        return Task((batch.features, batch.audiogram), sounds, wanted)

    def forward(self, task: Task) -> dict[str, Tensor]:
        """See `Objective`."""
        assert task.wanted is not None
        output = self.net(*task.inputs)
        if self.in_bands is not None:
            output = self.in_bands(output, task.inputs[0])
        error = magnitude_error(output, task.wanted)
        if self.heard is None:
            return {"loss": error}
        terms: dict[str, Tensor] = self.heard(output, task.sounds, task.inputs[1])
        return terms | {"magnitude": error, "loss": terms["loss"] + self._share * error}


class EnhancerObjective(Objective):
    """An enhancer's own loss."""

    def __init__(self, net: Enhancer) -> None:
        super().__init__()
        self.net: Enhancer = net

    def prepare(self, draw: Draw) -> Task:
        """See `Objective`."""
        return Task((draw.noisy_pa,), wanted=draw.clean_pa)

    def forward(self, task: Task) -> dict[str, Tensor]:
        """See `Objective`."""
        assert task.wanted is not None
        return {"loss": self.net.loss(task.inputs[0], task.wanted)}


def objective_for(net: Net | Enhancer, config: TrainingConfig) -> Objective:
    """The objective of a net of this kind."""
    if isinstance(net, Enhancer):
        return EnhancerObjective(net)
    if net.profile.output == "band-gain":
        return GainObjective(net, config)
    return MagnitudeObjective(net, config)


def _weights(config: TrainingConfig) -> Weights:
    return Weights(
        audible=config.audible_weight,
        envelope=config.envelope_weight,
        waveform=config.waveform_weight,
        quality=config.quality_weight,
        lost_speech=config.lost_speech_weight,
    )


def as_floats(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    """Loss terms as numbers."""
    return {name: float(value.detach()) for name, value in terms.items()}

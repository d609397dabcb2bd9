"""The wearable net's loss: zero for a perfect output, and it hears what the listener hears."""

import numpy as np
import pytest
import torch
from neuroamp.profile import WEAR
from neuroamp.transform import stft
from neuroamp_host.training.losses import WearLoss, Weights

WEIGHTS = Weights(audible=1.0, envelope=1.0, waveform=1.0, quality=1.0, lost_speech=2.0)


class Loss:
    """The loss of spectra: what the prescription gave, and a net that adds nothing."""

    def __init__(self) -> None:
        self._loss = WearLoss(WEAR, WEIGHTS)

    def __call__(
        self,
        output: torch.Tensor,
        target: torch.Tensor,
        clean: torch.Tensor,
        audiogram: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        nothing = torch.zeros(*output.shape[:2], WEAR.bands)
        return self._loss(nothing, self._loss.sounds(output, target, clean), audiogram)


MILD = torch.full((1, 6), 0.2)
SEVERE = torch.full((1, 6), 0.8)


def spectra(level_pa: float = 0.05, seed: int = 0) -> torch.Tensor:
    """Noise whose level beats four times a second, [1, frames, bins]."""
    rng = np.random.default_rng(seed)
    time = np.arange(16000) / 16000
    signal = level_pa * rng.standard_normal(16000) * (1.0 + np.sin(2 * np.pi * 4 * time)) / 2
    return torch.from_numpy(stft(WEAR, signal, every=2)[None]).to(torch.complex64)


def test_a_perfect_output_costs_nothing_but_the_hearing_loss_itself() -> None:
    target = spectra()
    terms = Loss()(target, target, target, torch.zeros(1, 6))
    assert terms["audible"] == 0.0
    assert terms["waveform"] == 0.0
    assert terms["envelope"] < 0.1
    assert terms["quality"] < 0.05


def test_errors_below_the_listeners_threshold_cost_little() -> None:
    loss = Loss()
    quiet, changed = spectra(2e-3), spectra(2e-3) * 2.0
    assert loss(changed, quiet, quiet, SEVERE)["audible"] < 0.01
    assert loss(changed, quiet, quiet, MILD)["audible"] > 0.02


def test_lost_speech_costs_more_than_noise_left_over() -> None:
    loss = Loss()
    target = spectra()
    lost = loss(target * 0.5, target, target, MILD)["audible"]
    left = loss(target * 2.0, target, target, MILD)["audible"]
    assert lost > 1.3 * left


def test_an_unrelated_envelope_costs_more_than_the_right_one() -> None:
    loss = Loss()
    target, other = spectra(seed=0), spectra(seed=1)
    right = loss(target, target, target, MILD)["envelope"]
    assert loss(other, target, target, MILD)["envelope"] > right + 0.2


def test_quality_hears_a_tilted_spectrum_and_another_envelope_but_no_level() -> None:
    loss = Loss()
    target = spectra()
    tilt = torch.logspace(0.0, 1.0, WEAR.bins)
    none = torch.full((1, 6), 0.0)

    def quality(output: torch.Tensor) -> float:
        return float(loss(output, target, target, none)["quality"])

    assert quality(target * 1.5) < 0.05
    assert quality(target * tilt) > 0.1
    assert quality(spectra(seed=1)) > 0.2


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_gradients_are_finite_also_for_silence(scale: float) -> None:
    target = spectra() * scale
    loss = WearLoss(WEAR, WEIGHTS)
    gain_db = torch.zeros(*target.shape[:2], WEAR.bands, requires_grad=True)
    loss(gain_db, loss.sounds(spectra(seed=1) * scale, target, target), MILD)["loss"].backward()
    assert gain_db.grad is not None
    assert torch.isfinite(gain_db.grad).all()


def test_a_gain_counts_like_the_same_gain_in_the_signal() -> None:
    loss = WearLoss(WEAR, WEIGHTS)
    noisy, target = spectra(seed=1), spectra()
    halved = torch.full((1, noisy.shape[1], WEAR.bands), -20.0 * np.log10(2.0))
    by_gain = loss(halved, loss.sounds(noisy, target, target), MILD)
    in_signal = loss(halved * 0.0, loss.sounds(noisy / 2.0, target, target), MILD)
    for name, value in by_gain.items():
        torch.testing.assert_close(value, in_signal[name], rtol=1e-4, atol=1e-4)

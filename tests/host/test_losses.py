"""The wearable net's loss: zero for a perfect output, and it hears what the listener hears."""

import numpy as np
import pytest
import torch
from neuroamp.profile import WEAR
from neuroamp.transform import stft
from neuroamp_host.training.losses import WearLoss, Weights

WEIGHTS = Weights(audible=1.0, envelope=1.0, waveform=1.0, lost_speech=2.0)
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
    terms = WearLoss(WEAR, WEIGHTS)(target, target, target, torch.zeros(1, 6))
    assert terms["audible"] == 0.0
    assert terms["waveform"] == 0.0
    assert terms["envelope"] < 0.1


def test_errors_below_the_listeners_threshold_cost_little() -> None:
    loss = WearLoss(WEAR, WEIGHTS)
    quiet, changed = spectra(2e-3), spectra(2e-3) * 2.0
    assert loss(changed, quiet, quiet, SEVERE)["audible"] < 0.01
    assert loss(changed, quiet, quiet, MILD)["audible"] > 0.02


def test_lost_speech_costs_more_than_noise_left_over() -> None:
    loss = WearLoss(WEAR, WEIGHTS)
    target = spectra()
    lost = loss(target * 0.5, target, target, MILD)["audible"]
    left = loss(target * 2.0, target, target, MILD)["audible"]
    assert lost > 1.3 * left


def test_an_unrelated_envelope_costs_more_than_the_right_one() -> None:
    loss = WearLoss(WEAR, WEIGHTS)
    target, other = spectra(seed=0), spectra(seed=1)
    right = loss(target, target, target, MILD)["envelope"]
    assert loss(other, target, target, MILD)["envelope"] > right + 0.2


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_gradients_are_finite_also_for_silence(scale: float) -> None:
    target = spectra() * scale
    output = (spectra(seed=1) * scale).requires_grad_()
    WearLoss(WEAR, WEIGHTS)(output, target, target, MILD)["loss"].backward()
    assert torch.isfinite(torch.view_as_real(output.grad)).all()

"""The enhancers take noise away at any level, and a file that is none is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from neuroamp.errors import NeuroampError
from neuroamp_host.enhancement.enhance import load_enhancer
from neuroamp_host.enhancement.nets import ENHANCERS, SpectralEnhancer
from neuroamp_host.networks.registry import build
from neuroamp_host.training import checkpoint


def test_a_mask_of_one_gives_the_sound_back() -> None:
    net = SpectralEnhancer()
    torch.nn.init.zeros_(net.output_layer.weight)
    torch.nn.init.constant_(net.output_layer.bias, 40.0)
    sound = 0.02 * torch.randn(2, 5003)
    assert torch.allclose(net(sound), sound, atol=1e-7)


@pytest.mark.parametrize("name", sorted(ENHANCERS))
def test_the_level_goes_around_the_net(name: str) -> None:
    enhancer = load_enhancer(name)
    sound = 0.02 * np.random.default_rng(0).standard_normal(8000)
    soft, loud = enhancer.enhance(sound), enhancer.enhance(30.0 * sound)
    np.testing.assert_allclose(loud, 30.0 * soft, atol=1e-5)


@pytest.mark.parametrize("name", sorted(ENHANCERS))
def test_steady_noise_becomes_softer(name: str) -> None:
    noise = 0.02 * np.random.default_rng(1).standard_normal(32000)
    left = load_enhancer(name).enhance(noise)
    assert left.shape == noise.shape
    assert np.std(left[8000:]) < 0.5 * np.std(noise)


def test_a_file_that_holds_no_enhancer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    net = build("paper-lstm-basic")
    checkpoint.save(path, {"net": "paper-lstm-basic", "state_dict": net.state_dict()})
    with pytest.raises(NeuroampError, match="none of enhancer-lstm, enhancer-fcn"):
        load_enhancer(str(path))
    with pytest.raises(NeuroampError, match="cannot read"):
        load_enhancer(str(tmp_path / "absent.pt"))

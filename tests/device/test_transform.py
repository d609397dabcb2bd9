"""Analysis and synthesis: reconstruction, delay, streaming, physical scale."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from neuroamp.profile import PAPER, WEAR, Profile
from neuroamp.transform import Analysis, Synthesis, istft, power_scale, stft, windows

LONGER_SYNTHESIS = dataclasses.replace(WEAR, name="longer", hop=64, synthesis_length=128)
PROFILES = [PAPER, WEAR, LONGER_SYNTHESIS]


@pytest.fixture(params=PROFILES, ids=lambda profile: profile.name)
def profile(request: pytest.FixtureRequest) -> Profile:
    return request.param


def test_the_product_of_the_windows_overlap_adds_to_one(profile: Profile) -> None:
    analysis, synthesis = windows(profile)
    overlap = (analysis * synthesis).reshape(-1, profile.hop).sum(axis=0)
    np.testing.assert_allclose(overlap, 1.0, atol=1e-12)
    assert not synthesis[: -profile.synthesis_length].any()


def test_streaming_gives_back_the_input_late_by_the_synthesis_overlap(profile: Profile) -> None:
    hops = 40
    x = np.random.default_rng(1).normal(size=hops * profile.hop)
    analysis, synthesis = Analysis(profile), Synthesis(profile)
    y = np.concatenate([synthesis.push(analysis.push(hop)) for hop in x.reshape(hops, -1)])
    # The buffering of one hop, which the caller does, makes up the rest of delay_samples.
    late = profile.delay_samples - profile.hop
    np.testing.assert_allclose(y[late:], x[:-late], atol=1e-12)
    np.testing.assert_allclose(y[:late], 0.0, atol=1e-12)


def test_batch_equals_streaming(profile: Profile) -> None:
    x = np.random.default_rng(2).normal(size=(2, 21 * profile.hop + 5))
    batch = stft(profile, x)
    assert batch.shape == (2, 21, profile.bins)
    for ear in range(2):
        analysis = Analysis(profile)
        hops = x[ear, : 21 * profile.hop].reshape(21, -1)
        np.testing.assert_allclose([analysis.push(hop) for hop in hops], batch[ear], atol=1e-12)
    synthesis = Synthesis(profile)
    streamed = np.concatenate([synthesis.push(spectrum) for spectrum in batch[0]])
    np.testing.assert_array_equal(istft(profile, batch[0]), streamed)


def test_a_spectrum_sees_nothing_of_the_future(profile: Profile) -> None:
    x = np.random.default_rng(3).normal(size=20 * profile.hop)
    changed = x.copy()
    changed[10 * profile.hop :] = 0.0
    np.testing.assert_array_equal(stft(profile, x)[:10], stft(profile, changed)[:10])


def test_scaled_bin_powers_are_parsevals(profile: Profile) -> None:
    """Exactly the windowed mean square, 0 Hz and half the sample rate included."""
    frame = np.random.default_rng(7).normal(size=profile.frame_length)
    analysis, _ = windows(profile)
    power = np.abs(np.fft.rfft(frame * analysis)) ** 2 @ power_scale(profile)
    assert power == pytest.approx(np.sum((frame * analysis) ** 2) / np.sum(analysis**2))


def test_scaled_bin_powers_add_up_to_the_mean_square_pressure(profile: Profile) -> None:
    noise = np.random.default_rng(4).normal(0.0, 0.3, size=400 * profile.hop)
    power = np.abs(stft(profile, noise)[20:]) ** 2 @ power_scale(profile)
    assert power.mean() == pytest.approx(np.mean(noise**2), rel=0.03)


@pytest.mark.parametrize("frequency_hz", [500.0, 1000.0, 3500.0])
def test_a_sine_has_its_level_in_any_frame(profile: Profile, frequency_hz: float) -> None:
    n = np.arange(40 * profile.hop + profile.frame_length)
    sine = np.sqrt(2.0) * 0.02 * np.sin(2 * np.pi * frequency_hz * n / profile.sample_rate_hz)
    frames = stft(profile, sine)[-10:]
    power = np.abs(frames) ** 2 @ power_scale(profile)
    np.testing.assert_allclose(10 * np.log10(power / 0.02**2), 0.0, atol=0.1)

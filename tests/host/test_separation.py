"""Speech and noise apart at the output, and the gain that each of them got."""

import numpy as np
from neuroamp_host.evaluation.separation import separate, third_octave_gain_db

RATE_HZ = 16000


def tone(frequency_hz: float, amplitude_pa: float, seconds: float = 1.0) -> np.ndarray:
    return amplitude_pa * np.sin(2 * np.pi * frequency_hz * np.arange(seconds * RATE_HZ) / RATE_HZ)


def test_a_linear_aid_gives_each_part_its_own_output() -> None:
    rng = np.random.default_rng(1)
    speech, noise = rng.standard_normal((2, 4000))
    response = rng.standard_normal(30)
    part, rest = separate(lambda sound: np.convolve(sound, response)[: sound.size], speech, noise)
    np.testing.assert_allclose(part, np.convolve(speech, response)[:4000], atol=1e-12)
    np.testing.assert_allclose(rest, np.convolve(noise, response)[:4000], atol=1e-12)


def test_a_gain_that_changes_with_time_is_found_in_both_parts() -> None:
    rng = np.random.default_rng(2)
    speech, noise = rng.standard_normal((2, 4000))
    gain = np.linspace(0.1, 3.0, 4000)
    part, rest = separate(lambda sound: gain * sound, speech, noise)
    np.testing.assert_allclose(part, gain * speech, atol=1e-12)
    np.testing.assert_allclose(rest, gain * noise, atol=1e-12)


def test_the_parts_add_up_to_the_output_of_any_aid() -> None:
    rng = np.random.default_rng(3)
    speech, noise = rng.standard_normal((2, 4000))
    part, rest = separate(np.tanh, speech, noise)
    np.testing.assert_allclose(part + rest, np.tanh(speech + noise), atol=1e-12)


def test_each_band_shows_its_own_gain_whatever_the_delay() -> None:
    before = tone(250.0, 0.1) + tone(2000.0, 0.1)
    after = np.roll(tone(250.0, 0.2) + tone(2000.0, 0.01), 37)
    gains = third_octave_gain_db(before, after, RATE_HZ, [250.0, 2000.0])
    np.testing.assert_allclose(gains, [20 * np.log10(2.0), -20.0], atol=1e-6)


def test_a_band_without_input_has_no_gain() -> None:
    gains = third_octave_gain_db(np.zeros(1600), np.ones(1600), RATE_HZ, [1000.0, 9500.0])
    assert np.isnan(gains).all()

"""Features and outputs: their scales in dB SPL, their clamps, and that decoding inverts coding."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.bands import band_frequencies_hz, band_matrix, channel_matrix
from neuroamp.features import BandGains, Features, GainsInBands, Magnitudes, audiogram_input
from neuroamp.profile import PAPER, PAPER_BANDS, WEAR
from neuroamp.transform import power_scale, stft
from neuroamp.units import pascal_from_db_spl

OUTPUTS = hnp.arrays(
    np.float64, 257, elements=st.floats(allow_nan=False, allow_infinity=True, width=32)
)


def tone(level_db_spl: float, hz: float) -> np.ndarray:
    n = np.arange(8000)
    amplitude = np.sqrt(2.0) * pascal_from_db_spl(level_db_spl)
    return amplitude * np.sin(2 * np.pi * hz * n / 16000)


@pytest.mark.parametrize("level", [30.0, 65.0, 100.0])
def test_band_levels_are_levels_in_db_spl(level: float) -> None:
    features = Features(WEAR)(stft(WEAR, tone(level, 2000.0))[-1])
    band = int(np.argmin(np.abs(band_frequencies_hz(WEAR) - 2000.0)))
    # All of the tone is in its band and the neighbours that share its bins.
    power = np.sum(10.0 ** ((30.0 * features[band - 2 : band + 3] + 40.0) / 10.0))
    assert 10.0 * np.log10(power) == pytest.approx(level, abs=0.3)


def test_band_levels_are_clamped() -> None:
    extremes = np.stack([np.zeros(257), np.full(257, 1e9)]).astype(complex)
    np.testing.assert_allclose(Features(WEAR)(extremes)[0], -2.0)
    np.testing.assert_allclose(Features(WEAR)(extremes)[1], 80.0 / 30.0)


def test_features_of_a_batch_are_those_of_its_members() -> None:
    spectra = stft(WEAR, np.random.default_rng(1).normal(0.0, 0.05, (3, 640)))
    for profile in (WEAR, PAPER):
        extract = Features(profile)
        assert extract(spectra).shape == (3, 20, profile.feature_count)
        np.testing.assert_allclose(extract(spectra)[1, 4], extract(spectra[1, 4]), atol=1e-12)


def test_log_magnitudes_are_those_of_the_definition() -> None:
    spectrum = stft(PAPER, tone(65.0, 1000.0))[-1]
    rms_pa = np.abs(spectrum) * np.sqrt(power_scale(PAPER))
    expected = np.log(1.0 + rms_pa / 20e-6) / 4.0
    np.testing.assert_allclose(Features(PAPER)(spectrum), expected, atol=1e-12)


def test_magnitudes_undo_log_magnitudes() -> None:
    spectrum = stft(PAPER, np.random.default_rng(2).normal(0.0, 0.1, 4000))[-1]
    np.testing.assert_allclose(Magnitudes(PAPER)(Features(PAPER)(spectrum)), np.abs(spectrum))


def test_band_gains_span_the_profiles_range() -> None:
    gains = BandGains(WEAR)
    np.testing.assert_allclose(gains(np.zeros(64)), WEAR.gain_min_db)
    np.testing.assert_allclose(gains(np.ones(64)), WEAR.gain_max_db)
    rest = -WEAR.gain_min_db / (WEAR.gain_max_db - WEAR.gain_min_db)
    np.testing.assert_allclose(gains(np.full(64, rest)), 0.0, atol=1e-12)


@given(output=OUTPUTS)
def test_no_output_asks_for_more_than_its_range(output: np.ndarray) -> None:
    gain_db = BandGains(WEAR)(output[:64])
    assert (gain_db >= WEAR.gain_min_db - 1e-9).all()
    assert (gain_db <= WEAR.gain_max_db + 1e-9).all()
    level_pa = Magnitudes(PAPER)(output) * np.sqrt(power_scale(PAPER))
    assert (level_pa >= 0.0).all()
    assert (level_pa <= pascal_from_db_spl(140.0) * (1.0 + 1e-9)).all()


def test_smooth_gains_stay_as_they_are_and_errors_of_bins_go() -> None:
    """A compressor's gains, linear between a few frequencies, are smooth already."""
    rng = np.random.default_rng(3)
    spectrum = stft(PAPER_BANDS, rng.normal(0.0, 0.1, 4000))[-1]
    smooth = GainsInBands(PAPER_BANDS)
    gain_db = rng.uniform(0.0, 40.0, 11) @ channel_matrix(PAPER_BANDS)
    steps_db = np.abs(np.diff(gain_db)).max()
    np.testing.assert_allclose(smooth(gain_db, spectrum), gain_db, atol=2.0 * steps_db)
    np.testing.assert_allclose(smooth(np.full(257, 7.0), spectrum), 7.0, atol=1e-9)
    error_db = smooth(gain_db + rng.normal(0.0, 3.0, 257), spectrum) - smooth(gain_db, spectrum)
    # Single bins are bands of their own below 500 Hz, so that some of the error stays.
    assert error_db[64:].std() < 1.5


def test_inaudible_bins_hardly_count_in_a_bands_gain() -> None:
    centre = int(np.argmax(band_matrix(PAPER_BANDS)[50]))
    scale = np.sqrt(power_scale(PAPER_BANDS)) / PAPER_BANDS.level_reference_pa
    spectrum = (1e-4 / scale).astype(complex)
    spectrum[centre] = 100.0 / scale[centre]
    gain_db = np.full(257, -60.0)
    gain_db[centre] = 20.0
    smoothed = GainsInBands(PAPER_BANDS)(gain_db, spectrum)
    assert smoothed[centre] == pytest.approx(20.0, abs=0.1)
    silent = GainsInBands(PAPER_BANDS)(gain_db, np.zeros(257, complex))
    assert np.isfinite(silent).all()
    assert silent[centre] < 0.0


def test_audiogram_input_is_a_hundredth_of_db_hl() -> None:
    np.testing.assert_allclose(
        audiogram_input((0, 10, 20, 55, 100, 120)), (0, 0.1, 0.2, 0.55, 1, 1.2)
    )

"""Band layouts: partition of unity, centres, the ERB-rate scale."""

from __future__ import annotations

import numpy as np
import pytest
from neuroamp.bands import (
    CHANNEL_FREQUENCIES_HZ,
    band_frequencies_hz,
    band_matrix,
    bin_frequencies_hz,
    channel_matrix,
    erb_rate,
)
from neuroamp.profile import WEAR


@pytest.mark.parametrize(
    ("matrix", "rows"), [(band_matrix(WEAR), 64), (channel_matrix(WEAR), 11)], ids=["net", "wdrc"]
)
def test_triangles_share_every_bin_out_completely(matrix: np.ndarray, rows: int) -> None:
    assert matrix.shape == (rows, 257)
    assert (matrix >= 0.0).all()
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, atol=1e-12)
    # Triangular: no bin belongs to more than two bands, and those are neighbours.
    for column in matrix.T:
        used = np.flatnonzero(column)
        assert used.size <= 2
        assert used[-1] - used[0] <= 1


def test_equal_gains_in_all_bands_are_that_gain_in_all_bins() -> None:
    np.testing.assert_allclose(np.full(64, -7.5) @ band_matrix(WEAR), -7.5)
    np.testing.assert_allclose(np.full(11, 21.0) @ channel_matrix(WEAR), 21.0)


def test_erb_rate_is_glasberg_and_moores() -> None:
    # Their table's anchor: 1 kHz lies at 15.6 Cams; one Cam is 24.7 (4.37 f / 1000 + 1) Hz wide.
    assert erb_rate(1000.0) == pytest.approx(15.62, abs=0.01)
    for frequency in (100.0, 1000.0, 4000.0):
        width = 24.7 * (4.37e-3 * frequency + 1.0)
        step = erb_rate(frequency + width / 2) - erb_rate(frequency - width / 2)
        assert step == pytest.approx(1.0, abs=0.02)


def test_net_bands_are_whole_bins_from_end_to_end_and_near_equal_on_the_erb_scale() -> None:
    centres = band_frequencies_hz(WEAR)
    assert centres.size == 64
    assert np.isin(centres, bin_frequencies_hz(WEAR)).all()
    assert (centres[0], centres[-1]) == (0.0, 8000.0)
    assert (np.diff(centres) > 0.0).all()
    # Above the single-bin bands, a step is the same on the ERB-rate scale to within a bin.
    wide = centres > 1500.0
    bin_width = np.diff(erb_rate(centres[wide] + np.array([[0.0], [31.25]])), axis=0).max()
    assert np.ptp(np.diff(erb_rate(centres[wide]))) <= 2.0 * bin_width


def test_a_compression_channel_has_all_of_the_bin_at_its_centre() -> None:
    matrix = channel_matrix(WEAR)
    bins = bin_frequencies_hz(WEAR)
    for channel, centre in enumerate(CHANNEL_FREQUENCIES_HZ):
        nearest = int(np.argmin(np.abs(bins - centre)))
        assert bins[nearest] == centre
        assert matrix[channel, nearest] == pytest.approx(1.0)
    np.testing.assert_array_equal(matrix[0, bins <= 125.0], 1.0)

"""The limiter: nothing gets above the ceiling, and nothing lifts the ceiling."""

from __future__ import annotations

import itertools
import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.limiter import RELEASE_S, Limiter, ceiling_pa

RATE_HZ = 16000
ANY_SAMPLE = st.floats(allow_nan=True, allow_infinity=True, width=64)
SIGNALS = hnp.arrays(np.float64, st.integers(0, 300), elements=ANY_SAMPLE)
LOUD = st.floats(-100.0, 100.0)


@given(signal=SIGNALS, mpo=st.floats(60.0, 120.0))
def test_no_sample_is_ever_above_the_ceiling(signal: np.ndarray, mpo: float) -> None:
    out = Limiter(RATE_HZ, mpo).process(signal)
    assert out.shape == signal.shape
    assert np.isfinite(out).all()
    assert (np.abs(out) <= ceiling_pa(mpo)).all()
    assert not out[~np.isfinite(signal)].any()


@given(mpo=ANY_SAMPLE)
def test_no_setting_lifts_the_ceiling_above_120_db_spl(mpo: float) -> None:
    limiter = Limiter(RATE_HZ, 90.0)
    limiter.set_mpo(mpo)
    highest = math.sqrt(2.0) * 20e-6 * 10.0 ** (120.0 / 20.0)
    assert np.abs(limiter.process(np.full(10, 1e9))).max() <= highest * (1.0 + 1e-12)


@given(
    signal=hnp.arrays(np.float64, st.integers(1, 300), elements=LOUD),
    cuts=st.lists(st.integers(0, 300), max_size=6),
)
def test_block_sizes_do_not_matter(signal: np.ndarray, cuts: list[int]) -> None:
    whole = Limiter(RATE_HZ, 100.0).process(signal)
    limiter = Limiter(RATE_HZ, 100.0)
    edges = [0, *sorted(min(cut, signal.size) for cut in cuts), signal.size]
    parts = [limiter.process(signal[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_sound_below_the_ceiling_passes_untouched() -> None:
    signal = np.random.default_rng(1).uniform(-1.0, 1.0, 5000) * ceiling_pa(100.0)
    np.testing.assert_array_equal(Limiter(RATE_HZ, 100.0).process(signal), signal)


def test_the_gain_recovers_with_the_release_time_and_then_fully() -> None:
    ceiling = ceiling_pa(100.0)
    limiter = Limiter(RATE_HZ, 100.0)
    limiter.process([4.0 * ceiling])
    quiet = limiter.process(np.full(2 * RATE_HZ, 0.01 * ceiling)) / (0.01 * ceiling)
    reduction_after_release = 1.0 - quiet[round(RELEASE_S * RATE_HZ) - 1]
    assert reduction_after_release == pytest.approx(0.75 / math.e, rel=0.01)
    assert quiet[-1] == 1.0


def test_sound_that_the_held_gain_keeps_below_the_ceiling_does_not_end_the_release() -> None:
    ceiling = ceiling_pa(100.0)
    limiter = Limiter(RATE_HZ, 100.0)
    limiter.process([4.0 * ceiling])
    after = limiter.process(np.full(16, 1.5 * ceiling)) / (1.5 * ceiling)
    expected = 1.0 - 0.75 * np.exp(-np.arange(1, 17) / (RELEASE_S * RATE_HZ))
    np.testing.assert_allclose(after, expected)


def test_the_ceiling_is_the_peak_of_a_sine() -> None:
    assert ceiling_pa(94.0) == pytest.approx(math.sqrt(2.0) * 1.0024, rel=1e-3)

"""Sampled hearing losses: every one shows its pattern and its degree."""

from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import pytest
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp_host.corpora.audiogram_sampling import DEGREES, PATTERNS, sample_audiogram

SAMPLES = 60
END_OF_SCALE_DB_HL = 120.0
EVERY_KIND = list(product(PATTERNS, DEGREES))

Levels = np.ndarray
"""Thresholds in dB HL at 250, 500, 1000, 2000, 4000 and 6000 Hz."""


def is_flat(levels: Levels) -> bool:
    return np.ptp(levels) <= 20.0


def is_sloping(levels: Levels) -> bool:
    return levels[4:].mean() - levels[:2].mean() >= 15.0 and levels[0] <= levels[4] - 10.0


def is_ski_slope(levels: Levels) -> bool:
    """Level below the edge, then 20 dB or more within one octave or up to the end of the scale."""
    octaves = np.diff(levels[:5])
    ends = levels[4] == END_OF_SCALE_DB_HL and levels[0] < levels[4]
    return abs(octaves[0]) <= 10.0 and (octaves.max() >= 20.0 or ends)


def is_rising(levels: Levels) -> bool:
    return levels[:2].mean() - levels[4:].mean() >= 15.0 and levels[0] >= levels[4] + 10.0


def is_u_shaped(levels: Levels) -> bool:
    return levels[2:4].max() >= max(levels[0], levels[5]) + 10.0


def is_tent_shaped(levels: Levels) -> bool:
    return is_u_shaped(-levels)


def is_notched(levels: Levels) -> bool:
    recovers = levels[4] >= levels[5] + 10.0 or levels[4] == END_OF_SCALE_DB_HL
    return levels[4] >= levels[:4].max() + 10.0 and recovers


SHOWS: dict[str, Callable[[Levels], bool]] = {
    "flat": is_flat,
    "sloping": is_sloping,
    "ski-slope": is_ski_slope,
    "rising": is_rising,
    "u-shaped": is_u_shaped,
    "tent-shaped": is_tent_shaped,
    "notched": is_notched,
}


def samples(pattern: str | None, degree: str | None, seed: int = 0) -> list[Levels]:
    rng = np.random.default_rng(seed)
    audiograms = [sample_audiogram(rng, pattern, degree) for _ in range(SAMPLES)]
    assert {audiogram.frequencies_hz for audiogram in audiograms} == {STANDARD_FREQUENCIES_HZ}
    return [audiogram.six_point() for audiogram in audiograms]


def test_every_pattern_is_checked() -> None:
    assert set(SHOWS) == set(PATTERNS)


@pytest.mark.parametrize(("pattern", "degree"), EVERY_KIND)
def test_every_sample_shows_its_pattern(pattern: str, degree: str) -> None:
    assert [levels for levels in samples(pattern, degree) if not SHOWS[pattern](levels)] == []


@pytest.mark.parametrize(("pattern", "degree"), EVERY_KIND)
def test_the_average_at_500_1000_and_2000_hz_is_of_the_degree(pattern: str, degree: str) -> None:
    low, high = DEGREES[degree]
    averages = np.array([levels[1:4].mean() for levels in samples(pattern, degree)])
    assert low <= averages.min()
    assert averages.max() <= high
    assert np.ptp(averages) > 0.4 * (high - low)


def test_degrees_follow_one_another_up_the_scale() -> None:
    bounds = list(DEGREES.values())
    assert all(low < high for low, high in bounds)
    assert all(upper[0] > lower[1] for lower, upper in pairwise(bounds))


def test_the_patterns_differ() -> None:
    """A pattern's test is no test if the others pass it too."""
    for pattern in ("rising", "u-shaped", "tent-shaped", "notched"):
        others = [name for name in PATTERNS if name != pattern]
        shown = [SHOWS[pattern](levels) for name in others for levels in samples(name, "moderate")]
        assert np.mean(shown) < 0.2, pattern


@pytest.mark.parametrize("pattern", [None, *PATTERNS])
def test_thresholds_are_steps_of_an_audiometer(pattern: str | None) -> None:
    levels = np.array(samples(pattern, None))
    np.testing.assert_array_equal(levels % 5.0, 0.0)
    assert levels.min() >= -10.0
    assert levels.max() <= END_OF_SCALE_DB_HL


def test_without_a_choice_all_patterns_and_all_degrees_but_profound_are_drawn() -> None:
    rng = np.random.default_rng(0)
    names = {sample_audiogram(rng).name for _ in range(400)}
    drawn = set(DEGREES) - {"profound"}
    assert names == {f"{degree} {pattern}" for degree, pattern in product(drawn, PATTERNS)}


def test_the_same_seed_gives_the_same_losses_and_another_seed_others() -> None:
    first, again, other = (np.array(samples(None, None, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_unknown_patterns_and_degrees_name_the_choices() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(NeuroampError, match=r"pattern 'cookie'.*u-shaped"):
        sample_audiogram(rng, pattern="cookie")
    with pytest.raises(NeuroampError, match=r"degree 'total'.*profound"):
        sample_audiogram(rng, degree="total")

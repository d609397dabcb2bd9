"""Audiograms: what is refused, how thresholds are interpolated, what missing points mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.audiogram import (
    BISGAARD,
    BISGAARD_FREQUENCIES_HZ,
    STANDARD_FREQUENCIES_HZ,
    Audiogram,
    Ear,
    Listener,
    bisgaard,
)
from neuroamp.errors import NeuroampError

OCTAVES_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0)


@pytest.mark.parametrize(
    ("frequencies", "thresholds", "marks", "said"),
    [
        ((1000,), (6080,), (), "6080 dB HL"),
        ((1000,), (-11,), (), "-11 dB HL"),
        ((1000,), (float("nan"),), (), "nan dB HL"),
        ((1000,), (float("inf"),), (), "inf dB HL"),
        ((1000,), (10**400,), (), "dB HL"),
        ((1000,), (True,), (), "True dB HL"),
        ((1000,), ("40",), (), "'40' dB HL"),
        ((1000,), (1j,), (), "dB HL"),
        ((124,), (40,), (), "124 Hz"),
        ((8001,), (40,), (), "8001 Hz"),
        ((float("nan"),), (40,), (), "nan Hz"),
        ((2000, 1000), (40, 40), (), "must ascend"),
        ((1000, 1000), (40, 40), (), "must ascend"),
        ((), (), (), "no measured threshold"),
        ((500, 1000), (None, None), (), "no measured threshold"),
        ((500, 1000), (40,), (), "2 frequencies, 1 thresholds"),
        ((500, 1000), (40, 50), (False,), "1 no-response marks"),
        ((500, 1000), (40, None), (False, True), "no-response mark at 1000 Hz"),
        ((500, 1000), (40, 50), (False, "no"), "no-response mark at 1000 Hz"),
    ],
)
def test_a_wrong_audiogram_is_refused_in_one_sentence(
    frequencies: tuple, thresholds: tuple, marks: tuple, said: str
) -> None:
    with pytest.raises(NeuroampError) as refusal:
        Audiogram(frequencies, thresholds, marks)
    message = str(refusal.value)
    assert said in message
    assert message.endswith(".")
    assert "\n" not in message


def test_the_extremes_of_the_scale_are_accepted() -> None:
    audiogram = Audiogram((125, 8000), (-10, 120))
    assert audiogram.thresholds_db_hl == (-10.0, 120.0)
    assert audiogram.no_response == (False, False)


def test_values_become_plain_numbers_whatever_they_came_as() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 100, 5)
    audiogram = Audiogram(tuple(np.array(OCTAVES_HZ)), tuple(levels), tuple(levels > 200))
    assert audiogram == Audiogram(OCTAVES_HZ, tuple(float(level) for level in levels))
    assert {type(value) for point in audiogram.points() for value in point} == {float, bool}


def test_at_interpolates_on_log_frequency() -> None:
    audiogram = Audiogram((500, 2000), (20, 60))
    assert audiogram.at(1000.0) == pytest.approx(40.0)
    assert audiogram.at(500.0 * 2.0**0.5) == pytest.approx(30.0)
    np.testing.assert_allclose(audiogram.at([[500, 2000], [1000, 1000]]), [[20, 60], [40, 40]])


def test_at_is_flat_outside_the_measured_range_also_at_0_hz() -> None:
    audiogram = Audiogram((125, 500, 2000, 8000), (None, 20, 60, None))
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(audiogram.at([0, 20, 125, 8000, 24000]), [20, 20, 20, 60, 60])


def test_a_point_not_measured_is_passed_over_and_never_0_db_hl() -> None:
    with_gap = Audiogram((250, 500, 1000, 2000, 4000), (50, None, None, 70, None))
    without = Audiogram((250, 2000), (50, 70))
    wanted = np.geomspace(125, 8000, 50)
    np.testing.assert_array_equal(with_gap.at(wanted), without.at(wanted))
    assert with_gap.at(wanted).min() == 50.0


def test_no_response_counts_as_one_audiometer_step_beyond_the_limit() -> None:
    audiogram = Audiogram((1000, 2000, 4000), (90, 110, 118), (False, True, True))
    np.testing.assert_array_equal(audiogram.at([1000, 2000, 4000]), [90, 115, 120])
    assert audiogram.thresholds_db_hl == (90.0, 110.0, 118.0)


@given(
    st.lists(st.one_of(st.none(), st.floats(-10, 120)), min_size=5, max_size=5).filter(
        lambda levels: any(level is not None for level in levels)
    ),
    st.floats(20, 20000),
)
def test_at_stays_between_the_measured_thresholds(
    levels: list[float | None], frequency_hz: float
) -> None:
    measured = [level for level in levels if level is not None]
    there = float(Audiogram(OCTAVES_HZ, tuple(levels)).at(frequency_hz))
    assert min(measured) - 1e-9 <= there <= max(measured) + 1e-9


def test_points_in_any_order_make_the_same_audiogram() -> None:
    audiogram = Audiogram((500, 1000, 4000), (30, None, 110), (False, False, True), "X")
    points = audiogram.points()
    assert points == [(500.0, 30.0, False), (1000.0, None, False), (4000.0, 110.0, True)]
    assert Audiogram.from_points(reversed(points), "X") == audiogram
    with pytest.raises(NeuroampError, match="no measured threshold"):
        Audiogram.from_points([])


def test_six_point_is_what_the_net_is_given() -> None:
    assert STANDARD_FREQUENCIES_HZ == (250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0)
    np.testing.assert_array_equal(BISGAARD["N3"].six_point(), [35, 35, 40, 50, 60, 65])
    np.testing.assert_array_equal(BISGAARD["S3"].six_point(), [30, 35, 60, 75, 80, 85])


def test_the_standard_audiograms_have_the_properties_their_paper_gives_them() -> None:
    assert list(BISGAARD) == ["N1", "N2", "N3", "N4", "N5", "N6", "N7", "S1", "S2", "S3"]
    table = {name: audiogram.at(BISGAARD_FREQUENCIES_HZ) for name, audiogram in BISGAARD.items()}
    for name, levels in table.items():
        assert (np.diff(levels) >= 0).all(), name
    for mild, severe in zip("123456", "234567", strict=True):
        assert (table[f"N{severe}"] >= table[f"N{mild}"]).all()
    # The steep ones fall faster than any of the others.
    slope = {name: levels[-1] - levels[2] for name, levels in table.items()}
    assert min(slope[name] for name in ("S1", "S2", "S3")) > max(
        slope[name] for name in table if name.startswith("N")
    )


@pytest.mark.parametrize("name", ["N3", "n3"])
def test_bisgaard_finds_a_standard_audiogram_in_either_case(name: str) -> None:
    assert bisgaard(name) is BISGAARD["N3"]


def test_bisgaard_names_the_choices() -> None:
    with pytest.raises(NeuroampError, match=r"'N8'; choose from N1, .* S3"):
        bisgaard("N8")


def test_a_listeners_ears_are_never_exchanged() -> None:
    listener = Listener("Ada", left=BISGAARD["N2"], right=BISGAARD["S3"])
    assert listener.ear(Ear.LEFT) is BISGAARD["N2"]
    assert listener.ear(Ear.RIGHT) is BISGAARD["S3"]
    assert Ear("left") is Ear.LEFT
    assert Ear("right") is Ear.RIGHT


def test_a_missing_ear_is_said_and_not_taken_from_the_other_side() -> None:
    with pytest.raises(NeuroampError, match="'Ada' has no audiogram for the left ear"):
        Listener("Ada", right=BISGAARD["N2"]).ear(Ear.LEFT)
    with pytest.raises(NeuroampError, match="'Ada' has no audiogram"):
        Listener("Ada")

"""Fittings: round trip, and that no text makes one outside its limits or breaks the reader."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.fitting import (
    ATTACK_RANGE_S,
    COMPRESSION_RATIO_RANGE,
    GAIN_RANGE_DB,
    KNEE_RANGE_DB_SPL,
    MPO_RANGE_DB_SPL,
    RELEASE_RANGE_S,
    STRENGTH_RANGE,
    Fitting,
)


def row(count: int, low: float, high: float) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*[st.floats(low, high)] * count)


FITTINGS = st.builds(
    Fitting,
    ear=st.sampled_from(Ear),
    thresholds_db_hl=row(6, -10.0, 120.0),
    rule=st.text(max_size=20),
    gain_65_db=row(11, *GAIN_RANGE_DB),
    compression_ratio=row(11, *COMPRESSION_RATIO_RANGE),
    knee_db_spl=st.floats(*KNEE_RANGE_DB_SPL),
    attack_s=st.floats(*ATTACK_RANGE_S),
    release_s=st.floats(*RELEASE_RANGE_S),
    mpo_db_spl=st.floats(*MPO_RANGE_DB_SPL),
    noise_reduction=st.floats(*STRENGTH_RANGE),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=15,
)
FIELDS = [field.name for field in dataclasses.fields(Fitting)]


@given(fitting=FITTINGS)
def test_json_round_trip(fitting: Fitting) -> None:
    assert Fitting.from_json(fitting.to_json()) == fitting


@given(text=st.text() | JSON.map(json.dumps))
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(NeuroampError):
        Fitting.from_json(text)


@given(fitting=FITTINGS, name=st.sampled_from(FIELDS), value=JSON)
def test_a_changed_field_is_refused_or_in_range(fitting: Fitting, name: str, value: object) -> None:
    data = json.loads(fitting.to_json())
    data[name] = value
    try:
        read = Fitting.from_json(json.dumps(data))
    except NeuroampError:
        return
    assert isinstance(read.rule, str)
    for number, (low, high) in {
        read.mpo_db_spl: MPO_RANGE_DB_SPL,
        read.noise_reduction: STRENGTH_RANGE,
        read.attack_s: ATTACK_RANGE_S,
        read.release_s: RELEASE_RANGE_S,
        read.knee_db_spl: KNEE_RANGE_DB_SPL,
        max(read.gain_65_db): GAIN_RANGE_DB,
        max(read.compression_ratio): COMPRESSION_RATIO_RANGE,
    }.items():
        assert math.isfinite(number)
        assert low <= number <= high


@pytest.mark.parametrize("value", ["35", True, None, 10**400, math.nan, math.inf])
def test_a_row_takes_numbers_only(fitting: Fitting, value: object) -> None:
    data = json.loads(fitting.to_json())
    data["thresholds_db_hl"][3] = value
    with pytest.raises(NeuroampError):
        Fitting.from_json(json.dumps(data))


@given(fitting=FITTINGS, at=st.integers(0, 2000))
def test_a_truncated_fitting_is_refused(fitting: Fitting, at: int) -> None:
    text = fitting.to_json()
    with pytest.raises(NeuroampError):
        Fitting.from_json(text[: min(at, len(text) - 1)])


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("mpo_db_spl", 130.0, "MPO in dB SPL is 130.0 but must be from 60 to 120"),
        ("mpo_db_spl", math.nan, "nan"),
        ("noise_reduction", -0.1, "from 0 to 1"),
        ("gain_65_db", (71.0,) * 11, "71.0"),
        ("gain_65_db", (10.0,) * 10, "has 10 values .* needs 11"),
        ("thresholds_db_hl", (130.0,) * 6, "from -10 to 120"),
        ("release_s", True, "True"),
        ("release_s", 10**400, "from 0.01 to 3"),
        ("rule", None, "a rule's name"),
        ("ear", "left", "an ear"),
    ],
)
def test_what_is_out_of_range_is_named_with_its_limits(
    fitting: Fitting, field: str, value: object, sentence: str
) -> None:
    with pytest.raises(NeuroampError, match=sentence):
        fitting.replace(**{field: value})

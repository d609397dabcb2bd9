"""Profiles: what the two come to, round trip, and refusal of anything contradictory."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.errors import NeuroampError
from neuroamp.features import Features
from neuroamp.profile import PAPER, PROFILES, WEAR, Profile
from neuroamp.transform import Analysis, Synthesis

FIELDS = [field.name for field in dataclasses.fields(Profile)]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-10, 100000)
    | st.floats()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
)


def test_the_papers_profile_is_the_papers() -> None:
    assert (PAPER.bins, PAPER.feature_count, PAPER.step_seconds) == (257, 257, 0.016)
    assert PAPER.delay_samples == 512


def test_the_wearable_profile_is_late_by_4_ms_at_most() -> None:
    assert WEAR.delay_samples / WEAR.sample_rate_hz <= 0.004
    assert (WEAR.feature_count, WEAR.step_seconds) == (64, 0.004)


@pytest.mark.parametrize("name", PROFILES)
def test_round_trip(name: str) -> None:
    profile = PROFILES[name]
    assert Profile.from_dict(json.loads(profile.to_json())) == profile


@given(
    name=st.sampled_from(sorted(PROFILES)),
    field=st.sampled_from([*FIELDS, "format_version", "more"]),
    value=VALUES,
)
def test_a_changed_field_is_refused_or_makes_a_profile_that_runs(
    name: str, field: str, value: object
) -> None:
    data = PROFILES[name].to_dict()
    data[field] = value
    try:
        profile = Profile.from_dict(data)
    except NeuroampError:
        return
    spectrum = Analysis(profile).push(np.ones(profile.hop))
    assert np.isfinite(Synthesis(profile).push(spectrum)).all()
    features = Features(profile)(spectrum)
    assert features.shape == (profile.feature_count,)
    assert np.isfinite(features).all()


@given(field=st.sampled_from(FIELDS))
def test_a_missing_field_is_named(field: str) -> None:
    data = WEAR.to_dict()
    del data[field]
    with pytest.raises(NeuroampError, match=field):
        Profile.from_dict(data)


@given(data=VALUES)
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(NeuroampError):
        Profile.from_dict(data)


def test_another_version_is_refused_with_both_numbers() -> None:
    with pytest.raises(NeuroampError, match=r"version 2 but this release reads 1"):
        Profile.from_dict({**WEAR.to_dict(), "format_version": 2})

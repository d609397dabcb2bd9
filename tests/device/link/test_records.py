"""Records: the vectors, and any bytes at all."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.audiogram import Audiogram, Ear, bisgaard
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.codes import Program, Refusal, Status
from neuroamp.link.records import (
    EAR_NUMBERS,
    Calibration,
    FittingRecord,
    TimesRecord,
    seal_of,
    sealed,
    shortest,
)
from neuroamp.times import Times

VECTORS = json.loads((Path(__file__).parents[2] / "data/link/records.json").read_text())
ROWS = ("thresholds_db_hl", "gain_65_db", "compression_ratio")
NUMBERS = ("knee_db_spl", "attack_s", "release_s", "mpo_db_spl", "noise_reduction")
KINDS = {0: False, 1: True, 2: False}


def audiogram_of(fields: dict[str, Any]) -> Audiogram | None:
    points = [
        (float(hz), None if mark == 2 else db, KINDS[mark]) for hz, db, mark in fields["audiogram"]
    ]
    return Audiogram.from_points(points, fields["audiogram_name"]) if points else None


def fitting_of(fields: dict[str, Any]) -> Fitting:
    return Fitting(
        ear=next(ear for ear, number in EAR_NUMBERS.items() if number == fields["ear"]),
        rule=fields["rule"],
        **{name: tuple(fields[name]) for name in ROWS},
        **{name: fields[name] for name in NUMBERS},
    )


@pytest.mark.parametrize("vector", VECTORS["fittings"], ids=lambda v: v["name"])
def test_a_fitting_has_the_bytes_of_its_vector(vector: dict[str, Any]) -> None:
    fields = vector["fields"]
    record = FittingRecord(
        fitting_of(fields),
        audiogram_of(fields),
        Program(fields["program"]),
        fields["version"],
        fields["time"],
    )
    assert record.encode().hex() == vector["record"]
    assert FittingRecord.decode(bytes.fromhex(vector["record"])) == record


@pytest.mark.parametrize("vector", VECTORS["refused_fittings"], ids=lambda v: v["name"])
def test_a_wrong_fitting_is_refused_by_its_first_wrong_field(vector: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        FittingRecord.decode(bytes.fromhex(vector["record"]))
    found = (refusal.value.status, refusal.value.field, refusal.value.index)
    assert found == (vector["status"], vector["field"], vector["index"])


@pytest.mark.parametrize("vector", VECTORS["calibrations"], ids=lambda v: v["name"])
def test_a_calibration_has_the_bytes_of_its_vector(vector: dict[str, Any]) -> None:
    fields = vector["fields"]
    calibration = Calibration(
        Ear.LEFT if fields["ear"] == 1 else Ear.RIGHT,
        fields["microphone_full_scale_db_spl"],
        fields["receiver_full_scale_db_spl"],
        fields["ceiling_db_spl"],
        fields["version"],
        fields["time"],
        fields["by"],
    )
    assert calibration.encode().hex() == vector["record"]
    assert Calibration.decode(bytes.fromhex(vector["record"])) == calibration


@pytest.mark.parametrize("vector", VECTORS["refused_calibrations"], ids=lambda v: v["name"])
def test_a_wrong_calibration_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refusal:
        Calibration.decode(bytes.fromhex(vector["record"]))
    found = (refusal.value.status, refusal.value.field, refusal.value.index)
    assert found == (vector["status"], vector["field"], vector["index"])


def test_times_have_the_bytes_of_their_vector() -> None:
    (vector,) = VECTORS["times"]
    given_times = dict(vector["times"])
    histogram = [given_times["histogram"].get(str(bucket), 0) for bucket in range(256)]
    times = TimesRecord(
        vector["ticks_per_second"], Times(**(given_times | {"histogram": histogram}))
    )
    assert times.encode().hex() == vector["record"]
    assert TimesRecord.decode(bytes.fromhex(vector["record"])) == times


@given(st.floats(width=32, allow_nan=False))
def test_the_shortest_decimal_is_the_same_binary32(value: float) -> None:
    assert struct.pack("<f", shortest(value)) == struct.pack("<f", value)
    if math.isfinite(value):
        assert repr(shortest(value)) == repr(float(str(np.float32(value))))


def decoded(record: bytes) -> FittingRecord | None:
    """The fitting, or None where one of its values is refused."""
    status, field = Status.BAD_VALUE, 1
    try:
        return FittingRecord.decode(record)
    except Refusal as refusal:
        status, field = refusal.status, refusal.field
    assert status is Status.BAD_VALUE
    assert 1 <= field <= 16
    return None


@given(st.binary(min_size=292, max_size=292))
def test_any_sealed_bytes_are_a_fitting_or_refused(body: bytes) -> None:
    record = decoded(sealed(body))
    assert record is None or FittingRecord.decode(record.encode()) == record


VALID = bytes.fromhex(VECTORS["fittings"][0]["record"])


@given(st.integers(0, 291), st.binary(min_size=1, max_size=8))
def test_a_fitting_changed_anywhere_is_a_fitting_or_refused(at: int, change: bytes) -> None:
    body = (VALID[:at] + change + VALID[at + len(change) :])[:292]
    record = decoded(sealed(body))
    # Whatever was accepted is within the ranges that Fitting itself checks, and is kept.
    assert record is None or record.encode() == sealed(body)


@given(st.binary(max_size=400))
def test_bytes_without_a_seal_are_refused(data: bytes) -> None:
    for kind in (FittingRecord, Calibration, TimesRecord):
        with pytest.raises(Refusal):
            kind.decode(data)


def test_what_does_not_fit_into_a_record_is_refused_by_who_writes_it(fitting: Fitting) -> None:
    for rule in ("r" * 41, "règle"):
        with pytest.raises(NeuroampError, match="at most 40 ASCII"):
            FittingRecord(fitting.replace(rule=rule)).encode()
    with pytest.raises(NeuroampError, match="version"):
        FittingRecord(fitting, version=-1).encode()
    many = Audiogram.from_points((125.0 + 10 * i, 20.0, False) for i in range(17))
    with pytest.raises(NeuroampError, match="17 points"):
        FittingRecord(fitting, many).encode()
    with pytest.raises(NeuroampError, match=r"79\.9 dB SPL but must be from 80 to 150"):
        Calibration(Ear.LEFT, 79.9, 100.0, 100.0).encode()
    with pytest.raises(NeuroampError, match="ceiling is 121 dB SPL but must be from 60 to 120"):
        Calibration(Ear.LEFT, 100.0, 100.0, 121.0).encode()
    with pytest.raises(NeuroampError, match="at most 16"):
        Calibration(Ear.LEFT, 100.0, 100.0, 100.0, by="x" * 17).encode()
    with pytest.raises(NeuroampError, match="version"):
        Calibration(Ear.LEFT, 100.0, 100.0, 100.0, version=2**32).encode()


def test_a_table_s_path_and_a_foreign_name_become_what_a_record_holds(fitting: Fitting) -> None:
    named = Audiogram(
        bisgaard("N3").frequencies_hz, bisgaard("N3").thresholds_db_hl, name="Zoë " * 10
    )
    record = FittingRecord(fitting.replace(rule="/some/where/gains.csv"), named)
    back = FittingRecord.decode(record.encode())
    assert back.fitting.rule == "gains.csv"
    assert back.audiogram is not None
    assert back.audiogram.name == ("Zo? " * 10)[:24]
    assert seal_of(back.encode()) == seal_of(record.encode())

"""Records: a fitting, a calibration, the times of a stage, as bytes with a CRC of their own.

Floats are binary32 on the line; a decoded one is the shortest decimal number that rounds to it, so
that a fitting that was read and is written again is the same bytes.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from pathlib import PurePath
from typing import Any

import numpy as np

from neuroamp.audiogram import (
    FREQUENCY_RANGE_HZ,
    STANDARD_FREQUENCIES_HZ,
    THRESHOLD_RANGE_DB_HL,
    Audiogram,
    Ear,
)
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
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
from neuroamp.link.codes import (
    CALIBRATION_BYTES,
    FITTING_BYTES,
    TIMES_BYTES,
    Field,
    Program,
    Refusal,
    Status,
)
from neuroamp.times import BUCKETS, Times

EAR_NUMBERS = {Ear.LEFT: 1, Ear.RIGHT: 2}
EARS_BY_NUMBER = {number: ear for ear, number in EAR_NUMBERS.items()}
FORMAT = 1
LATEST_TIME_S = 2**53
CALIBRATION_RANGE_DB_SPL = (80.0, 150.0)

RULE_CHARACTERS = 40
NAME_CHARACTERS = 24
BY_CHARACTERS = 16
MOST_POINTS = 16
MEASURED, NO_RESPONSE, NOT_MEASURED = 0, 1, 2

FITTING_HEAD = struct.Struct(f"<BBBBIq{RULE_CHARACTERS}s{NAME_CHARACTERS}s")
POINT = struct.Struct("<HhB")
CALIBRATION = struct.Struct(f"<BBHfffIq{BY_CHARACTERS}s")
TIMES = struct.Struct(f"<IIQQQQ{BUCKETS}I")
SEAL = struct.Struct("<I")

FLOATS = (
    ("thresholds_db_hl", len(STANDARD_FREQUENCIES_HZ), Field.THRESHOLDS, THRESHOLD_RANGE_DB_HL),
    ("gain_65_db", len(CHANNEL_FREQUENCIES_HZ), Field.GAIN_65, GAIN_RANGE_DB),
    (
        "compression_ratio",
        len(CHANNEL_FREQUENCIES_HZ),
        Field.COMPRESSION_RATIO,
        COMPRESSION_RATIO_RANGE,
    ),
    ("knee_db_spl", 1, Field.KNEE, KNEE_RANGE_DB_SPL),
    ("attack_s", 1, Field.ATTACK, ATTACK_RANGE_S),
    ("release_s", 1, Field.RELEASE, RELEASE_RANGE_S),
    ("mpo_db_spl", 1, Field.MPO, MPO_RANGE_DB_SPL),
    ("noise_reduction", 1, Field.RECORD_NOISE_REDUCTION, STRENGTH_RANGE),
)
"""A fitting's numbers in the order of the record: name, how many, field, range."""

ROWS = {"thresholds_db_hl", "gain_65_db", "compression_ratio"}


@dataclasses.dataclass(frozen=True)
class FittingRecord:
    """A fitting and what is written down with it.

    Attributes:
        fitting: the ear's gains and limits.
        audiogram: what it was fitted to; None where that is not known.
        program: the one that the fitting begins in.
        version: counted by who fits, 0 to 2^32 - 1.
        time_s: of the fitting, whole seconds since 1970 UTC; 0 unknown.
    """

    fitting: Fitting
    audiogram: Audiogram | None = None
    program: Program = Program.EVERYDAY
    version: int = 0
    time_s: int = 0

    def encode(self) -> bytes:
        """The record, 296 bytes.

        Raises:
            NeuroampError: the rule's name is too long or not ASCII, the audiogram has more than
                16 points, or a number does not fit.
        """
        fitting, audiogram = self.fitting, self.audiogram
        name = "" if audiogram is None else audiogram.name
        shown = "".join(c if " " <= c <= "~" else "?" for c in name)[:NAME_CHARACTERS]
        points = () if audiogram is None else audiogram.points()
        if len(points) > MOST_POINTS:
            raise NeuroampError(
                f"the audiogram has {len(points)} points but a device keeps at most "
                f"{MOST_POINTS}; leave some out."
            )
        try:
            head = FITTING_HEAD.pack(
                FORMAT,
                EAR_NUMBERS[fitting.ear],
                self.program,
                len(points),
                self.version,
                self.time_s,
                _rule_text(fitting.rule),
                shown.encode("ascii"),
            )
        except struct.error:
            raise NeuroampError(
                f"the fitting's version is {self.version} and its time {self.time_s} but they "
                "must be whole numbers from 0; correct them."
            ) from None
        values: list[float] = []
        for field, count, _, _ in FLOATS:
            value = getattr(fitting, field)
            values += value if count > 1 else [value]
        body = head + struct.pack(f"<{len(values)}f", *values)
        body += b"".join(
            POINT.pack(
                round(hz),
                0 if db is None else round(100.0 * db),
                NOT_MEASURED if db is None else NO_RESPONSE if silent else MEASURED,
            )
            for hz, db, silent in points
        )
        return sealed(body.ljust(FITTING_BYTES - SEAL.size, b"\0"))

    @classmethod
    def decode(cls, record: bytes) -> FittingRecord:
        """The fitting of a record.

        Raises:
            Refusal: the length or the CRC is wrong, or a value; the first one in the order of the
                record.
        """
        body = unsealed(record, FITTING_BYTES)
        form, ear, program, points, version, time_s, rule, name = FITTING_HEAD.unpack_from(body)
        _check(form == FORMAT, Field.FORMAT)
        _check(ear in EARS_BY_NUMBER, Field.RECORD_EAR)
        _check(program in list(Program), Field.RECORD_PROGRAM)
        _check(points <= MOST_POINTS, Field.POINTS)
        _check(0 <= time_s <= LATEST_TIME_S, Field.TIME)
        rule_text = text_of(rule, Field.RULE)
        audiogram_name = text_of(name, Field.AUDIOGRAM_NAME)
        values: dict[str, Any] = {}
        offset = FITTING_HEAD.size
        for field, count, number, (low, high) in FLOATS:
            row = tuple(map(shortest, struct.unpack_from(f"<{count}f", body, offset)))
            offset += 4 * count
            for index, value in enumerate(row):
                _check(low <= value <= high, number, index)
            values[field] = row if field in ROWS else row[0]
        audiogram = _audiogram(body[offset:], points, audiogram_name)
        fitting = Fitting(ear=EARS_BY_NUMBER[ear], rule=rule_text, **values)
        return cls(fitting, audiogram, Program(program), version, time_s)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What full scale means in dB SPL at one ear; measured, and never part of a fitting.

    Attributes:
        ear: which ear.
        microphone_full_scale_db_spl: level at the microphone that is read with an RMS of 1, 80 to
            150.
        receiver_full_scale_db_spl: level in the ear simulator that an RMS of 1 gives, 80 to 150.
        ceiling_db_spl: the device's own limit whatever the fitting, of a sine, 60 to 120.
        version: counted by who calibrates.
        time_s: whole seconds since 1970 UTC; 0 unknown.
        by: by whom or with what, at most 16 ASCII characters.
    """

    ear: Ear
    microphone_full_scale_db_spl: float
    receiver_full_scale_db_spl: float
    ceiling_db_spl: float
    version: int = 0
    time_s: int = 0
    by: str = ""

    def encode(self) -> bytes:
        """The record, 48 bytes.

        Raises:
            NeuroampError: a level is out of range, the text is too long or not ASCII, or a number
                does not fit.
        """
        full_scale = CALIBRATION_RANGE_DB_SPL
        for what, level, (low, high) in (
            ("microphone's full scale", self.microphone_full_scale_db_spl, full_scale),
            ("receiver's full scale", self.receiver_full_scale_db_spl, full_scale),
            ("ceiling", self.ceiling_db_spl, MPO_RANGE_DB_SPL),
        ):
            if not low <= level <= high:
                raise NeuroampError(
                    f"the {what} is {level:g} dB SPL but must be from {low:g} to {high:g} dB SPL; "
                    "correct it."
                )
        if len(self.by) > BY_CHARACTERS or not _printable(self.by):
            raise NeuroampError(
                f"the calibration is by {self.by!r} but that must be at most {BY_CHARACTERS} "
                "ASCII characters; shorten it."
            )
        try:
            body = CALIBRATION.pack(
                FORMAT,
                EAR_NUMBERS[self.ear],
                0,
                self.microphone_full_scale_db_spl,
                self.receiver_full_scale_db_spl,
                self.ceiling_db_spl,
                self.version,
                self.time_s,
                self.by.encode("ascii"),
            )
        except struct.error:
            raise NeuroampError(
                f"the calibration's version is {self.version} and its time {self.time_s} but they "
                "must be whole numbers from 0; correct them."
            ) from None
        return sealed(body)

    @classmethod
    def decode(cls, record: bytes) -> Calibration:
        """The calibration of a record.

        Raises:
            Refusal: as `FittingRecord.decode`.
        """
        body = unsealed(record, CALIBRATION_BYTES)
        form, ear, zero, microphone, receiver, ceiling, version, time_s, by = CALIBRATION.unpack(
            body
        )
        microphone, receiver, ceiling = map(shortest, (microphone, receiver, ceiling))
        _check(form == FORMAT, Field.CALIBRATION_FORMAT)
        _check(ear in EARS_BY_NUMBER, Field.CALIBRATION_EAR)
        _check(zero == 0, Field.CALIBRATION_ZERO)
        for level, (low, high), field in zip(
            (microphone, receiver, ceiling),
            (CALIBRATION_RANGE_DB_SPL, CALIBRATION_RANGE_DB_SPL, MPO_RANGE_DB_SPL),
            (Field.MICROPHONE, Field.RECEIVER, Field.CEILING),
            strict=True,
        ):
            _check(low <= level <= high, field)
        _check(0 <= time_s <= LATEST_TIME_S, Field.CALIBRATION_TIME)
        text = text_of(by, Field.CALIBRATED_BY)
        return cls(EARS_BY_NUMBER[ear], microphone, receiver, ceiling, version, time_s, text)


@dataclasses.dataclass(frozen=True)
class TimesRecord:
    """Times of a stage with the clock they were taken by; 0 ticks a second: nothing is timed."""

    ticks_per_second: int
    times: Times

    def encode(self) -> bytes:
        """The record, 1064 bytes; counts beyond its fields stay at their largest."""
        times = self.times
        totals = (times.count, times.total, times.max, times.deadline_misses)
        return TIMES.pack(
            self.ticks_per_second,
            0,
            *(min(total, 2**64 - 1) for total in totals),
            *(min(count, 2**32 - 1) for count in times.histogram),
        )

    @classmethod
    def decode(cls, record: bytes) -> TimesRecord:
        """The times of a record.

        Raises:
            Refusal: its length is wrong.
        """
        if len(record) != TIMES_BYTES:
            raise Refusal(Status.BAD_LENGTH)
        ticks, _, count, total, longest, misses, *histogram = TIMES.unpack(record)
        return cls(ticks, Times(count, total, longest, misses, list(histogram)))


def sealed(body: bytes) -> bytes:
    """A record: its body and the CRC-32 of it."""
    return body + SEAL.pack(zlib.crc32(body))


def unsealed(record: bytes, size: int) -> bytes:
    """The body of a record of `size` bytes.

    Raises:
        Refusal: its length or its CRC is wrong.
    """
    if len(record) != size:
        raise Refusal(Status.BAD_LENGTH)
    body = record[: -SEAL.size]
    if SEAL.pack(zlib.crc32(body)) != record[-SEAL.size :]:
        raise Refusal(Status.BAD_CRC)
    return body


def seal_of(record: bytes) -> int:
    """The CRC-32 at the end of a record."""
    return int(SEAL.unpack(record[-SEAL.size :])[0])


def shortest(value: float) -> float:
    """The shortest decimal number that rounds to a binary32."""
    return float(str(np.float32(value)))


def text_of(padded: bytes, field: int) -> str:
    """Printable ASCII, padded with zeros.

    Raises:
        Refusal: another character, or one after the first zero; the index is its place.
    """
    text, _, rest = padded.partition(b"\0")
    for index, byte in enumerate(text):
        _check(0x20 <= byte <= 0x7E, field, index)
    for index, byte in enumerate(rest, len(text) + 1):
        _check(byte == 0, field, index)
    return text.decode("ascii")


def _printable(text: str) -> bool:
    return all(" " <= character <= "~" for character in text)


def _rule_text(rule: str) -> bytes:
    # A gain table is named by its file: where that lay says nothing on a device.
    name = PurePath(rule).name if rule.lower().endswith((".csv", ".json")) else rule
    if len(name) > RULE_CHARACTERS or not _printable(name):
        raise NeuroampError(
            f"the rule's name is {name!r} but a device keeps at most {RULE_CHARACTERS} ASCII "
            "characters; give the gain table a shorter name."
        )
    return name.encode("ascii")


def _check(good: bool, field: int, index: int = 0) -> None:
    if not good:
        raise Refusal(Status.BAD_VALUE, field, index)


def _audiogram(data: bytes, count: int, name: str) -> Audiogram | None:
    lowest_hz, highest_hz = FREQUENCY_RANGE_HZ
    low_db, high_db = (100.0 * limit for limit in THRESHOLD_RANGE_DB_HL)
    points: list[tuple[float, float | None, bool]] = []
    before = 0
    for index in range(count):
        hz, hundredths, mark = POINT.unpack_from(data, POINT.size * index)
        good = (
            lowest_hz <= hz <= highest_hz
            and hz > before
            and mark <= NOT_MEASURED
            and low_db <= hundredths <= high_db
            and (mark != NOT_MEASURED or hundredths == 0)
        )
        _check(good, Field.AUDIOGRAM, index)
        before = hz
        points.append(
            (float(hz), None if mark == NOT_MEASURED else hundredths / 100.0, mark == NO_RESPONSE)
        )
    for index in range(count, MOST_POINTS):
        beyond = data[POINT.size * index : POINT.size * (index + 1)]
        _check(not any(beyond), Field.AUDIOGRAM, index)
    if not points:
        return None
    _check(any(db is not None for _, db, _ in points), Field.AUDIOGRAM)
    return Audiogram.from_points(points, name)

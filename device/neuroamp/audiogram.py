"""Audiograms: hearing thresholds of one ear, dB HL, with what was not measured or not heard."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import numbers
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.errors import NeuroampError

Point = tuple[float, float | None, bool]
"""Frequency in Hz, threshold in dB HL or None where not measured, no response at that level."""

FREQUENCY_RANGE_HZ = (125.0, 8000.0)
THRESHOLD_RANGE_DB_HL = (-10.0, 120.0)

STANDARD_FREQUENCIES_HZ = (250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0)
"""The six points that the nets and the metrics are given (the paper, IV-A-4)."""

NO_RESPONSE_EXTRA_DB = 5.0
"""'No response at the limit' counts as the limit and one audiometer step more."""


class Ear(enum.Enum):
    """Which ear; never a bare index."""

    LEFT = "left"
    RIGHT = "right"


@dataclasses.dataclass(frozen=True)
class Audiogram:
    """Pure-tone air-conduction thresholds of one ear.

    Attributes:
        frequencies_hz: ascending, 125 to 8000 Hz.
        thresholds_db_hl: dB HL, -10 to 120, one a frequency; None where not measured.
        no_response: True where nothing was heard up to the limit that the threshold names; left
            out, everything was heard.
        name: for people, such as 'N3'.

    Raises:
        NeuroampError: a value is out of range, the frequencies do not ascend, the lengths differ,
            no response is marked without its limit, or nothing was measured.
    """

    frequencies_hz: tuple[float, ...]
    thresholds_db_hl: tuple[float | None, ...]
    no_response: tuple[bool, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        count = len(self.frequencies_hz)
        marks = self.no_response or (False,) * count
        if not len(self.thresholds_db_hl) == len(marks) == count:
            raise NeuroampError(
                f"the audiogram has {count} frequencies, {len(self.thresholds_db_hl)} thresholds "
                f"and {len(marks)} no-response marks; give one of each a frequency."
            )
        frequencies = tuple(
            _checked("frequency", frequency, FREQUENCY_RANGE_HZ, "Hz")
            for frequency in self.frequencies_hz
        )
        thresholds = tuple(
            None
            if threshold is None
            else _checked("threshold", threshold, THRESHOLD_RANGE_DB_HL, "dB HL")
            for threshold in self.thresholds_db_hl
        )
        if any(b <= a for a, b in itertools.pairwise(frequencies)):
            raise NeuroampError(
                f"the audiogram's frequencies must ascend but are {list(frequencies)} Hz; "
                "sort them and remove repeated ones."
            )
        for frequency, threshold, mark in zip(frequencies, thresholds, marks, strict=True):
            if not isinstance(mark, (bool, np.bool_)) or (mark and threshold is None):
                raise NeuroampError(
                    f"the audiogram's no-response mark at {frequency:g} Hz is {mark!r} with a "
                    f"threshold of {threshold}, but it must be true, with the limit tested as the "
                    "threshold, or false; correct it."
                )
        if all(threshold is None for threshold in thresholds):
            raise NeuroampError(
                "the audiogram has no measured threshold but needs at least one; measure it again."
            )
        object.__setattr__(self, "frequencies_hz", frequencies)
        object.__setattr__(self, "thresholds_db_hl", thresholds)
        object.__setattr__(self, "no_response", tuple(bool(mark) for mark in marks))

    @classmethod
    def from_points(cls, points: Iterable[Point], name: str = "") -> Audiogram:
        """Audiogram of points in any order.

        Raises:
            NeuroampError: as the constructor; a frequency given twice counts as not ascending.
        """
        ordered = sorted(points, key=lambda point: point[0])
        frequencies, thresholds, marks = zip(*ordered, strict=True) if ordered else ((), (), ())
        return cls(frequencies, thresholds, marks, name)

    def points(self) -> list[Point]:
        """Frequency, threshold and no-response mark of each point, lowest frequency first."""
        return list(zip(self.frequencies_hz, self.thresholds_db_hl, self.no_response, strict=True))

    def at(self, frequencies_hz: ArrayLike) -> NDArray[np.float64]:
        """Thresholds in dB HL at `frequencies_hz`, same shape.

        Interpolated on log frequency between measured points and held flat outside; points not
        measured are passed over, and no response at L dB HL counts as L + 5 dB HL (120 at most).
        """
        measured = [
            (frequency, self._counted(threshold, silent))
            for frequency, threshold, silent in self.points()
            if threshold is not None
        ]
        known_hz, known_db = zip(*measured, strict=True)
        # 0 Hz, the first bin of a spectrum, has no logarithm; below the first point all is flat.
        wanted = np.maximum(np.asarray(frequencies_hz, dtype=np.float64), known_hz[0])
        return np.interp(np.log(wanted), np.log(known_hz), known_db)

    def six_point(self) -> NDArray[np.float64]:
        """Thresholds in dB HL at `STANDARD_FREQUENCIES_HZ`, shape [6]."""
        return self.at(STANDARD_FREQUENCIES_HZ)

    @staticmethod
    def _counted(threshold: float, silent: bool) -> float:
        extra = NO_RESPONSE_EXTRA_DB if silent else 0.0
        return min(threshold + extra, THRESHOLD_RANGE_DB_HL[1])


@dataclasses.dataclass(frozen=True)
class Listener:
    """A person: up to two ears, never interchangeable."""

    name: str
    left: Audiogram | None = None
    right: Audiogram | None = None

    def __post_init__(self) -> None:
        if self.left is None and self.right is None:
            raise NeuroampError(
                f"the listener {self.name!r} has no audiogram but needs one for at least one ear; "
                "add it."
            )

    def ear(self, ear: Ear) -> Audiogram:
        """The audiogram of one ear.

        Raises:
            NeuroampError: there is none for that ear.
        """
        audiogram = self.left if ear is Ear.LEFT else self.right
        if audiogram is None:
            raise NeuroampError(
                f"the listener {self.name!r} has no audiogram for the {ear.value} ear; "
                "add it or choose the other ear."
            )
        return audiogram


def _checked(what: str, value: object, allowed: tuple[float, float], unit: str) -> float:
    low, high = allowed
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not low <= value <= high:  # type: ignore[operator]
        raise NeuroampError(
            f"the audiogram has a {what} of {value!r} {unit} but it must be a number from "
            f"{low:g} to {high:g} {unit}; correct it."
        )
    return float(value)  # type: ignore[arg-type]


def _standard(name: str, thresholds: Sequence[float]) -> Audiogram:
    return Audiogram(BISGAARD_FREQUENCIES_HZ, tuple(map(float, thresholds)), name=name)


BISGAARD_FREQUENCIES_HZ = (
    250.0,
    375.0,
    500.0,
    750.0,
    1000.0,
    1500.0,
    2000.0,
    3000.0,
    4000.0,
    6000.0,
)

BISGAARD = {
    name: _standard(name, thresholds)
    for name, thresholds in {
        "N1": (10, 10, 10, 10, 10, 10, 15, 20, 30, 40),
        "N2": (20, 20, 20, 22.5, 25, 30, 35, 40, 45, 50),
        "N3": (35, 35, 35, 35, 40, 45, 50, 55, 60, 65),
        "N4": (55, 55, 55, 55, 55, 60, 65, 70, 75, 80),
        "N5": (65, 67.5, 70, 72.5, 75, 80, 80, 80, 80, 80),
        "N6": (75, 77.5, 80, 82.5, 85, 90, 90, 95, 100, 100),
        "N7": (90, 92.5, 95, 100, 105, 105, 105, 105, 105, 105),
        "S1": (10, 10, 10, 10, 10, 10, 15, 30, 55, 70),
        "S2": (20, 20, 20, 22.5, 25, 35, 55, 75, 95, 95),
        "S3": (30, 30, 35, 47.5, 60, 70, 75, 80, 80, 85),
    }.items()
}
"""The ten standard audiograms (Bisgaard, Vlaming & Dahlquist 2010, Trends in Amplification 14)."""


def bisgaard(name: str) -> Audiogram:
    """A standard audiogram by name, N1 to N7 and S1 to S3, in either case.

    Raises:
        NeuroampError: there is none of that name.
    """
    try:
        return BISGAARD[name.upper()]
    except KeyError:
        raise NeuroampError(
            f"there is no standard audiogram {name!r}; choose from {', '.join(BISGAARD)}."
        ) from None

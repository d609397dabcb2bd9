"""A gain table from a file: the way to use a prescription that cannot be implemented here.

CSV with the columns frequency_hz, input_db_spl, gain_db, or JSON with the same names:

    {"frequency_hz": [500, 1000], "input_db_spl": [50, 65, 80],
     "gain_db": [[14, 10, 6], [20, 16, 12]]}

a row of `gain_db` for each frequency. The input level is that of speech. With one level the rule
is linear; with several, which must include 65 dB SPL, the compression ratio follows from the slope
between the lowest and the highest.
"""

from __future__ import annotations

import csv
import io
import json
import numbers
from pathlib import Path
from typing import Any

import numpy as np
from neuroamp.errors import NeuroampError
from numpy.typing import ArrayLike

from neuroamp_host.prescription.rule import Prescription, on_log_frequency

COLUMNS = ("frequency_hz", "input_db_spl", "gain_db")
RANGES = ((20.0, 20000.0), (20.0, 110.0), (-30.0, 70.0))
SPEECH_DB_SPL = 65.0
LEAST_SLOPE = 0.25
"""Output over input of the steepest compression that a table can ask for, a ratio of 4."""

Table = dict[tuple[float, float], float]
"""Gain in dB by frequency in Hz and input level in dB SPL."""


def load_gain_table(path: Path, frequencies_hz: ArrayLike) -> Prescription:
    """The prescription of a table at `frequencies_hz`; gains below 0 dB become 0 dB.

    Raises:
        NeuroampError: the file cannot be read, a column is missing, a value is no number, out of
            range or given twice, a frequency lacks a level that others have, or there are several
            levels that do not include 65 dB SPL.
    """
    return gain_table_from_text(_text(path), str(path), frequencies_hz)


def gain_table_from_text(text: str, name: str, frequencies_hz: ArrayLike) -> Prescription:
    """The prescription of a table's content; `name` is what errors call the file.

    Raises:
        NeuroampError: as `load_gain_table`, but for the file's own troubles.
    """
    table = _parsed(text, name)
    levels = sorted({level for _, level in table})
    known_hz = sorted({frequency for frequency, _ in table})
    for frequency in known_hz:
        for level in levels:
            if (frequency, level) not in table:
                raise NeuroampError(
                    f"the gain table {name} has no gain at {frequency:g} Hz for {level:g} dB SPL "
                    "though it has other frequencies at that level; add it."
                )
    if len(levels) > 1 and not levels[0] <= SPEECH_DB_SPL <= levels[-1]:
        raise NeuroampError(
            f"the gain table {name} is for {levels[0]:g} to {levels[-1]:g} dB SPL but must "
            f"include speech of {SPEECH_DB_SPL:g} dB SPL; add that level."
        )
    gains = np.array([[table[frequency, level] for level in levels] for frequency in known_hz])
    gain_65 = np.array([np.interp(SPEECH_DB_SPL, levels, row) for row in gains])
    ratio = np.ones(len(known_hz))
    if len(levels) > 1:
        rise = (gains[:, -1] - gains[:, 0]) / (levels[-1] - levels[0])
        ratio = 1.0 / np.clip(1.0 + rise, LEAST_SLOPE, 1.0)
    return Prescription(
        np.asarray(frequencies_hz, dtype=np.float64),
        np.maximum(0.0, on_log_frequency(frequencies_hz, known_hz, gain_65)),
        on_log_frequency(frequencies_hz, known_hz, ratio),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise NeuroampError(
            f"the gain table {path} is not UTF-8 text; export it again as UTF-8."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NeuroampError(
            f"cannot read the gain table {str(path)!r} ({reason}); give the path of a CSV or JSON "
            "file."
        ) from None


def _parsed(text: str, name: str) -> Table:
    rows = _json_rows(text, name) if text.lstrip().startswith("{") else _csv_rows(text, name)
    table: Table = {}
    for number, row in enumerate(rows, start=1):
        frequency, level, gain = (
            _checked(value, column, allowed, f"row {number} of the gain table {name}")
            for value, column, allowed in zip(row, COLUMNS, RANGES, strict=True)
        )
        if (frequency, level) in table:
            raise NeuroampError(
                f"row {number} of the gain table {name} gives {frequency:g} Hz and {level:g} dB "
                "SPL once more; keep one gain."
            )
        table[frequency, level] = gain
    if not table:
        raise NeuroampError(
            f"the gain table {name} has no rows; give lines of {', '.join(COLUMNS)}."
        )
    return table


def _csv_rows(text: str, name: str) -> list[tuple[Any, ...]]:
    try:
        records = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise NeuroampError(
            f"the gain table {name} is no CSV ({error}); export it again with the columns "
            f"{', '.join(COLUMNS)}."
        ) from None
    return [tuple(record.get(column) for column in COLUMNS) for record in records]


def _json_rows(text: str, name: str) -> list[tuple[Any, ...]]:
    try:
        document = json.loads(text)
        frequencies, levels, gains = (document[column] for column in COLUMNS)
        return [
            (frequency, level, gain)
            for frequency, row in zip(frequencies, gains, strict=True)
            for level, gain in zip(levels, row, strict=True)
        ]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NeuroampError(
            f"the gain table {name} is not whole ({type(error).__name__}: {error}); give "
            f"{', '.join(COLUMNS)} with a row of gains for each frequency."
        ) from None


def _checked(value: Any, column: str, allowed: tuple[float, float], where: str) -> float:
    low, high = allowed
    try:
        number = float(value) if isinstance(value, (str, numbers.Real)) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not low <= number <= high or isinstance(value, bool):
        raise NeuroampError(
            f"{where} has {column} = {value!r} but a number from {low:g} to {high:g} is "
            "expected; correct it."
        )
    return number

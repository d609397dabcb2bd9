"""A gain table from a file: the way to use a prescription that cannot be implemented here.

CSV with the columns frequency_hz, input_db_spl, gain_db; the input level is that of speech. With
one level the rule is linear; with several the compression ratio follows from the slope between
the levels.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
from neuroamp.errors import NeuroampError
from numpy.typing import ArrayLike

from neuroamp_host.prescription.rule import Prescription, on_log_frequency

COLUMNS = ("frequency_hz", "input_db_spl", "gain_db")
RANGES = ((125.0, 8000.0), (20.0, 110.0), (0.0, 70.0))
SPEECH_DB_SPL = 65.0


def load_gain_table(path: Path, frequencies_hz: ArrayLike) -> Prescription:
    """The prescription of a table at `frequencies_hz`.

    Raises:
        NeuroampError: the file is missing, a column is missing, a value is no number or out of
            range, or a frequency lacks a level that others have.
    """
    table = _read(path)
    levels = sorted({level for _, level in table})
    known_hz = sorted({frequency for frequency, _ in table})
    for frequency in known_hz:
        for level in levels:
            if (frequency, level) not in table:
                raise NeuroampError(
                    f"the gain table {path} has no gain at {frequency:g} Hz for {level:g} dB SPL "
                    "though it has other frequencies at that level; add it."
                )
    gains = np.array([[table[frequency, level] for level in levels] for frequency in known_hz])
    gain_65 = np.array([np.interp(SPEECH_DB_SPL, levels, row) for row in gains])
    if len(levels) > 1:
        rise = (gains[:, -1] - gains[:, 0]) / (levels[-1] - levels[0])
        ratio = np.clip(1.0 / np.maximum(1.0 + rise, 0.25), 1.0, 4.0)
    else:
        ratio = np.ones(len(known_hz))
    return Prescription(
        np.asarray(frequencies_hz, dtype=np.float64),
        on_log_frequency(frequencies_hz, known_hz, gain_65),
        on_log_frequency(frequencies_hz, known_hz, ratio),
    )


def _read(path: Path) -> dict[tuple[float, float], float]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise NeuroampError(
            f"cannot read the gain table {path} ({error.strerror}); give the path of a CSV file."
        ) from None
    except (UnicodeDecodeError, csv.Error):
        raise NeuroampError(
            f"the gain table {path} is not text in CSV form; export it again with the columns "
            f"{', '.join(COLUMNS)}."
        ) from None
    table = {}
    for number, row in enumerate(rows, start=2):
        values = []
        for column, (low, high) in zip(COLUMNS, RANGES, strict=True):
            try:
                value = float(row[column] or "")
            except (KeyError, TypeError, ValueError):
                value = math.nan
            if not low <= value <= high:
                raise NeuroampError(
                    f"line {number} of the gain table {path} has {column} = {row.get(column)!r} "
                    f"but a number from {low:g} to {high:g} is expected; correct it."
                )
            values.append(value)
        table[values[0], values[1]] = values[2]
    if not table:
        raise NeuroampError(
            f"the gain table {path} has no rows; give lines of {', '.join(COLUMNS)}."
        )
    return table

"""Audiograms from files and to files.

Read are: a standard audiogram by its name, this project's JSON and CSV, HL7 FHIR (see
`neuroamp.audiogram_fhir`) and the `listeners.json` of the Clarity challenges. What a file holds
decides how it is read; all of it is UTF-8 text.

JSON, as `save_listeners_json` writes it; an ear that was not measured is null, so is a threshold:

    {"format": "neuroamp-audiograms", "format_version": 1, "listeners": [
      {"name": "Ada", "left": null, "right": {"name": "", "frequencies_hz": [500, 1000, 4000],
       "thresholds_db_hl": [30, null, 110], "no_response": [false, false, true]}}]}

CSV, as `save_listeners_csv` writes it, one line a point; the columns `listener`, `no_response` and
`audiogram` (its name) may be left out, an empty threshold was not measured:

    listener,ear,frequency_hz,threshold_db_hl,no_response,audiogram
    Ada,right,500,30,no,
    Ada,right,4000,110,yes,

or one line an ear, `ear` being left, right or both:

    listener,ear,500,1000,4000
    Ada,right,30,,>110

A threshold may be written `>110`, `110+` or `110 NR` for no response at 110 dB HL, and NA, DNT
(did not test) or CNT (could not test) for a missing one. Columns may be parted by semicolons or
tabs, and then a decimal comma is understood.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from neuroamp.audiogram import BISGAARD, Audiogram, Ear, Listener, Point
from neuroamp.audiogram_fhir import is_fhir, listeners_from_fhir
from neuroamp.errors import NeuroampError

FORMAT = "neuroamp-audiograms"
FORMAT_VERSION = 1
LARGEST_FILE_BYTES = 64 * 2**20

LONG_COLUMNS = ("listener", "ear", "frequency_hz", "threshold_db_hl", "no_response", "audiogram")
EAR_WORDS = {
    "left": (Ear.LEFT,),
    "l": (Ear.LEFT,),
    "right": (Ear.RIGHT,),
    "r": (Ear.RIGHT,),
    "both": (Ear.LEFT, Ear.RIGHT),
}
ANSWERS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}
NOT_MEASURED = {"", "-", "na", "n/a", "nan", "null", "none", "dnt", "cnt"}
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?"
NO_RESPONSE_FORMS = re.compile(rf">=?\s*({NUMBER})|({NUMBER})\s*(?:\+|nr)|nr\s*({NUMBER})")
FREQUENCY_COLUMN = re.compile(r"(\d+(?:\.\d*)?)\s*(k?)\s*(?:hz)?")


def load_listeners(source: str | Path) -> list[Listener]:
    """All listeners of a file, in its order, or one with a standard audiogram on both ears.

    Args:
        source: path of a file, or N1 to N7, S1 to S3 (a file of such a name is './N3').

    Raises:
        NeuroampError: there is no such file, it cannot be read, it is none of the formats above,
            or an audiogram in it is wrong.
    """
    standard = BISGAARD.get(str(source).upper()) if isinstance(source, str) else None
    if standard is not None:
        return [Listener(standard.name, left=standard, right=standard)]
    return listeners_from_text(_read(Path(source)), str(source))


def listeners_from_text(text: str, name: str) -> list[Listener]:
    """All listeners of a file's content, in its order; `name` is what errors call the file.

    Raises:
        NeuroampError: it is none of the formats above, or an audiogram in it is wrong.
    """
    try:
        listeners = _from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_csv(text)
        _refuse_repeated_names(listeners)
    except NeuroampError as error:
        raise NeuroampError(f"{name}: {error}") from None
    return listeners


def load_listener(source: str | Path, listener: str | None = None) -> Listener:
    """One listener of a file: the one called `listener`, or the only one.

    Raises:
        NeuroampError: as `load_listeners`, or the name is missing or not in the file.
    """
    listeners = load_listeners(source)
    if listener is None and len(listeners) == 1:
        return listeners[0]
    for candidate in listeners:
        if candidate.name == listener:
            return candidate
    wrong = "more than one listener" if listener is None else f"no listener {listener!r}"
    shown = ", ".join(repr(candidate.name) for candidate in listeners[:12])
    more = f" and {len(listeners) - 12} more" if len(listeners) > 12 else ""
    raise NeuroampError(f"{source} holds {wrong}; name one of {shown}{more}.")


def save_listeners_json(path: str | Path, listeners: Iterable[Listener]) -> None:
    """Writes listeners in this project's JSON; reading gives exactly the same.

    Raises:
        NeuroampError: two listeners have the same name, or the file cannot be written.
    """
    _write(Path(path), listeners_as_json(listeners))


def listeners_as_json(listeners: Iterable[Listener]) -> str:
    """Listeners in this project's JSON; reading gives exactly the same.

    Raises:
        NeuroampError: two listeners have the same name.
    """
    listeners = list(listeners)
    _refuse_repeated_names(listeners)
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "listeners": [
            {
                "name": listener.name,
                "left": _to_json(listener.left),
                "right": _to_json(listener.right),
            }
            for listener in listeners
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def save_listeners_csv(path: str | Path, listeners: Iterable[Listener]) -> None:
    """Writes listeners in this project's CSV; reading gives exactly the same.

    Raises:
        NeuroampError: two listeners have the same name, or the file cannot be written.
    """
    listeners = list(listeners)
    _refuse_repeated_names(listeners)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(LONG_COLUMNS)
    for listener in listeners:
        for ear, audiogram in ((Ear.LEFT, listener.left), (Ear.RIGHT, listener.right)):
            if audiogram is None:
                continue
            for frequency, threshold, silent in audiogram.points():
                level = "" if threshold is None else repr(threshold)
                answer = "yes" if silent else "no"
                row = (listener.name, ear.value, repr(frequency), level, answer, audiogram.name)
                writer.writerow(row)
    _write(Path(path), text.getvalue())


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise NeuroampError(
                f"the audiogram file {path} has more than {LARGEST_FILE_BYTES // 2**20} MiB, which "
                "is no table of audiograms; give another file."
            )
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NeuroampError(
            f"cannot read the audiogram file {str(path)!r} ({reason}); give the path of a file or "
            f"the name of a standard audiogram: {', '.join(BISGAARD)}."
        ) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NeuroampError(
            f"the audiogram file {path} is not UTF-8 text; save it as UTF-8."
        ) from None
    if not text.strip():
        raise NeuroampError(f"the audiogram file {path} is empty; export it again.")
    return text


def _write(path: Path, text: str) -> None:
    try:
        path.write_bytes(text.encode("utf-8"))
    except (OSError, ValueError) as error:
        raise NeuroampError(
            f"cannot write the audiograms to {str(path)!r} ({error}); choose another file."
        ) from None


def _refuse_repeated_names(listeners: list[Listener]) -> None:
    names = set()
    for listener in listeners:
        if listener.name in names:
            raise NeuroampError(
                f"there are two listeners called {listener.name!r}; give each its own name."
            )
        names.add(listener.name)


def _from_json(text: str) -> list[Listener]:
    try:
        document = json.loads(text, object_pairs_hook=_object_without_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise NeuroampError(
            f"this is not whole JSON ({error}); export the audiograms again."
        ) from None
    if is_fhir(document):
        return listeners_from_fhir(document)
    if isinstance(document, dict) and "format" in document:
        return _from_own_json(document)
    return _from_clarity(document)


def _object_without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    merged = dict(pairs)
    if len(merged) != len(pairs):
        raise ValueError("a key is repeated within one object")
    return merged


def _from_own_json(document: dict[str, Any]) -> list[Listener]:
    version = document.get("format_version")
    if document["format"] != FORMAT or version != FORMAT_VERSION:
        raise NeuroampError(
            f"the format is {document['format']!r} version {version!r} but must be {FORMAT!r} "
            f"version {FORMAT_VERSION}; export the audiograms again."
        )
    listeners = []
    for entry in _list(document.get("listeners"), "listeners"):
        entry = _object(entry, "a listener")
        name = _text(entry.get("name"), "a listener's name")
        audiograms = {}
        for ear in Ear:
            record = entry.get(ear.value)
            if record is not None:
                with_ear = f"the {ear.value} audiogram of {name!r}"
                audiograms[ear] = _named(with_ear, _audiogram_from_json, record)
        listeners.append(_listener(name, audiograms))
    return _some(listeners)


def _to_json(audiogram: Audiogram | None) -> dict[str, Any] | None:
    if audiogram is None:
        return None
    return {
        "name": audiogram.name,
        "frequencies_hz": list(audiogram.frequencies_hz),
        "thresholds_db_hl": list(audiogram.thresholds_db_hl),
        "no_response": list(audiogram.no_response),
    }


def _audiogram_from_json(record: Any) -> Audiogram:
    record = _object(record, "an audiogram")
    return Audiogram(
        tuple(_list(record.get("frequencies_hz"), "frequencies_hz")),
        tuple(_list(record.get("thresholds_db_hl"), "thresholds_db_hl")),
        tuple(_list(record.get("no_response", []), "no_response")),
        _text(record.get("name", ""), "an audiogram's name"),
    )


def _from_clarity(document: Any) -> list[Listener]:
    """The Clarity challenges' layout, and two that share one row of frequencies.

    {ID: {"audiogram_cfs": [...], "audiogram_levels_l": [...], "audiogram_levels_r": [...]}}, a
    list of such entries under "listeners", or {"audiograms": {NAME: [...]}} for both ears.
    """
    common_hz = document.get("audiogram_cfs") if isinstance(document, dict) else None
    if isinstance(document, dict) and "audiograms" in document:
        listeners = []
        for name, levels in _object(document["audiograms"], "audiograms").items():
            audiogram = _named(repr(name), _clarity_audiogram, common_hz, levels, name)
            listeners.append(Listener(name, left=audiogram, right=audiogram))
        return _some(listeners)
    if isinstance(document, dict) and "listeners" in document:
        document = document["listeners"]
    if isinstance(document, dict) and any(key.startswith("audiogram_levels_") for key in document):
        document = [document]
    if isinstance(document, dict):
        entries = list(document.items())
    else:
        entries = [(str(n), entry) for n, entry in enumerate(_list(document, "listeners"), start=1)]
    return _some([_clarity_listener(key, entry, common_hz) for key, entry in entries])


def _clarity_listener(key: str, entry: Any, common_hz: Any) -> Listener:
    entry = _object(entry, f"the listener {key!r}")
    name = _text(entry.get("name", entry.get("id", key)), "a listener's name")
    audiograms = {}
    for ear, levels_key in ((Ear.LEFT, "audiogram_levels_l"), (Ear.RIGHT, "audiogram_levels_r")):
        levels = entry.get(levels_key)
        if levels is not None:
            frequencies = entry.get("audiogram_cfs", common_hz)
            with_ear = f"the {ear.value} audiogram of {name!r}"
            audiograms[ear] = _named(with_ear, _clarity_audiogram, frequencies, levels)
    return _listener(name, audiograms)


def _clarity_audiogram(frequencies: Any, levels: Any, name: str = "") -> Audiogram:
    return Audiogram(
        tuple(_list(frequencies, "audiogram_cfs")),
        tuple(_list(levels, "the levels of an audiogram")),
        name=name,
    )


def _from_csv(text: str) -> list[Listener]:
    heading = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=heading.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = [row for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise NeuroampError(
            f"this is neither JSON nor a table ({error}); export the audiograms again."
        ) from None
    columns = [cell.strip().lower() for cell in rows[0]]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise NeuroampError(
                f"row {number} of the table has {len(row)} cells but the heading has "
                f"{len(columns)}; complete it."
            )
    records = [dict(zip(columns, row, strict=True)) for row in rows[1:]]
    if len(set(columns)) != len(columns):
        raise NeuroampError("the table's heading names a column twice; remove one.")
    if "ear" not in columns or not records:
        raise NeuroampError(
            "this is neither JSON nor a table with a column 'ear' and at least one row; give "
            f"columns {', '.join(LONG_COLUMNS)}."
        )
    decimal_comma = delimiter != ","
    if "frequency_hz" in columns and "threshold_db_hl" in columns:
        return _from_long_table(records, decimal_comma)
    return _from_wide_table(records, columns, decimal_comma)


Measured = dict[str, dict[Ear, list[Point]]]
"""Points by listener and ear."""


def _from_long_table(records: list[dict[str, str]], decimal_comma: bool) -> list[Listener]:
    measured: Measured = {}
    names: dict[tuple[str, Ear], str] = {}
    for record in records:
        listener = record.get("listener", "")
        frequency = _number(record["frequency_hz"], "frequency_hz", decimal_comma)
        threshold, silent = _threshold(record["threshold_db_hl"], decimal_comma)
        silent = silent or _answer(record.get("no_response", ""))
        for ear in _ears(record["ear"]):
            points = measured.setdefault(listener, {}).setdefault(ear, [])
            points.append((frequency, threshold, silent))
            name = record.get("audiogram", "")
            if names.setdefault((listener, ear), name) != name:
                raise NeuroampError(
                    f"the {ear.value} audiogram of {listener!r} has two names, "
                    f"{names[listener, ear]!r} and {name!r}; give it one."
                )
    return _from_points(measured, names)


def _from_wide_table(
    records: list[dict[str, str]], columns: list[str], decimal_comma: bool
) -> list[Listener]:
    frequencies = {}
    for column in columns:
        match = FREQUENCY_COLUMN.fullmatch(column)
        if match:
            frequencies[column] = float(match[1]) * (1000.0 if match[2] else 1.0)
    if not frequencies:
        raise NeuroampError(
            f"the table has neither the columns frequency_hz and threshold_db_hl nor one a "
            f"frequency (250, 500, ...) but {', '.join(map(repr, columns[:12]))}; rename them."
        )
    name_column = next((name for name in ("listener", "name", "id") if name in columns), None)
    measured: Measured = {}
    for record in records:
        listener = record[name_column] if name_column else ""
        points = [
            (frequency, *_threshold(record[column], decimal_comma))
            for column, frequency in frequencies.items()
        ]
        for ear in _ears(record["ear"]):
            ears = measured.setdefault(listener, {})
            if ear in ears:
                raise NeuroampError(
                    f"the table has two rows for the {ear.value} ear of {listener!r}; keep one."
                )
            ears[ear] = points
    return _from_points(measured, {})


def _from_points(measured: Measured, names: dict[tuple[str, Ear], str]) -> list[Listener]:
    listeners = []
    for listener, ears in measured.items():
        audiograms = {}
        for ear, points in ears.items():
            with_ear = f"the {ear.value} audiogram of {listener!r}"
            name = names.get((listener, ear), "")
            audiograms[ear] = _named(with_ear, Audiogram.from_points, points, name)
        listeners.append(_listener(listener, audiograms))
    return listeners


def _number(cell: str, column: str, decimal_comma: bool) -> float:
    try:
        return float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        raise NeuroampError(
            f"the table has {cell!r} as {column} but needs a number; correct it."
        ) from None


def _threshold(cell: str, decimal_comma: bool) -> tuple[float | None, bool]:
    """Threshold in dB HL or None, and whether there was no response."""
    word = cell.strip().lower()
    if word in NOT_MEASURED:
        return None, False
    if decimal_comma:
        word = word.replace(",", ".")
    silent = NO_RESPONSE_FORMS.fullmatch(word)
    if silent:
        return float(next(group for group in silent.groups() if group)), True
    if word in ("nr", "+"):
        raise NeuroampError(
            f"the table has {cell!r} as a threshold but not at which level nothing was heard; "
            "write the limit too, such as '>110'."
        )
    return _number(word, "a threshold", decimal_comma), False


def _answer(cell: str) -> bool:
    try:
        return ANSWERS[cell.strip().lower()]
    except KeyError:
        raise NeuroampError(
            f"the table has {cell!r} as no_response but needs yes or no; correct it."
        ) from None


def _ears(cell: str) -> tuple[Ear, ...]:
    try:
        return EAR_WORDS[cell.strip().lower()]
    except KeyError:
        raise NeuroampError(
            f"the table has {cell!r} as ear but needs left, right or both; correct it."
        ) from None


def _listener(name: str, audiograms: dict[Ear, Audiogram]) -> Listener:
    return Listener(name, audiograms.get(Ear.LEFT), audiograms.get(Ear.RIGHT))


def _named(what: str, make: Callable[..., Audiogram], *arguments: Any) -> Audiogram:
    """`make(*arguments)`, an error of which says which audiogram is wrong."""
    try:
        return make(*arguments)
    except NeuroampError as error:
        raise NeuroampError(f"{what}: {error}") from None


def _some(listeners: list[Listener]) -> list[Listener]:
    if not listeners:
        raise NeuroampError("there is no listener in it; export the audiograms again.")
    return listeners


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NeuroampError(
            f"{what} must be a JSON object but is a {type(value).__name__}; export it again."
        )
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise NeuroampError(
            f"{what} must be a JSON list but is a {type(value).__name__}; export it again."
        )
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise NeuroampError(
            f"{what} must be text but is a {type(value).__name__}; export it again."
        )
    return value

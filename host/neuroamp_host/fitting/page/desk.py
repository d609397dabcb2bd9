"""What a fitter entered, as fittings; and the numbers that the page draws from them.

Everything that comes from a browser is checked here, by the classes that the rest of the project
uses: a box on a page that says "at most 120" is no limit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from neuroamp.audiogram import (
    BISGAARD,
    FREQUENCY_RANGE_HZ,
    THRESHOLD_RANGE_DB_HL,
    Audiogram,
    Ear,
    Listener,
)
from neuroamp.audiogram_files import listeners_as_json, listeners_from_text
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp.fitting import MPO_RANGE_DB_SPL, STRENGTH_RANGE, Fitting

from neuroamp_host.prescription import RULES, prescribe
from neuroamp_host.prescription.fit import DEFAULT_MPO_DB_SPL, fitting_of
from neuroamp_host.prescription.gain_table import gain_table_from_text

DEFAULT_RULE = "nal-r"
GAIN_TABLE = "gain-table"
"""The rule's name on the page when the gains come from a file."""

SPEECH_LEVELS_DB_SPL = (50.0, 65.0, 80.0)
TRIAL_RANGE_S = (5.0, 300.0)
DEFAULT_TRIAL_S = 30.0
MOST_POINTS = 64
LONGEST_TEXT = 200

RULE_WORDS = {
    "half-gain": "Half gain",
    "nal-r": "NAL-R",
    "nal-r-clarity": "NAL-R as in the Clarity challenges",
    "nal-rp": "NAL-RP",
    "cameq": "CAMEQ, linear formula",
    "cameq-compressive": "CAMEQ, compressive",
    GAIN_TABLE: "Gain table from a file",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a fitter wants for one ear."""

    audiogram: Audiogram
    fitting: Fitting


def limits() -> dict[str, Any]:
    """Ranges, rules and names that the page offers; the server keeps them whatever it offers."""
    return {
        "channels_hz": list(CHANNEL_FREQUENCIES_HZ),
        "frequency_hz": list(FREQUENCY_RANGE_HZ),
        "threshold_db_hl": list(THRESHOLD_RANGE_DB_HL),
        "mpo_db_spl": [*MPO_RANGE_DB_SPL, DEFAULT_MPO_DB_SPL],
        "noise_reduction": list(STRENGTH_RANGE),
        "trial_s": [*TRIAL_RANGE_S, DEFAULT_TRIAL_S],
        "rules": [{"name": name, "words": RULE_WORDS[name]} for name in (*RULES, GAIN_TABLE)],
        "default_rule": DEFAULT_RULE,
        "standard": {name: points_of(audiogram) for name, audiogram in BISGAARD.items()},
    }


def points_of(audiogram: Audiogram) -> list[list[Any]]:
    """Points for the page: [Hz, dB HL or null, no response]."""
    return [list(point) for point in audiogram.points()]


def plan_for(ear: Ear, wanted: Any) -> Plan:
    """The plan for one ear.

    Args:
        ear: which ear.
        wanted: an object with `points` ([Hz, dB HL or null, no response] each), `rule`, `linear`,
            `table` ({"name", "text"} where the rule is a gain table), `mpo_db_spl` and
            `noise_reduction`; all but the points may be left out.

    Raises:
        NeuroampError: anything in it is missing, of another kind or out of range.
    """
    with_ear = f"the {ear.value} ear"
    wanted = mapping(wanted, with_ear)
    try:
        audiogram = audiogram_from(wanted.get("points"), text(wanted.get("name", ""), "a name"))
        linear = flag(wanted.get("linear", False), "linear")
        rule = text(wanted.get("rule", DEFAULT_RULE), "the rule")
        if rule == GAIN_TABLE:
            rule, table = _table(wanted.get("table"))
            prescription = gain_table_from_text(table, rule, CHANNEL_FREQUENCIES_HZ)
            if linear:
                ones = np.ones(prescription.gain_65_db.size)
                prescription = dataclasses.replace(prescription, compression_ratio=ones)
        elif rule in RULES:
            prescription = prescribe(rule, audiogram, CHANNEL_FREQUENCIES_HZ, linear)
        else:
            # `prescribe` would take the path of a file, which is not for a browser to name.
            raise NeuroampError(
                f"there is no prescription rule {rule!r}; choose from "
                f"{', '.join((*RULES, GAIN_TABLE))}."
            )
        mpo = number(wanted.get("mpo_db_spl", DEFAULT_MPO_DB_SPL), "MPO in dB SPL")
        strength = number(wanted.get("noise_reduction", 1.0), "noise reduction")
        fitting = fitting_of(prescription, audiogram, ear, rule, mpo, strength)
    except NeuroampError as error:
        raise NeuroampError(f"{with_ear}: {error}") from None
    return Plan(audiogram, fitting)


def plans_for(ears: Any) -> dict[Ear, Plan]:
    """Plans for the ears of an object keyed 'left', 'right'.

    Raises:
        NeuroampError: there is none, another key, or one of them is wrong.
    """
    ears = mapping(ears, "ears")
    unknown = set(ears) - {ear.value for ear in Ear}
    if unknown or not ears:
        named = ", ".join(sorted(map(repr, unknown))) or "none"
        raise NeuroampError(f"the ears are {named} but must be left, right or both; name one.")
    return {ear: plan_for(ear, ears[ear.value]) for ear in Ear if ear.value in ears}


def audiogram_from(points: Any, name: str = "") -> Audiogram:
    """The audiogram of points [Hz, dB HL or null, no response].

    Raises:
        NeuroampError: they are no such points, or the audiogram is wrong.
    """
    if not isinstance(points, list) or len(points) > MOST_POINTS:
        raise NeuroampError(
            f"the audiogram must be a list of at most {MOST_POINTS} points; draw it again."
        )
    for point in points:
        if not isinstance(point, list) or len(point) != 3:
            raise NeuroampError(
                "a point of the audiogram must be [Hz, dB HL or null, no response]; draw it again."
            )
        number(point[0], "an audiogram's frequency in Hz")
    return Audiogram.from_points([(point[0], point[1], point[2]) for point in points], name)


def targets_of(fitting: Fitting) -> dict[str, Any]:
    """Gains in dB at the compression channels, for speech of `SPEECH_LEVELS_DB_SPL`.

    Between channels the device's gain is linear in log frequency, so that these are the whole
    curve.
    """
    return {
        "channels_hz": list(CHANNEL_FREQUENCIES_HZ),
        "gain_db": {f"{level:g}": gains_at(fitting, level) for level in SPEECH_LEVELS_DB_SPL},
        "compression_ratio": list(fitting.compression_ratio),
        "fitting": summary(fitting),
    }


def gains_at(fitting: Fitting, speech_db_spl: float) -> list[float]:
    """Insertion gain, dB, per channel, for speech of a level in dB SPL (`neuroamp.wdrc`)."""
    above = max(speech_db_spl, fitting.knee_db_spl) - 65.0
    slope = 1.0 / np.asarray(fitting.compression_ratio) - 1.0
    gains = np.maximum(np.asarray(fitting.gain_65_db) + slope * above, 0.0)
    return [float(gain) for gain in gains]


def summary(fitting: Fitting) -> dict[str, Any]:
    """A fitting for the page."""
    return {**dataclasses.asdict(fitting), "ear": fitting.ear.value}


def listeners_in(name: Any, content: Any) -> list[dict[str, Any]]:
    """The listeners of an audiogram file that the browser read.

    Raises:
        NeuroampError: the file is none that `neuroamp.audiogram_files` reads.
    """
    if not isinstance(content, str):
        raise NeuroampError("the audiogram file has no text in it; choose another file.")
    listeners = listeners_from_text(content.removeprefix("\ufeff"), text(name, "a file's name"))
    return [
        {
            "name": listener.name,
            **{
                ear.value: None if audiogram is None else points_of(audiogram)
                for ear, audiogram in ((Ear.LEFT, listener.left), (Ear.RIGHT, listener.right))
            },
        }
        for listener in listeners
    ]


def audiogram_file(name: Any, ears: Any) -> str:
    """The audiograms of {"left": {"points"}, "right": ...} as a file of this project.

    Raises:
        NeuroampError: an audiogram is wrong.
    """
    drawn = {}
    for key, entry in mapping(ears, "ears").items():
        points = mapping(entry, f"the {key} ear").get("points")
        drawn[key] = audiogram_from(points)
    listener = Listener(text(name, "the listener's name"), drawn.get("left"), drawn.get("right"))
    return listeners_as_json([listener])


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """`value`, if it is an object.

    Raises:
        NeuroampError: it is none.
    """
    if not isinstance(value, dict):
        raise NeuroampError(
            f"{what} must be a JSON object but is {_shown(value)}; load the page again."
        )
    return value


def text(value: Any, what: str) -> str:
    """`value`, if it is text of a sensible length.

    Raises:
        NeuroampError: it is none.
    """
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise NeuroampError(
            f"{what} must be text of at most {LONGEST_TEXT} characters but is {_shown(value)}; "
            "shorten it."
        )
    return value


def flag(value: Any, what: str) -> bool:
    """`value`, if it is true or false.

    Raises:
        NeuroampError: it is neither.
    """
    if not isinstance(value, bool):
        raise NeuroampError(f"{what} must be true or false but is {_shown(value)}; choose one.")
    return value


def number(value: Any, what: str, allowed: tuple[float, float] | None = None) -> float:
    """`value`, if it is a finite number, and within `allowed` where that is given.

    Raises:
        NeuroampError: it is not.
    """
    low, high = (-math.inf, math.inf) if allowed is None else allowed
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or abs(value) > 1e300:
        range_words = "" if allowed is None else f" from {low:g} to {high:g}"
        raise NeuroampError(
            f"{what} is {_shown(value)} but must be a number{range_words}; correct it."
        )
    return float(value)


def _table(table: Any) -> tuple[str, str]:
    if table is None:
        raise NeuroampError("there is no gain table yet; choose its file (*.csv, *.json).")
    table = mapping(table, "the gain table")
    content = table.get("text")
    if not isinstance(content, str):
        raise NeuroampError("the gain table has no text in it; choose its file again.")
    return text(table.get("name"), "the gain table's name"), content.removeprefix("\ufeff")


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."

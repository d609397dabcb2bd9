"""Audiograms from HL7 FHIR: Observation resources, alone, in a list or in a Bundle.

A threshold is an Observation, or one component of it. Ear and frequency come from its LOINC code
(panel 89015-2, pure-tone air conduction), or else from its words and its body site, or, in HL7's
personal health record format, from the components `frequency`, `leftEarSensitivity` and
`rightEarSensitivity`. A comparator `>` or `>=` means no response at that level; an absent value
means not measured. Bone conduction and averages are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from neuroamp.audiogram import Audiogram, Ear, Listener, Point
from neuroamp.errors import NeuroampError

LOINC_THRESHOLDS = {
    "91375-6": (Ear.LEFT, 250.0),
    "91374-9": (Ear.RIGHT, 250.0),
    "89024-4": (Ear.LEFT, 500.0),
    "89025-1": (Ear.RIGHT, 500.0),
    "91379-8": (Ear.LEFT, 750.0),
    "91378-0": (Ear.RIGHT, 750.0),
    "89016-0": (Ear.LEFT, 1000.0),
    "89017-8": (Ear.RIGHT, 1000.0),
    "91373-1": (Ear.LEFT, 1500.0),
    "91372-3": (Ear.RIGHT, 1500.0),
    "89018-6": (Ear.LEFT, 2000.0),
    "89019-4": (Ear.RIGHT, 2000.0),
    "89020-2": (Ear.LEFT, 3000.0),
    "89021-0": (Ear.RIGHT, 3000.0),
    "89022-8": (Ear.LEFT, 4000.0),
    "89023-6": (Ear.RIGHT, 4000.0),
    "91377-2": (Ear.LEFT, 5000.0),
    "91376-4": (Ear.RIGHT, 5000.0),
    "89026-9": (Ear.LEFT, 6000.0),
    "89027-7": (Ear.RIGHT, 6000.0),
    "89028-5": (Ear.LEFT, 8000.0),
    "89029-3": (Ear.RIGHT, 8000.0),
}
"""LOINC 'Hearing threshold Ear - left --500 Hz' and so on, the members of panel 89015-2."""

SNOMED_EARS = {"89644007": Ear.LEFT, "25577004": Ear.RIGHT}
SENSITIVITIES = {"leftEarSensitivity": Ear.LEFT, "rightEarSensitivity": Ear.RIGHT}
RETRACTED = ("entered-in-error", "cancelled")
DECIBEL_UNITS = ("", "db", "dbhl", "db[hl]", "db hl", "db(hl)")

THRESHOLD_WORDS = re.compile(r"pure[- ]?tone|air[- ]conduction|hearing (threshold|level)|audiogra")
OTHER_WORDS = re.compile(r"\b(bone|average|mean|aided|sound field|free field)\b")
EAR_WORDS = re.compile(r"\b(left|right)\b")
FREQUENCY_WORDS = re.compile(r"(\d+(?:\.\d+)?)\s*(k?)hz\b")

Json = dict[str, Any]


def is_fhir(document: Any) -> bool:
    """True for a resource or a list of resources."""
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and "resourceType" in first


def listeners_from_fhir(document: Any) -> list[Listener]:
    """The listeners of a document for which `is_fhir` holds: one a subject of Observations.

    Raises:
        NeuroampError: there is no threshold in it, a threshold is in no unit of hearing level or
            contradicts itself about the ear, or a point was measured twice.
    """
    resources = list(_resources(document))
    people: dict[str, Json] = {}
    for url, resource in resources:
        if resource.get("resourceType") == "Patient":
            people[url] = people[f"Patient/{resource.get('id')}"] = resource
    measured: dict[str, dict[Ear, list[Point]]] = {}
    displays: dict[str, str] = {}
    for _, resource in resources:
        if resource.get("resourceType") != "Observation" or resource.get("status") in RETRACTED:
            continue
        subject = _object(resource.get("subject"))
        reference = _words(subject.get("reference"))
        displays.setdefault(reference, _words(subject.get("display")))
        for ear, point in _thresholds(resource):
            measured.setdefault(reference, {}).setdefault(ear, []).append(point)
    if not measured:
        raise NeuroampError(
            "there is no hearing threshold in this FHIR document; export Observations with the "
            "LOINC codes of panel 89015-2."
        )
    listeners = []
    for reference, ears in measured.items():
        name = _name(people.get(reference, {})) or displays[reference] or reference
        audiograms = (_audiogram(name, ear, ears) for ear in (Ear.LEFT, Ear.RIGHT))
        listeners.append(Listener(name, *audiograms))
    return listeners


def _resources(document: Any, url: str = "") -> Iterator[tuple[str, Json]]:
    """Each resource of a document, with its address in the Bundle."""
    if isinstance(document, list):
        for entry in document:
            yield from _resources(entry)
    elif isinstance(document, dict):
        yield url, document
        for entry in _objects(document.get("entry")):
            yield from _resources(entry.get("resource"), _words(entry.get("fullUrl")))
        yield from _resources(document.get("contained"))


def _name(patient: Json) -> str:
    for name in _objects(patient.get("name")):
        given = name.get("given")
        parts = [*(given if isinstance(given, list) else []), name.get("family")]
        written = _words(name.get("text")) or " ".join(filter(None, map(_words, parts)))
        if written:
            return written
    return ""


def _thresholds(observation: Json) -> Iterator[tuple[Ear, Point]]:
    """The thresholds of one Observation, with their ears."""
    components = _objects(observation.get("component"))
    frequency = next((c for c in components if "frequency" in _codes(c)), None)
    if frequency is not None:
        yield from _sensitivities(components, _frequency_value(frequency))
        return
    for part in components or [observation]:
        known = _ear_and_frequency(part, observation)
        if known is not None:
            ear, frequency_hz = known
            threshold, silent = _threshold_value(part)
            yield ear, (frequency_hz, threshold, silent)


def _sensitivities(components: list[Json], frequency_hz: float) -> Iterator[tuple[Ear, Point]]:
    for component in components:
        for code in _codes(component):
            if code in SENSITIVITIES:
                threshold, silent = _threshold_value(component)
                yield SENSITIVITIES[code], (frequency_hz, threshold, silent)


def _ear_and_frequency(part: Json, observation: Json) -> tuple[Ear, float] | None:
    site = _ear_of_site(part) or _ear_of_site(observation)
    for code in _codes(part):
        if code in LOINC_THRESHOLDS:
            ear, frequency_hz = LOINC_THRESHOLDS[code]
            if site is not None and site is not ear:
                raise NeuroampError(
                    f"LOINC {code} is the {ear.value} ear but the body site is the {site.value} "
                    "ear; correct the one that is wrong."
                )
            return ear, frequency_hz
    words = f"{_words_of(part)} {_words_of(observation)}"
    if OTHER_WORDS.search(words) or not THRESHOLD_WORDS.search(words):
        return None
    sides = set(EAR_WORDS.findall(words)) | ({site.value} if site else set())
    frequencies = set(FREQUENCY_WORDS.findall(words))
    if len(sides) != 1 or len(frequencies) != 1:
        return None
    number, kilo = frequencies.pop()
    return Ear(sides.pop()), float(number) * (1000.0 if kilo else 1.0)


def _ear_of_site(part: Json) -> Ear | None:
    site = part.get("bodySite")
    for coding in _objects(_object(site).get("coding")):
        if coding.get("code") in SNOMED_EARS:
            return SNOMED_EARS[coding["code"]]
    sides = set(EAR_WORDS.findall(_concept_words(site)))
    return Ear(sides.pop()) if len(sides) == 1 else None


def _frequency_value(component: Json) -> float:
    quantity = _object(component.get("valueQuantity"))
    unit = _words(quantity.get("code") or quantity.get("unit")).lower()
    value = quantity.get("value")
    if unit not in ("hz", "khz") or not isinstance(value, (int, float)):
        raise NeuroampError(f"a frequency is {value!r} {unit!r} but must be in Hz; correct it.")
    return value * 1000 if unit == "khz" else value


def _threshold_value(part: Json) -> tuple[float | None, bool]:
    """Threshold in dB HL or None, and whether there was no response; checked by Audiogram."""
    if "valueQuantity" not in part:
        return part.get("valueInteger"), False
    quantity = _object(part["valueQuantity"])
    for unit in (_words(quantity.get("code")), _words(quantity.get("unit"))):
        if unit.lower() not in DECIBEL_UNITS:
            raise NeuroampError(f"a threshold is in {unit!r} but must be in dB HL; convert it.")
    return quantity.get("value"), quantity.get("comparator") in (">", ">=")


def _audiogram(listener: str, ear: Ear, ears: dict[Ear, list[Point]]) -> Audiogram | None:
    if ear not in ears:
        return None
    what = f"the {ear.value} audiogram of {listener!r}"
    frequencies = [frequency for frequency, _, _ in ears[ear]]
    if len(set(frequencies)) != len(frequencies):
        raise NeuroampError(f"{what} has a frequency twice; export one hearing test only.")
    try:
        return Audiogram.from_points(ears[ear])
    except NeuroampError as error:
        raise NeuroampError(f"{what}: {error}") from None


def _codes(part: Json) -> list[str]:
    codings = _objects(_object(part.get("code")).get("coding"))
    return [_words(coding.get("code")) for coding in codings]


def _words_of(part: Json) -> str:
    return _concept_words(part.get("code"))


def _concept_words(concept: Any) -> str:
    """All that a CodeableConcept says, in lower case."""
    concept = _object(concept)
    displays = [_words(coding.get("display")) for coding in _objects(concept.get("coding"))]
    return " ".join([_words(concept.get("text")), *displays]).lower()


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []

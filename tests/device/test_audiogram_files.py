"""Audiogram files: every layout is read rightly, round trips are exact, damage is refused."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp.audiogram import BISGAARD, Audiogram, Ear, Listener
from neuroamp.audiogram_fhir import LOINC_THRESHOLDS
from neuroamp.audiogram_files import (
    load_listener,
    load_listeners,
    save_listeners_csv,
    save_listeners_json,
)
from neuroamp.errors import NeuroampError

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("NEUROAMP_DATA", REPOSITORY / ".." / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "audiograms").is_dir(), reason=f"no audiograms at {DATA}; set NEUROAMP_DATA"
)

LEFT = Audiogram((250, 1000, 4000), (20, None, 110), (False, False, True), "of May")
RIGHT = Audiogram((500, 1000.5, 8000), (-10, 22.5, 120))
LISTENERS = [
    Listener('Ada "L, R"\n', left=LEFT, right=RIGHT),
    Listener("Ωμέγα", right=RIGHT),
    Listener("", left=LEFT),
]


@st.composite
def audiograms(draw: st.DrawFn) -> Audiogram:
    frequencies = sorted(draw(st.sets(st.floats(125, 8000), min_size=1, max_size=6)))
    levels = [draw(st.one_of(st.none(), st.floats(-10, 120))) for _ in frequencies]
    levels[draw(st.integers(0, len(levels) - 1))] = draw(st.floats(-10, 120))
    marks = [level is not None and draw(st.booleans()) for level in levels]
    name = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
    return Audiogram(tuple(frequencies), tuple(levels), tuple(marks), name)


@st.composite
def listener_lists(draw: st.DrawFn) -> list[Listener]:
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    names = draw(st.lists(text, min_size=1, max_size=3, unique=True))
    ears = st.sampled_from([(True, True), (True, False), (False, True)])
    listeners = []
    for name in names:
        left, right = draw(ears)
        both = (draw(audiograms()) if has else None for has in (left, right))
        listeners.append(Listener(name, *both))
    return listeners


def write(folder: Path, content: str | bytes, name: str = "audiogram.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audiograms")


@given(listeners=listener_lists())
@settings(max_examples=40, deadline=None)
def test_both_formats_give_back_exactly_what_was_saved(
    scratch: Path, listeners: list[Listener]
) -> None:
    save_listeners_json(scratch / "x.json", listeners)
    assert load_listeners(scratch / "x.json") == listeners
    save_listeners_csv(scratch / "x.csv", listeners)
    assert load_listeners(scratch / "x.csv") == listeners


@pytest.mark.parametrize("name", ["N3", "s1"])
def test_a_standard_audiogram_is_on_both_ears(name: str) -> None:
    standard = BISGAARD[name.upper()]
    assert load_listener(name) == Listener(standard.name, left=standard, right=standard)


def test_a_listener_is_found_by_name_and_a_choice_is_never_guessed(tmp_path: Path) -> None:
    path = tmp_path / "three.json"
    save_listeners_json(path, LISTENERS)
    assert load_listener(path, "Ωμέγα") == LISTENERS[1]
    with pytest.raises(NeuroampError, match=r"more than one listener; name one of .*'Ωμέγα', ''"):
        load_listener(path)
    with pytest.raises(NeuroampError, match=r"no listener 'Eve'; name one of .*'Ωμέγα'"):
        load_listener(path, "Eve")
    save_listeners_json(path, LISTENERS[1:2])
    assert load_listener(path) == LISTENERS[1]


def test_many_names_are_not_all_listed(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    save_listeners_csv(path, [Listener(f"L{n}", left=RIGHT) for n in range(100)])
    with pytest.raises(NeuroampError, match="'L11' and 88 more"):
        load_listener(path)


def test_two_listeners_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = [LISTENERS[1], LISTENERS[1]]
    for save in (save_listeners_json, save_listeners_csv):
        with pytest.raises(NeuroampError, match="two listeners called 'Ωμέγα'"):
            save(tmp_path / "twice", twice)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    for source in ("N9", str(tmp_path), "\0", tmp_path / "absent.json"):
        with pytest.raises(NeuroampError, match="N1, N2"):
            load_listeners(source)
    for path in (tmp_path, tmp_path / "no" / "folder.json"):
        with pytest.raises(NeuroampError, match="cannot write"):
            save_listeners_json(path, LISTENERS)
    with pytest.raises(NeuroampError, match="cannot write"):
        save_listeners_csv(tmp_path / "surrogate.csv", [Listener("\ud800", left=LEFT)])


# ---------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "table",
    [
        "listener,ear,frequency_hz,threshold_db_hl,no_response\n"
        "A,left,4000,110,yes\nA,left,250,20,no\nA,left,1000,,no\nA,right,500,30,\n",
        "listener,ear,frequency_hz,threshold_db_hl\n"
        "A,left,250,20\nA,left,4000,>110\nA,left,1000,DNT\nA,right,500,30\n",
        "\ufefflistener;ear;250;500;1 kHz;4000Hz\r\nA;L;20;;CNT;110 NR\r\n\r\nA;R;;30,0;;\r\n",
        "ID\tEar\t4k\t1000\t500\t250\tremark\nA\tleft\t110+\tn/a\t-\t20\tasked twice\n"
        "A\tRight\t\t\t30\t\t\n",
        "name,ear,250,500,1000,4000\nA,left,20,,,NR110\nA,right,,30,,\n",
    ],
    ids=["long", "long with marks", "semicolons", "tabs", "wide"],
)
def test_tables_of_many_habits_say_the_same(tmp_path: Path, table: str) -> None:
    listener = load_listener(write(tmp_path, table))
    wanted = np.array([250, 500, 1000, 4000])
    assert listener.name == "A"
    np.testing.assert_allclose(
        listener.ear(Ear.LEFT).at(wanted),
        Audiogram((250, 4000), (20, 110), (False, True)).at(wanted),
    )
    np.testing.assert_array_equal(listener.ear(Ear.RIGHT).at(wanted), 30)
    assert True in listener.ear(Ear.LEFT).no_response
    assert 1000.0 in listener.ear(Ear.LEFT).frequencies_hz


def test_both_ears_in_one_row_and_no_name(tmp_path: Path) -> None:
    listener = load_listener(write(tmp_path, "ear,500,1000\nboth,20,30.5\n"))
    assert listener.left == listener.right == Audiogram((500, 1000), (20, 30.5))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("ear,500\nmiddle,20\n", "'middle' as ear but needs left, right or both"),
        ("ear,500\nleft,NR\n", "not at which level"),
        ("ear,500\nleft,loud\n", "'loud' as a threshold"),
        ("ear,500\nleft,6080\n", "the left audiogram of '': .*6080"),
        ("ear,500\nleft,20\nleft,30\n", "two rows for the left ear"),
        ("ear,500\nleft,20,30\n", "row 2 of the table has 3 cells but the heading has 2"),
        ("ear,500,1000\nleft,20\n", "row 2 of the table has 2 cells but the heading has 3"),
        ("ear,500,500\nleft,20,30\n", "names a column twice"),
        ("ear,pitch\nleft,20\n", "neither the columns frequency_hz"),
        ("500,1000\n20,30\n", "with a column 'ear'"),
        ("ear,500\n", "at least one row"),
        ("hello", "with a column 'ear'"),
        ('ear,500\nleft,"20\n', "neither JSON nor a table"),
        ("ear,frequency_hz,threshold_db_hl\nleft,x,20\n", "'x' as frequency_hz"),
        ("ear,frequency_hz,threshold_db_hl\nleft,500,20\nleft,500,25\n", "must ascend"),
        (
            "ear,frequency_hz,threshold_db_hl,no_response\nleft,500,20,maybe\n",
            "'maybe' as no_response",
        ),
        (
            "ear,frequency_hz,threshold_db_hl,audiogram\nleft,500,20,a\nleft,1000,20,b\n",
            "two names",
        ),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(NeuroampError, match=said):
        load_listeners(write(tmp_path, table))


# ------------------------------------------------------------------------------------------ JSON


def own_json(**audiogram: Any) -> dict[str, Any]:
    record = {"frequencies_hz": [500], "thresholds_db_hl": [20], **audiogram}
    return {
        "format": "neuroamp-audiograms",
        "format_version": 1,
        "listeners": [{"name": "A", "right": record}],
    }


def test_the_shortest_form_of_the_own_json(tmp_path: Path) -> None:
    listener = load_listener(write(tmp_path, json.dumps(own_json())))
    assert listener == Listener("A", right=Audiogram((500,), (20,)))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({**own_json(), "format": "other"}, "'other' version 1 but must be 'neuroamp-audiograms'"),
        ({**own_json(), "format_version": 2}, "version 2 but must be"),
        ({**own_json(), "listeners": {}}, "listeners must be a JSON list but is a dict"),
        ({**own_json(), "listeners": []}, "no listener"),
        ({**own_json(), "listeners": [{"name": "A"}]}, "'A' has no audiogram"),
        ({**own_json(), "listeners": [{"left": None}]}, "a listener's name must be text"),
        ({**own_json(), "listeners": ["A"]}, "a listener must be a JSON object"),
        (own_json(thresholds_db_hl=[float("nan")]), "right audiogram of 'A': .* nan dB HL"),
        (own_json(thresholds_db_hl=["20"]), "'20' dB HL"),
        (own_json(thresholds_db_hl=20), "thresholds_db_hl must be a JSON list but is a int"),
        (own_json(no_response=["no"]), "no-response mark"),
        (own_json(name=3), "name must be text"),
        ([], "no listener"),
        ({}, "no listener"),
        ({"A": 1}, "the listener 'A' must be a JSON object"),
        ({"listeners": 3}, "listeners must be a JSON list"),
        ({"audiograms": {"A": [20]}}, "audiogram_cfs must be a JSON list"),
        ({"audiograms": [20], "audiogram_cfs": [500]}, "audiograms must be a JSON object"),
        ({"A": {"audiogram_levels_l": [20]}}, "left audiogram of 'A': audiogram_cfs must be"),
        ([[[]]], "the listener '1' must be a JSON object"),
    ],
)
def test_wrong_json_says_what_is_wrong(tmp_path: Path, document: Any, said: str) -> None:
    with pytest.raises(NeuroampError, match=said):
        load_listeners(write(tmp_path, json.dumps(document)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"\x00\x01\x02", "neither JSON nor a table"),
        (b"{", "not whole JSON"),
        (b"[" * 100_000, "not whole JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not whole JSON"),
        (b'{"A": {}, "A": {}}', "a key is repeated"),
        (b'{"A": {"audiogram_cfs": [500], "audiogram_levels_l": [1e999]}}', "inf dB HL"),
        (b" " * (64 * 2**20 + 1), "more than 64 MiB"),
    ],
    ids=["nothing", "spaces", "utf-16", "binary", "cut", "deep", "digits", "twice", "inf", "big"],
)
def test_what_is_no_audiogram_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(NeuroampError, match=said):
        load_listeners(write(tmp_path, content))


def test_json_cut_off_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "whole.json"
    save_listeners_json(path, LISTENERS[1:2])
    content = path.read_bytes().rstrip()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(NeuroampError):
            load_listeners(path)


# ------------------------------------------------------------------------------------------ FHIR


def threshold(
    code: str, value: float | None, comparator: str | None = None, unit: str = "dB"
) -> dict[str, Any]:
    quantity: dict[str, Any] = {"value": value, "unit": unit, "code": unit}
    if comparator is not None:
        quantity["comparator"] = comparator
    part: dict[str, Any] = {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}}
    return part | ({"dataAbsentReason": {}} if value is None else {"valueQuantity": quantity})


def observation(*components: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "89015-2"}]},
        "subject": {"reference": "Patient/7"},
        "component": list(components),
        **fields,
    }


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [{"resource": resource} for resource in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


ADA = {"resourceType": "Patient", "id": "7", "name": [{"given": ["Ada"], "family": "L."}]}
PANEL = observation(
    threshold("89024-4", 20),
    threshold("89016-0", None),
    threshold("89022-8", 110, ">"),
    threshold("89025-1", -5, unit="dB[HL]"),
)
EXPECTED = Listener(
    "Ada L.",
    left=Audiogram((500, 1000, 4000), (20, None, 110), (False, False, True)),
    right=Audiogram((500,), (-5,)),
)


def test_a_fhir_panel_with_its_patient(tmp_path: Path) -> None:
    assert load_listener(write(tmp_path, json.dumps(bundle(ADA, PANEL)))) == EXPECTED
    assert load_listener(write(tmp_path, json.dumps([PANEL, ADA]))) == EXPECTED
    alone = load_listener(write(tmp_path, json.dumps(PANEL)))
    assert alone == Listener("Patient/7", EXPECTED.left, EXPECTED.right)


def test_fhir_observations_of_one_threshold_each(tmp_path: Path) -> None:
    single = [{**observation(), **part, "component": []} for part in reversed(PANEL["component"])]
    assert load_listener(write(tmp_path, json.dumps(bundle(*single, ADA)))) == EXPECTED


def test_the_loinc_table_has_each_ear_and_frequency_once() -> None:
    assert len(set(LOINC_THRESHOLDS.values())) == len(LOINC_THRESHOLDS) == 22
    left = sorted(hz for ear, hz in LOINC_THRESHOLDS.values() if ear is Ear.LEFT)
    right = sorted(hz for ear, hz in LOINC_THRESHOLDS.values() if ear is Ear.RIGHT)
    assert left == right == [250, 500, 750, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 8000]


def worded(text: str, value: float, **fields: Any) -> dict[str, Any]:
    quantity = {"valueQuantity": {"value": value, "unit": "dB HL"}}
    return {**observation(), "component": [], "code": {"text": text}, **quantity, **fields}


def site(code: str) -> dict[str, Any]:
    return {"bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": code}]}}


def test_fhir_in_words_with_a_body_site(tmp_path: Path) -> None:
    left = "89644007"
    document = bundle(
        ADA,
        worded("Pure tone threshold, 500 Hz", 20, **site(left)),
        worded("Air conduction 4 kHz", 60, **site(left)),
        worded("Hearing threshold right ear 500 Hz", 30),
        worded("Hearing threshold 1000 Hz", 35, bodySite={"text": "Right ear"}),
        # Not thresholds of air conduction, of no known ear, or taken back:
        worded("Bone conduction hearing threshold 500 Hz", 0, **site(left)),
        worded("Pure tone average 500, 1000, 2000 Hz", 0, **site(left)),
        worded("Hearing threshold 2000 Hz", 0),
        worded("Otoacoustic emission left ear 2000 Hz", 0),
        worded("Hearing threshold right ear 2000 Hz", 0, status="entered-in-error"),
        worded("Hearing threshold right ear 2000 Hz", 0, **site(left)),
    )
    listener = load_listener(write(tmp_path, json.dumps(document)))
    assert listener.left == Audiogram((500, 4000), (20, 60))
    assert listener.right == Audiogram((500, 1000), (30, 35))


def test_the_personal_health_record_format(tmp_path: Path) -> None:
    def of(code: str, value: float, unit: str) -> dict[str, Any]:
        quantity = {"value": value, "unit": unit, "code": unit}
        return {"code": {"coding": [{"code": code}]}, "valueQuantity": quantity}

    measured = [
        observation(
            of("leftEarSensitivity", left, "dB"),
            of("rightEarSensitivity", right, "dB"),
            of("frequency", frequency, unit),
        )
        for frequency, unit, left, right in ((4, "kHz", 40, 45), (500, "Hz", 30, 35))
    ]
    listener = load_listener(write(tmp_path, json.dumps(bundle(ADA, *measured))))
    assert listener.left == Audiogram((500, 4000), (30, 40))
    assert listener.right == Audiogram((500, 4000), (35, 45))


def test_two_patients_of_one_name_are_not_merged(tmp_path: Path) -> None:
    other = {**PANEL, "subject": {"reference": "urn:uuid:8"}}
    document = bundle(ADA, PANEL, other)
    document["entry"].append({"fullUrl": "urn:uuid:8", "resource": {**ADA, "id": "8"}})
    with pytest.raises(NeuroampError, match=r"two listeners called 'Ada L\.'"):
        load_listeners(write(tmp_path, json.dumps(document)))
    document["entry"][-1]["resource"]["name"] = [{"text": "Bea"}]
    names = [entry.name for entry in load_listeners(write(tmp_path, json.dumps(document)))]
    assert names == ["Ada L.", "Bea"]


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (observation(), "no hearing threshold"),
        ({"resourceType": "Patient"}, "no hearing threshold"),
        (observation(threshold("89024-4", 20, unit="dB[SPL]")), r"in 'dB\[SPL\]' but must be"),
        (observation(threshold("89024-4", 6080)), "left audiogram of 'Patient/7': .*6080"),
        (observation(threshold("89024-4", 20), threshold("89024-4", 25)), "a frequency twice"),
        (
            {**observation(threshold("89024-4", 20)), **site("25577004")},
            "is the left ear but the body site is the right ear",
        ),
    ],
)
def test_wrong_fhir_says_what_is_wrong(tmp_path: Path, resource: Any, said: str) -> None:
    with pytest.raises(NeuroampError, match=said):
        load_listeners(write(tmp_path, json.dumps(resource)))


# ---------------------------------------------------------------------------- damage of any kind

CLARITY = {
    "L1": {
        "name": "L1",
        "audiogram_cfs": [250, 8000],
        "audiogram_levels_l": [45, 65],
        "audiogram_levels_r": [40, 80],
    }
}
SAMPLES = [
    json.dumps(own_json()).encode(),
    json.dumps(CLARITY).encode(),
    json.dumps({"audiogram_cfs": [250], "audiograms": {"N1": [10]}}).encode(),
    json.dumps(bundle(ADA, PANEL, worded("Hearing threshold left 250 Hz", 20))).encode(),
    b"listener,ear,frequency_hz,threshold_db_hl,no_response\nA,left,500,20,no\nA,right,750,>90,\n",
    b"ear;250;1k\nleft;20;30,5\nboth;;110 NR\n",
]


def test_clarity_entries_of_one_ear_or_alone(tmp_path: Path) -> None:
    entry = dict(CLARITY["L1"], audiogram_levels_r=None)
    listener = load_listener(write(tmp_path, json.dumps(entry)))
    assert listener == Listener("L1", left=Audiogram((250, 8000), (45, 65)))
    assert load_listener(write(tmp_path, json.dumps([entry]))) == listener


@given(
    sample=st.sampled_from(SAMPLES),
    edits=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 12), st.binary(max_size=4)), max_size=4
    ),
)
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_is_read_or_refused_but_nothing_else(
    scratch: Path, sample: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    content = sample
    for where, removed, added in edits:
        at = where % (len(content) + 1)
        content = content[:at] + added + content[at + removed :]
    with contextlib.suppress(NeuroampError):
        listeners = load_listeners(write(scratch, content))
        assert listeners
        assert all(isinstance(listener, Listener) for listener in listeners)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(sample=st.sampled_from(SAMPLES[:4]), where=st.integers(0, 10**6), value=JSON_VALUES)
@settings(max_examples=150, deadline=None)
def test_json_with_a_value_of_the_wrong_type_is_read_or_refused_but_nothing_else(
    scratch: Path, sample: bytes, where: int, value: Any
) -> None:
    document = json.loads(sample)
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        keys = node if isinstance(node, dict) else range(len(node) if type(node) is list else 0)
        for key in keys:
            places.append((node, key))
            collect(node[key])

    collect(document)
    node, key = places[where % len(places)]
    node[key] = value
    with contextlib.suppress(NeuroampError):
        assert load_listeners(write(scratch, json.dumps(document)))


# --------------------------------------------------------------------------------- recorded data


@needs_data
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("bisgaard_standard", 10),
        ("clarity_listeners", 83),
        ("clarity_cpc1_listeners", 27),
        ("nhanes_2011_2012", 3818),
    ],
)
def test_recorded_audiograms_are_read_ear_by_ear(name: str, count: int) -> None:
    path = DATA / "audiograms" / f"{name}.json"
    listeners = load_listeners(path)
    assert len(listeners) == count
    document = json.loads(path.read_text())
    if name == "bisgaard_standard":
        assert all(heard.left == heard.right == BISGAARD[heard.name] for heard in listeners)
        return
    common = {key: value for key, value in document.items() if key == "audiogram_cfs"}
    entries = {entry["id"]: entry for entry in document.get("listeners", [])} or document
    for listener in listeners:
        entry = common | entries[listener.name]
        frequencies = tuple(entry["audiogram_cfs"])
        assert listener.left == Audiogram(frequencies, tuple(entry["audiogram_levels_l"]))
        assert listener.right == Audiogram(frequencies, tuple(entry["audiogram_levels_r"]))


@needs_data
def test_clarity_agrees_with_the_clarity_toolkit() -> None:
    toolkit = pytest.importorskip("clarity.utils.audiogram")
    path = DATA / "audiograms" / "clarity_listeners.json"
    theirs = toolkit.Listener.load_listener_dict(path)
    for listener in load_listeners(path):
        for ours, their in (
            (listener.ear(Ear.LEFT), theirs[listener.name].audiogram_left),
            (listener.ear(Ear.RIGHT), theirs[listener.name].audiogram_right),
        ):
            wanted = np.array([250, 333, 1000, 5000, 8000])
            np.testing.assert_allclose(ours.at(wanted), their.resample(wanted).levels)

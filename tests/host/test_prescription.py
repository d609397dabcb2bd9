"""Prescription rules against their published vectors and against the Clarity toolkit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp.audiogram import BISGAARD, STANDARD_FREQUENCIES_HZ, Audiogram, Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp.profile import WEAR
from neuroamp.wdrc import Wdrc, speech_levels_db_spl
from neuroamp_host.prescription import (
    LINEAR_RULES,
    RULES,
    Prescription,
    compression_ratio,
    prescribe,
)
from neuroamp_host.prescription.cameq import cameq_compressive, cameq_linear
from neuroamp_host.prescription.fit import make_fitting
from neuroamp_host.prescription.gain_table import load_gain_table
from neuroamp_host.prescription.half_gain import half_gain
from neuroamp_host.prescription.nal_r import nal_r, nal_r_clarity, nal_r_unclamped
from neuroamp_host.prescription.nal_rp import PROFOUND_DB, nal_rp

VECTOR_HZ = (250, 500, 1000, 1500, 2000, 3000, 4000, 6000)
NAL_R_DB = {
    "N1": (0, 0, 5.85, 5.85, 5.40, 5.95, 9.05, 12.15),
    "N2": (0, 2.20, 12.75, 14.30, 13.85, 14.40, 15.95, 17.50),
    "N3": (0.10, 9.10, 19.65, 21.20, 20.75, 21.30, 22.85, 24.40),
    "N4": (8.80, 17.80, 26.80, 28.35, 27.90, 28.45, 30.00, 31.55),
    "N5": (14.40, 24.95, 35.50, 37.05, 35.05, 34.05, 34.05, 34.05),
    "N6": (19.00, 29.55, 40.10, 41.65, 39.65, 40.20, 41.75, 41.75),
    "N7": (26.15, 36.70, 48.80, 48.80, 46.80, 45.80, 45.80, 45.80),
    "S1": (0, 0, 5.85, 5.85, 5.40, 9.05, 16.80, 21.45),
    "S2": (0, 3.20, 13.75, 16.85, 21.05, 26.25, 32.45, 32.45),
    "S3": (0.80, 11.35, 28.10, 31.20, 30.75, 31.30, 31.30, 32.85),
}
NAL_RP_DB = {
    **NAL_R_DB,
    "N5": tuple(gain + 3.0 for gain in NAL_R_DB["N5"]),
    "N6": tuple(gain + 5.0 for gain in NAL_R_DB["N6"]),
    "N7": (42.48, 50.03, 57.13, 54.13, 50.13, 49.13, 49.13, 49.13),
}
NORMAL = Audiogram((250, 8000), (0, 0))


@st.composite
def audiograms(draw: st.DrawFn) -> Audiogram:
    levels = draw(st.lists(st.floats(-10, 120), min_size=6, max_size=6))
    return Audiogram(STANDARD_FREQUENCIES_HZ, tuple(levels))


@pytest.mark.parametrize("name", BISGAARD)
def test_nal_r_and_nal_rp_give_the_published_gains(name: str) -> None:
    np.testing.assert_allclose(nal_r(BISGAARD[name], VECTOR_HZ), NAL_R_DB[name], atol=0.005)
    np.testing.assert_allclose(nal_rp(BISGAARD[name], VECTOR_HZ), NAL_RP_DB[name], atol=0.006)


def test_half_gain_is_half_the_loss_and_never_negative() -> None:
    audiogram = Audiogram((250, 1000, 4000), (-10, 30, 75))
    np.testing.assert_array_equal(half_gain(audiogram, [250, 1000, 4000]), [0, 15, 37.5])


@pytest.mark.parametrize(("at_2000", "row"), [(95, 0), (100, 1), (105, 2), (120, 5), (117.5, 4.5)])
def test_nal_rp_adds_the_table_for_profound_losses_at_2_khz(at_2000: float, row: float) -> None:
    audiogram = Audiogram((1000, 2000), (70, at_2000))
    average = np.mean(audiogram.at([500, 1000, 2000]))
    added = nal_rp(audiogram, VECTOR_HZ) - nal_r_unclamped(audiogram, VECTOR_HZ)
    lower, upper = PROFOUND_DB[int(np.floor(row))], PROFOUND_DB[int(np.ceil(row))]
    expected = (np.array(lower) + np.array(upper)) / 2.0 + 0.2 * (average - 60.0)
    np.testing.assert_allclose(added, expected)


def test_nal_rp_is_nal_r_for_moderate_losses() -> None:
    audiogram = Audiogram((500, 1000, 2000, 4000), (40, 60, 80, 110))
    np.testing.assert_array_equal(nal_rp(audiogram, VECTOR_HZ), nal_r(audiogram, VECTOR_HZ))


def toolkit_audiogram(audiogram: Audiogram) -> Any:
    toolkit = pytest.importorskip("clarity.utils.audiogram")
    levels = audiogram.at(audiogram.frequencies_hz)
    return toolkit.Audiogram(levels=levels, frequencies=np.array(audiogram.frequencies_hz))


@pytest.mark.parametrize("name", BISGAARD)
def test_the_clarity_variant_is_the_response_the_clarity_toolkit_designs_for(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nalr = pytest.importorskip("clarity.enhancer.nalr")
    designed = {}

    def design(_taps: int, nyquist_fractions: np.ndarray, gains: np.ndarray) -> np.ndarray:
        designed.update(zip(np.round(nyquist_fractions * 8000), gains, strict=True))
        return gains

    monkeypatch.setattr(nalr, "firwin2", design)
    nalr.NALR(8000, 16000).build(toolkit_audiogram(BISGAARD[name]))
    theirs = [20.0 * np.log10(designed[frequency]) for frequency in STANDARD_FREQUENCIES_HZ]
    ours = nal_r_clarity(BISGAARD[name], STANDARD_FREQUENCIES_HZ)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_the_clarity_toolkit_leaves_an_ear_without_loss_alone() -> None:
    nalr = pytest.importorskip("clarity.enhancer.nalr")
    impulse_response, delayed = nalr.NALR(220, 16000).build(toolkit_audiogram(NORMAL))
    np.testing.assert_array_equal(impulse_response, delayed)
    assert not nal_r_clarity(NORMAL, STANDARD_FREQUENCIES_HZ).any()


def test_the_clarity_variant_is_nal_r_up_to_a_sum_of_180_and_more_above() -> None:
    for name, audiogram in BISGAARD.items():
        total = audiogram.at([500, 1000, 2000]).sum()
        surplus = nal_r_clarity(audiogram, 1000.0) - nal_r(audiogram, 1000.0)
        assert surplus == pytest.approx(max(0.0, 0.066 * (total - 180.0))), name


COMMON_HZ = np.array([125, 250, 500, 1000, 2000, 4000, 8000])
"""Where the compression channels and the third octaves of ISO 226 coincide."""


def toolkit_model(levels: Any) -> dict[str, Any]:
    return {"frequencies": COMMON_HZ, "levels": np.asarray(levels), "edge_frequencies": None}


@pytest.mark.parametrize("name", [*BISGAARD, "normal"])
def test_cameq_linear_agrees_with_the_clarity_toolkit(name: str) -> None:
    camfit = pytest.importorskip("clarity.enhancer.gha.gainrule_camfit")
    audiogram = BISGAARD.get(name, NORMAL)
    both = [toolkit_audiogram(audiogram)] * 2
    *_, theirs = camfit.gainrule_camfit_linear(*both, toolkit_model([0.0]))
    np.testing.assert_allclose(cameq_linear(audiogram, COMMON_HZ), theirs[:, 0], atol=1e-9)


@pytest.mark.parametrize("name", BISGAARD)
@pytest.mark.parametrize("step_db", [0.0, -10.0, 10.0])
def test_cameq_compressive_agrees_with_the_clarity_toolkit(name: str, step_db: float) -> None:
    camfit = pytest.importorskip("clarity.enhancer.gha.gainrule_camfit")
    audiogram = BISGAARD[name]
    both = [toolkit_audiogram(audiogram)] * 2
    *_, gain_middle = camfit.gainrule_camfit_linear(*both, toolkit_model([0.0]))
    middle = np.interp(COMMON_HZ, CHANNEL_FREQUENCIES_HZ, speech_levels_db_spl(65.0))
    softest = middle - 38.0
    gain_softest = audiogram.at(COMMON_HZ) + camfit.isothr(COMMON_HZ.copy()) - softest
    ratio = 38.0 / np.maximum(13.0, middle + gain_middle[:, 0] - softest - gain_softest)
    ratio = np.maximum(1.0, ratio)
    theirs = np.diag(camfit.gains(softest, gain_softest, ratio, middle + step_db))
    ours = cameq_compressive(audiogram, COMMON_HZ)
    np.testing.assert_allclose(ours.compression_ratio, ratio)
    at_step = ours.gain_65_db + (1.0 / ours.compression_ratio - 1.0) * step_db
    free = ours.gain_65_db + middle < 100.0
    np.testing.assert_allclose(
        np.maximum(0.0, at_step[free]), np.maximum(0.0, theirs[free]), atol=1e-9
    )
    assert (ours.gain_65_db + middle <= 100.0 + 1e-9).all()


def test_cameq_compressive_makes_the_softest_speech_just_audible() -> None:
    """At Lmin = Lmid - 38 dB the output of a band is the listener's threshold."""
    audiogram = BISGAARD["N3"]
    camfit = pytest.importorskip("clarity.enhancer.gha.gainrule_camfit")
    prescription = cameq_compressive(audiogram, [1000.0, 2000.0])
    softest = speech_levels_db_spl(65.0)[[4, 6]] - 38.0
    slope = 1.0 / prescription.compression_ratio - 1.0
    output = softest + prescription.gain_65_db - 38.0 * slope
    threshold = audiogram.at([1000, 2000]) + camfit.isothr(np.array([1000, 2000]))
    np.testing.assert_allclose(output, threshold)


@pytest.mark.parametrize("rule", RULES)
@given(audiogram=audiograms(), worse=st.floats(0, 30))
@settings(max_examples=15, deadline=None)
def test_every_rule_gives_finite_gains_that_are_never_negative_and_grow_with_the_loss(
    rule: str, audiogram: Audiogram, worse: float
) -> None:
    prescription = prescribe(rule, audiogram, CHANNEL_FREQUENCIES_HZ)
    assert np.isfinite(prescription.gain_65_db).all()
    assert (prescription.gain_65_db >= 0.0).all()
    assert (prescription.compression_ratio >= 1.0).all()
    if rule != "nal-rp":  # its table takes gain away again above 95 dB HL at 2 kHz
        levels = tuple(min(120.0, level + worse) for level in audiogram.six_point())
        more = prescribe(rule, Audiogram(STANDARD_FREQUENCIES_HZ, levels), CHANNEL_FREQUENCIES_HZ)
        assert (more.gain_65_db >= prescription.gain_65_db - 1e-9).all()


@pytest.mark.parametrize("rule", RULES)
def test_the_gain_at_a_frequency_does_not_depend_on_what_else_is_asked_for(rule: str) -> None:
    audiogram = Audiogram((250, 2000, 4000), (0, 0, 60))
    together = prescribe(rule, audiogram, VECTOR_HZ).gain_65_db
    alone = [prescribe(rule, audiogram, [frequency]).gain_65_db[0] for frequency in VECTOR_HZ]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_flat_outside_their_tables_also_at_0_hz(rule: str) -> None:
    with np.errstate(all="raise"):
        gain = prescribe(rule, BISGAARD["N4"], [0, 60, 125, 8000, 12000]).gain_65_db
    assert gain[0] == gain[1] == gain[2]
    assert gain[3] == gain[4]


@pytest.mark.parametrize("rule", ["half-gain", "cameq", "cameq-compressive", "nal-r-clarity"])
def test_an_ear_without_loss_gets_no_gain(rule: str) -> None:
    assert not prescribe(rule, NORMAL, CHANNEL_FREQUENCIES_HZ).gain_65_db.any()


def test_linear_rules_get_the_papers_compression_ratio_unless_linear_is_asked_for() -> None:
    audiogram = Audiogram((250, 1000, 4000), (-10, 50, 110))
    ratio = compression_ratio(audiogram, [250, 1000, 4000])
    np.testing.assert_allclose(ratio, [1.0, 1.5, 2.0])
    for rule in LINEAR_RULES:
        given_ratio = prescribe(rule, audiogram, [250, 1000, 4000]).compression_ratio
        np.testing.assert_array_equal(given_ratio, ratio)
    for rule in RULES:
        prescription = prescribe(rule, audiogram, [250, 1000, 4000], linear=True)
        np.testing.assert_array_equal(prescription.compression_ratio, 1.0)


def test_an_unknown_rule_names_the_choices() -> None:
    with pytest.raises(NeuroampError, match=r"'nal-nl2'; choose from half-gain, .*gain table"):
        prescribe("nal-nl2", BISGAARD["N3"], [1000])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", BISGAARD)
def test_every_prescription_makes_a_fitting_that_the_compressor_runs(rule: str, name: str) -> None:
    fitting = make_fitting(BISGAARD[name], Ear.RIGHT, rule=rule)
    prescription = prescribe(rule, BISGAARD[name], CHANNEL_FREQUENCIES_HZ)
    np.testing.assert_allclose(fitting.gain_65_db, prescription.gain_65_db)
    np.testing.assert_allclose(fitting.compression_ratio, prescription.compression_ratio)
    assert Wdrc(WEAR, fitting) is not None


# ------------------------------------------------------------------------------------ gain tables


def write(folder: Path, content: str | bytes, name: str = "gains.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


CSV = """frequency_hz,input_db_spl,gain_db
4000,80,12
4000,50,24
4000,65,18
500,50,5
500,65,5
500,80,-1
"""
JSON = {
    "frequency_hz": [500, 4000],
    "input_db_spl": [50, 65, 80],
    "gain_db": [[5, 5, -1], [24, 18, 12]],
}


@pytest.mark.parametrize("content", [CSV, "\ufeff" + CSV, json.dumps(JSON)])
def test_a_gain_table_gives_its_gains_at_65_db_spl_and_its_slope(
    tmp_path: Path, content: str
) -> None:
    frequencies = [250, 500, np.sqrt(500 * 4000), 4000, 8000]
    prescription = load_gain_table(write(tmp_path, content), frequencies)
    np.testing.assert_allclose(prescription.gain_65_db, [5, 5, 11.5, 18, 18])
    np.testing.assert_allclose(prescription.compression_ratio[[1, 3]], [1 / 0.8, 1 / 0.6])


def test_a_gain_table_is_used_as_a_rule(tmp_path: Path) -> None:
    frequencies = np.array([500.0, 4000.0])
    for name, content in (("g.CSV", CSV), ("g.json", json.dumps(JSON))):
        path = write(tmp_path, content, name)
        prescription = prescribe(str(path), BISGAARD["N3"], frequencies)
        assert isinstance(prescription, Prescription)
        np.testing.assert_array_equal(prescription.gain_65_db, [5, 18])
        assert make_fitting(BISGAARD["N3"], Ear.LEFT, rule=str(path)).gain_65_db[-1] == 18.0


def test_a_table_of_one_level_is_linear_and_no_gain_is_negative(tmp_path: Path) -> None:
    path = write(tmp_path, "frequency_hz,input_db_spl,gain_db\n500,70,-3\n1000,70,9\n")
    prescription = load_gain_table(path, [500, 1000])
    np.testing.assert_array_equal(prescription.gain_65_db, [0, 9])
    np.testing.assert_array_equal(prescription.compression_ratio, [1, 1])


def test_an_expanding_table_is_not_made_expansive_and_a_steep_one_stays_in_range(
    tmp_path: Path,
) -> None:
    table = "frequency_hz,input_db_spl,gain_db\n500,50,1\n500,80,9\n1000,50,60\n1000,80,30\n"
    prescription = load_gain_table(write(tmp_path, table), [500, 1000])
    np.testing.assert_allclose(prescription.compression_ratio, [1, 4])


HEADING = "frequency_hz,input_db_spl,gain_db\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no rows"),
        (HEADING, "has no rows"),
        ("a,b\n1,2\n", "row 1 .* frequency_hz = None"),
        (HEADING + "500,65\n", "gain_db = None"),
        (HEADING + "500,65,loud\n", "gain_db = 'loud' but a number from -30 to 70"),
        (HEADING + "500,65,71\n", "gain_db = '71'"),
        (HEADING + "500,65,nan\n", "gain_db = 'nan'"),
        (HEADING + "500,65,5\n500,65,6\n", "500 Hz and 65 dB SPL once more"),
        (HEADING + "500,65,5\n500,80,3\n1000,65,5\n", "no gain at 1000 Hz for 80 dB SPL"),
        (HEADING + "500,70,5\n500,80,3\n", "70 to 80 dB SPL but must include speech of 65"),
        ("{", "is not whole"),
        ("{}", "is not whole"),
        (json.dumps({**JSON, "gain_db": [[5, 5], [24, 18, 12]]}), "is not whole"),
        (json.dumps({**JSON, "gain_db": 3}), "is not whole"),
        (json.dumps({**JSON, "input_db_spl": [50, None, 80]}), "input_db_spl = None"),
        (json.dumps({**JSON, "frequency_hz": [500, 10**400]}), "frequency_hz = 1000"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_wrong_gain_table_says_what_is_wrong(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    with pytest.raises(NeuroampError, match=said):
        load_gain_table(write(tmp_path, content), [1000])


def test_a_gain_table_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path, Path("\0.csv")):
        with pytest.raises(NeuroampError, match="cannot read the gain table"):
            load_gain_table(path, [1000])


@given(
    start=st.sampled_from([CSV.encode(), json.dumps(JSON).encode()]),
    where=st.integers(0, 200),
    removed=st.integers(0, 8),
    added=st.binary(max_size=4),
)
@settings(max_examples=80, deadline=None)
def test_a_damaged_gain_table_is_read_or_refused_but_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, where: int, removed: int, added: bytes
) -> None:
    content = start[:where] + added + start[where + removed :]
    path = tmp_path_factory.getbasetemp() / "damaged-gains"
    path.write_bytes(content)
    try:
        prescription = load_gain_table(path, CHANNEL_FREQUENCIES_HZ)
    except NeuroampError:
        return
    assert (prescription.gain_65_db >= 0.0).all()
    assert ((prescription.compression_ratio >= 1.0) & (prescription.compression_ratio <= 4.0)).all()

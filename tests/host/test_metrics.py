"""HASPI, HASQI and HAAQI: the fast ones against pyclarity, and what both must obey."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ, bisgaard
from neuroamp.errors import NeuroampError
from neuroamp.units import level_db_spl, pascal_from_db_spl
from neuroamp_host.evaluation.metrics import (
    ReferenceEar,
    ScoringJob,
    haaqi,
    haspi,
    haspi_hasqi,
    hasqi,
    score_many,
)
from neuroamp_host.evaluation.metrics.alignment import (
    BandReference,
    BroadbandReference,
    block_spectra,
)
from neuroamp_host.evaluation.metrics.reference import (
    haaqi_reference,
    haspi_reference,
    hasqi_reference,
)
from neuroamp_host.vector_math import fast_exp, fast_log
from numba import njit
from numpy.typing import NDArray

Signal = NDArray[np.float64]

RATE_HZ = 16_000
N3 = bisgaard("N3").at(STANDARD_FREQUENCIES_HZ)
TOLERANCE = 1e-6


def at_level(signal: Signal, level: float) -> Signal:
    return signal * float(pascal_from_db_spl(level)) / np.sqrt(np.mean(signal**2))


def speech_like(seconds: float = 0.8, rate_hz: int = RATE_HZ, level: float = 65.0) -> Signal:
    """Harmonics of a gliding pitch under a moving spectrum, with a syllable rhythm and hiss."""
    rng = np.random.default_rng(11)
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 1.3 * t)) / rate_hz
    signal = 0.02 * rng.standard_normal(t.size)
    for k in range(1, 40):
        formant = 1200 + 900 * np.sin(2 * np.pi * 2.1 * t)
        signal += np.exp(-(((k * 140 - formant) / 500) ** 2)) * np.cos(k * phase)
    return at_level(signal * np.clip(np.sin(2 * np.pi * 4 * t), 0.003, None), level)


def noise(n: int, level: float, seed: int = 5) -> Signal:
    return at_level(np.random.default_rng(seed).standard_normal(n), level)


def delayed(signal: Signal, samples: int) -> Signal:
    return np.concatenate([np.zeros(samples), signal[: signal.size - samples]])


CLEAN = speech_like()
NOISY = CLEAN + noise(CLEAN.size, 60.0)
EAR = ReferenceEar(CLEAN, RATE_HZ, N3)

CASES: list[tuple[str, float, Callable[[Signal], Signal], int | None]] = [
    ("N3", 65.0, lambda clean: 0.1 * (clean + noise(clean.size, 60.0)), 3),
    ("N1", 80.0, lambda clean: 3.0 * np.clip(clean, -0.1, 0.1), None),
    ("S2", 50.0, lambda clean: 20.0 * delayed(clean, 77), 0),
    ("N6", 65.0, lambda clean: 10.0 * np.sign(clean) * np.abs(clean) ** 0.7, None),
]


@pytest.mark.parametrize(("name", "level", "process", "seed"), CASES, ids=[c[0] for c in CASES])
def test_scores_and_their_parts_equal_pyclarity_with_and_without_noise(
    name: str,
    level: float,
    process: Callable[[Signal], Signal],
    seed: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if seed is None:
        monkeypatch.setattr("numpy.random.standard_normal", np.zeros)
    thresholds = bisgaard(name).at(STANDARD_FREQUENCIES_HZ)
    clean = speech_like(level=level)
    processed = process(clean)
    scores = ReferenceEar(clean, RATE_HZ, thresholds, dither_seed=seed).scores(
        processed, ("haspi", "hasqi", "haaqi")
    )
    signals = (clean, processed, RATE_HZ, thresholds)
    assert scores.haspi is not None
    expected = haspi_reference(*signals, seed=seed or 0)
    assert scores.haspi.score == pytest.approx(expected.score, abs=TOLERANCE)
    np.testing.assert_allclose(scores.haspi[1], expected[1], atol=TOLERANCE)
    np.testing.assert_allclose(
        scores.hasqi, hasqi_reference(*signals, seed=seed or 0), atol=TOLERANCE
    )
    np.testing.assert_allclose(
        scores.haaqi, haaqi_reference(*signals, seed=seed or 0), atol=TOLERANCE
    )


@pytest.mark.parametrize("rate_hz", [24_000, 44_100])
def test_other_sample_rates_equal_pyclarity(rate_hz: int) -> None:
    clean = speech_like(0.6, rate_hz)
    processed = 2.0 * clean + noise(clean.size, 50.0)
    expected = haaqi_reference(clean, processed, rate_hz, np.zeros(6))
    np.testing.assert_allclose(
        haaqi(clean, processed, rate_hz, np.zeros(6)), expected, atol=TOLERANCE
    )


def test_a_prepared_reference_gives_exactly_what_a_single_call_gives() -> None:
    alone = haspi_hasqi(CLEAN, NOISY, RATE_HZ, N3)
    EAR.haspi_hasqi(0.1 * CLEAN)
    for _ in range(2):
        together = EAR.haspi_hasqi(NOISY)
        np.testing.assert_array_equal(together[0].modulation_correlation, alone[0][1])
        assert together[0].score == alone[0].score
        assert together[1] == alone[1]
    assert haspi(CLEAN, NOISY, RATE_HZ, N3).score == alone[0].score
    assert hasqi(CLEAN, NOISY, RATE_HZ, N3) == alone[1]
    assert haaqi(CLEAN, NOISY, RATE_HZ, N3) == EAR.haaqi(NOISY)


def test_more_noise_never_scores_better() -> None:
    hiss = noise(CLEAN.size, 65.0)
    scores = [
        EAR.scores(4.0 * (CLEAN + hiss * 10 ** (-snr_db / 20)), ("haspi", "hasqi", "haaqi"))
        for snr_db in (200, 10, 0, -10)
    ]
    for metric in ("haspi", "hasqi", "haaqi"):
        values = [getattr(score, metric).score for score in scores]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1] + 0.3


def test_a_delay_of_the_aid_is_taken_out() -> None:
    padded = np.concatenate([CLEAN, np.zeros(800)])
    ear = ReferenceEar(padded, RATE_HZ, N3)
    on_time, late = ear.haspi_hasqi(padded), ear.haspi_hasqi(delayed(padded, 400))
    assert late[0].score == pytest.approx(on_time[0].score, abs=1e-3)
    assert late[1].score == pytest.approx(on_time[1].score, abs=1e-3)


def test_the_reference_itself_is_nearly_perfect_for_a_normal_ear() -> None:
    haspi_result, hasqi_result = ReferenceEar(CLEAN, RATE_HZ, np.zeros(6)).haspi_hasqi(CLEAN)
    assert haspi_result.score > 0.99
    # Not 1: HASQI advances its reference by 3 ms, which on a short signal's edges shows.
    assert hasqi_result.score > 0.9


def test_silence_at_the_ear_scores_as_silence() -> None:
    scores = EAR.scores(np.zeros(CLEAN.size), ("haspi", "hasqi"))
    assert scores.haspi is not None
    assert 0.0 <= scores.haspi.score < 0.05
    assert scores.hasqi is not None
    assert 0.0 <= scores.hasqi.score < 0.01


def test_hasqi_is_zero_when_even_nal_r_leaves_the_reference_inaudible() -> None:
    deaf, soft = np.full(6, 105.0), speech_like(0.3, level=30.0)
    logging.disable(logging.WARNING)  # pyclarity warns
    assert hasqi(soft, soft, RATE_HZ, deaf).score == 0.0
    assert hasqi_reference(soft, soft, RATE_HZ, deaf).score == 0.0
    logging.disable(logging.NOTSET)


def test_the_noise_repeats_with_its_seed_and_hardly_moves_an_audible_score() -> None:
    def score(seed: int | None) -> float:
        return haspi(CLEAN, 4.0 * NOISY, RATE_HZ, N3, dither_seed=seed).score

    assert score(1) == score(1)
    assert score(1) != score(2)
    assert score(None) == pytest.approx(score(1), abs=5e-3)


def test_the_wrapper_repeats_and_leaves_the_global_generator_alone() -> None:
    short = speech_like(0.3)
    signals = (short, short + noise(short.size, 60.0), RATE_HZ, N3)
    np.random.seed(123)  # noqa: NPY002
    expected = np.random.standard_normal(3)  # noqa: NPY002
    np.random.seed(123)  # noqa: NPY002
    first = haspi_reference(*signals)
    np.testing.assert_array_equal(np.random.standard_normal(3), expected)  # noqa: NPY002
    assert haspi_reference(*signals).score == first.score
    assert haspi_reference(*signals, seed=1).score != first.score


def test_the_wrapper_takes_pascals_for_what_they_are() -> None:
    short = speech_like(0.3)
    in_pascals = hasqi_reference(short, short, RATE_HZ, N3)
    level = level_db_spl(short)
    unit = short / np.sqrt(np.mean(short**2))
    scaled = hasqi_reference(unit, unit, RATE_HZ, N3, db_spl_of_unit_rms=level)
    # Not equal: pyclarity's noise on the basilar membrane, whose motion is in dB by then, has a
    # size in the signal's unit.
    np.testing.assert_allclose(in_pascals, scaled, atol=2e-3)


@pytest.mark.parametrize(
    ("reference", "processed", "rate_hz", "thresholds", "message"),
    [
        (np.zeros(9000), CLEAN, RATE_HZ, N3, "reference signal is silent"),
        (np.stack([CLEAN, CLEAN]), CLEAN, RATE_HZ, N3, "shape"),
        (CLEAN, np.full(CLEAN.size, np.nan), RATE_HZ, N3, "not finite"),
        (CLEAN, CLEAN[:-1], RATE_HZ, N3, "or more are expected"),
        (1e-6 * CLEAN, CLEAN, RATE_HZ, N3, "too soft for a normal"),
        (CLEAN[:500], CLEAN, RATE_HZ, N3, "0.1 s or more"),
        (CLEAN, CLEAN, 16, N3, "in hertz"),
        (CLEAN, CLEAN, RATE_HZ, N3[:5], "six finite values"),
    ],
)
def test_a_bad_input_says_what_is_wrong(
    reference: Signal, processed: Signal, rate_hz: int, thresholds: Signal, message: str
) -> None:
    with pytest.raises(NeuroampError, match=message):
        haspi(reference, processed, rate_hz, thresholds)


def test_the_wrapper_refuses_what_pyclarity_cannot_score() -> None:
    short = speech_like(0.3)
    with pytest.raises(NeuroampError, match="too soft for a normal"):
        haspi_reference(1e-6 * short, short, RATE_HZ, N3)
    with pytest.raises(NeuroampError, match="silent"), np.errstate(invalid="ignore"):
        hasqi_reference(short, np.zeros(short.size), RATE_HZ, N3)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(NeuroampError, match="pesq"):
        EAR.scores(CLEAN, ("haspi", "pesq"))


def test_many_jobs_keep_their_order_and_survive_a_bad_one() -> None:
    short = speech_like(0.3)
    jobs = [
        ScoringJob("first/N3", short, {"plain": short, "half": 0.5 * short}, RATE_HZ, N3),
        ScoringJob("silent/N3", np.zeros(4000), {"plain": short}, RATE_HZ, N3),
        ScoringJob("short/N3", short, {"cut": short[:-5], "plain": short}, RATE_HZ, N3),
        ScoringJob("last/flat", short, {"plain": short}, RATE_HZ, np.zeros(6), ("haspi",)),
    ]
    done: list[tuple[int, int | None]] = []
    outcomes = score_many(jobs, processes=2, progress=lambda n, total: done.append((n, total)))

    assert [outcome.name for outcome in outcomes] == [job.name for job in jobs]
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    expected = ReferenceEar(short, RATE_HZ, N3).haspi_hasqi(short)
    scores = outcomes[0].scores["plain"]
    assert scores.haspi is not None
    assert scores.haspi.score == expected[0].score
    assert scores.hasqi == expected[1]
    assert not outcomes[0].errors
    assert outcomes[1].errors[""].startswith("silent/N3: the reference signal is silent")
    assert not outcomes[1].scores
    assert outcomes[2].errors["cut"].startswith("short/N3, cut: the processed signal has")
    assert outcomes[2].scores.keys() == {"plain"}
    assert outcomes[3].scores["plain"].hasqi is None

    alone = score_many(
        iter(jobs[:1]), processes=1, progress=lambda n, total: done.append((n, total))
    )
    assert done[-1] == (1, None)
    assert alone[0].scores["plain"].hasqi == expected[1]


@pytest.mark.parametrize("delay", [-2400, -37, 0, 1, 900, 2399])
def test_a_bands_delay_is_the_peak_of_the_direct_correlation(delay: int) -> None:
    rng = np.random.default_rng(delay + 3000)
    signal = rng.standard_normal(15_000)
    moved = np.roll(signal, delay) + 0.5 * rng.standard_normal(signal.size)
    correlation = np.correlate(signal, moved, "full")[signal.size - 2400 : signal.size + 2400]
    assert BandReference.of(signal).delay_of(block_spectra(moved)) == delay
    assert 2399 - int(np.argmax(correlation)) == delay


def test_broadband_alignment_leaves_two_milliseconds_and_cuts_to_the_sound() -> None:
    rng = np.random.default_rng(8)
    sound = rng.standard_normal(5000) + 3.0
    reference = np.concatenate([np.zeros(1000), sound, np.zeros(1000)])
    aligned = BroadbandReference(reference).align(-np.roll(reference, 300))
    np.testing.assert_array_equal(aligned[48:], -sound[: sound.size - 48])


@njit
def _log(x):  # type: ignore[no-untyped-def]
    return fast_log(x)


@njit
def _exp(x):  # type: ignore[no-untyped-def]
    return fast_exp(x)


@settings(deadline=None)  # the first call compiles
@given(st.floats(min_value=1e-300, max_value=1e300))
def test_fast_log_is_the_logarithm(x: float) -> None:
    assert _log(x) == pytest.approx(np.log(x), rel=4e-16, abs=2e-16)


@settings(deadline=None)  # the first call compiles
@given(st.floats(min_value=-690, max_value=690))
def test_fast_exp_is_the_exponential(x: float) -> None:
    assert _exp(x) == pytest.approx(np.exp(x), rel=1e-15)

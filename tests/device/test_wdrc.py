"""The compressor: static curve, anchoring at speech of 65 dB SPL, times, batches."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ, bin_frequencies_hz
from neuroamp.fitting import Fitting
from neuroamp.profile import PAPER, WEAR, Profile
from neuroamp.transform import stft
from neuroamp.units import pascal_from_db_spl
from neuroamp.wdrc import (
    MAX_GAIN_DB,
    STEADYING_RANGE_DB,
    TRACKING_EXCESS_DB,
    Wdrc,
    speech_levels_db_spl,
)

DATA = Path(os.environ.get("NEUROAMP_DATA", Path(__file__).parents[2] / "../shared/data"))
GAINS = (5.0, 8.0, 10.0, 12.0, 15.0, 18.0, 20.0, 22.0, 25.0, 25.0, 20.0)
RATIOS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0)


def compressive(fitting: Fitting) -> Fitting:
    return fitting.replace(gain_65_db=GAINS, compression_ratio=RATIOS)


def anchor_db_spl() -> np.ndarray:
    return speech_levels_db_spl(65.0) + np.array(TRACKING_EXCESS_DB)


def test_average_speech_adds_up_to_its_overall_level() -> None:
    for overall in (50.0, 65.0, 80.0):
        total = 10.0 * np.log10(np.sum(10.0 ** (speech_levels_db_spl(overall) / 10.0)))
        assert total == pytest.approx(overall, abs=0.3)


def test_static_curve_is_the_textbook_one(fitting: Fitting) -> None:
    """Gmax below the knee, Gmax + (L - Lk)(1/CR - 1) above, anchored where speech of 65 is."""
    fitting = compressive(fitting).replace(knee_db_spl=45.0)
    wdrc = Wdrc(WEAR, fitting)
    for channel, (gain, ratio) in enumerate(zip(GAINS, RATIOS, strict=True)):
        anchor = anchor_db_spl()[channel]
        knee = anchor - 20.0
        largest = gain + (1.0 / ratio - 1.0) * (knee - anchor)
        for level in np.arange(-40.0, 120.0, 2.5):
            expected = largest + max(level - knee, 0.0) * (1.0 / ratio - 1.0)
            levels = np.full(11, level)
            actual = wdrc.channel_gains_db(levels)[channel]
            assert actual == pytest.approx(np.clip(expected, 0.0, MAX_GAIN_DB))


def test_at_the_anchor_the_gain_is_the_prescribed_one_whatever_the_ratio(
    fitting: Fitting,
) -> None:
    wdrc = Wdrc(WEAR, compressive(fitting))
    np.testing.assert_allclose(wdrc.channel_gains_db(anchor_db_spl()), GAINS)


@pytest.mark.parametrize("profile", [WEAR, PAPER], ids=lambda profile: profile.name)
def test_a_steady_tone_gets_the_static_gain_at_its_bin(profile: Profile, fitting: Fitting) -> None:
    wdrc = Wdrc(profile, compressive(fitting))
    tone_db_spl, channel = 70.0, CHANNEL_FREQUENCIES_HZ.index(2000.0)
    n = np.arange(2 * profile.sample_rate_hz)
    amplitude = np.sqrt(2.0) * pascal_from_db_spl(tone_db_spl)
    tone = amplitude * np.sin(2 * np.pi * 2000.0 * n / profile.sample_rate_hz)
    for spectrum in stft(profile, tone)[:: profile.hops_per_step]:
        gain_db = wdrc.step(spectrum)
    expected = GAINS[channel] + (1.0 / RATIOS[channel] - 1.0) * (
        tone_db_spl - anchor_db_spl()[channel]
    )
    at_2_khz = int(np.argmin(np.abs(bin_frequencies_hz(profile) - 2000.0)))
    assert gain_db[at_2_khz] == pytest.approx(expected, abs=0.2)


def test_running_speech_of_65_db_gets_the_prescribed_gain_on_average(fitting: Fitting) -> None:
    """Real speech: the long-term insertion gain per channel, where the speech has its energy."""
    import soundfile

    files = sorted((DATA / "speech" / "dev").rglob("*.flac"))
    if not files:
        pytest.skip(f"no speech below {DATA}; set NEUROAMP_DATA")
    rng = np.random.default_rng(5)
    sounds = [soundfile.read(files[i])[0] for i in rng.permutation(len(files))[:25]]
    fitting = fitting.replace(gain_65_db=(20.0,) * 11, compression_ratio=(2.0,) * 11)
    before, after = np.zeros(257), np.zeros(257)
    for sound in sounds:
        active = sound * pascal_from_db_spl(65.0) / np.sqrt(np.mean(sound**2))
        spectra = stft(WEAR, np.tile(active[:96000], 2))[:: WEAR.hops_per_step]
        wdrc = Wdrc(WEAR, fitting)
        gain_db = np.array([wdrc.step(spectrum) for spectrum in spectra])
        settled = slice(len(spectra) // 2, None)
        power = np.abs(spectra[settled]) ** 2
        before += power.sum(axis=0)
        after += (power * 10.0 ** (gain_db[settled] / 10.0)).sum(axis=0)
    insertion_db = 10.0 * np.log10(after / before)
    hz = bin_frequencies_hz(WEAR)
    for low in (250.0, 500.0, 1000.0, 2000.0, 4000.0):
        octave = (hz >= low / np.sqrt(2.0)) & (hz < low * np.sqrt(2.0))
        assert insertion_db[octave].mean() == pytest.approx(20.0, abs=3.0)
    assert insertion_db[(hz >= 200.0) & (hz <= 6000.0)].mean() == pytest.approx(20.0, abs=1.5)


def time_to(trace_db: np.ndarray, margin_db: float) -> float:
    """Seconds from the step until the trace stays within the margin of its last value.

    The first value of the trace is that of one step after the change.
    """
    outside = np.flatnonzero(np.abs(trace_db - trace_db[-1]) > margin_db)
    return float((outside[-1] + 2) * WEAR.step_seconds)


@pytest.mark.parametrize(("attack_s", "release_s"), [(0.005, 0.3), (0.02, 0.1), (0.1, 1.5)])
def test_attack_and_release_are_those_of_ansi_s3_22(
    fitting: Fitting, attack_s: float, release_s: float
) -> None:
    """A step of the level from 55 to 90 dB SPL and back, at a compression ratio of 2."""
    wdrc = Wdrc(
        WEAR,
        fitting.replace(
            gain_65_db=(40.0,) * 11,
            compression_ratio=(2.0,) * 11,
            knee_db_spl=20.0,
            attack_s=attack_s,
            release_s=release_s,
        ),
    )
    steps = round(12.0 / WEAR.step_seconds)
    quiet, loud = np.full(11, 55.0), np.full(11, 90.0)
    for _ in range(steps):
        wdrc.track(quiet)
    up = np.array([wdrc.channel_gains_db(wdrc.track(loud))[5] for _ in range(steps)])
    down = np.array([wdrc.channel_gains_db(wdrc.track(quiet))[5] for _ in range(steps)])
    assert time_to(up, 3.0) == pytest.approx(attack_s, abs=1.01 * WEAR.step_seconds)
    assert time_to(down, 4.0) == pytest.approx(release_s, abs=1.01 * WEAR.step_seconds)


def test_a_batch_of_ears_equals_each_ear_alone(fitting: Fitting) -> None:
    fittings = [
        compressive(fitting),
        fitting.replace(gain_65_db=(30.0,) * 11, knee_db_spl=60.0),
        fitting,
    ]
    rng = np.random.default_rng(6)
    spectra = rng.normal(size=(50, 3, 257, 2)) @ np.array([1.0, 1j]) * 0.1
    batch = Wdrc(WEAR, fittings)
    singles = [Wdrc(WEAR, f) for f in fittings]
    for step in spectra:
        together = batch.step(step)
        alone = [wdrc.step(spectrum) for wdrc, spectrum in zip(singles, step, strict=True)]
        np.testing.assert_allclose(together, alone, atol=1e-9)


def test_a_new_fitting_keeps_the_tracked_levels(fitting: Fitting) -> None:
    spectrum = np.full(257, 0.3 + 0.1j)
    kept, changed = Wdrc(WEAR, fitting), Wdrc(WEAR, fitting)
    for _ in range(20):
        kept.step(spectrum)
        changed.step(spectrum)
    changed.set_fitting(compressive(fitting))
    levels = kept.track(kept.levels_db_spl(spectrum))
    np.testing.assert_array_equal(changed.track(changed.levels_db_spl(spectrum)), levels)


def test_digital_silence_gives_a_finite_gain(fitting: Fitting) -> None:
    wdrc = Wdrc(WEAR, compressive(fitting))
    for _ in range(5):
        gain_db = wdrc.step(np.zeros(257, dtype=complex))
    assert np.isfinite(gain_db).all()
    assert (gain_db >= 0.0).all()


def gains_of(fitting: Fitting, levels_db_spl: np.ndarray, steadiness: float) -> np.ndarray:
    """Gain at 1 kHz, dB, over steps in which every channel has one of these levels, dB SPL."""
    wdrc = Wdrc(WEAR, fitting.replace(gain_65_db=(30.0,) * 11, compression_ratio=(2.0,) * 11))
    gains_db = []
    for level in levels_db_spl:
        levels = np.full(11, level)
        tracked = wdrc.track(levels)
        gain_db = wdrc.channel_gains_db(tracked)
        steadied_db = wdrc.steadied_db(levels, tracked)
        gains_db.append((gain_db + steadiness * (steadied_db - gain_db))[5])
    return np.array(gains_db)


def steps_of(seconds: float) -> int:
    return round(seconds / WEAR.step_seconds)


def test_steadied_gains_hardly_follow_syllables_and_keep_the_level(fitting: Fitting) -> None:
    """A quarter of a second at 75 and at 60 dB SPL in turn: fast gains follow, steadied hardly."""
    beats = np.tile(np.repeat([75.0, 60.0], steps_of(0.25)), 16)
    settled = slice(steps_of(4.0), None)
    fast, half, steady = (gains_of(fitting, beats, share)[settled] for share in (0.0, 0.5, 1.0))
    assert np.ptp(fast) > 4.0
    assert np.ptp(steady) < 0.35 * np.ptp(fast)
    np.testing.assert_allclose(half, (fast + steady) / 2.0, atol=1e-9)
    power = 10.0 ** (beats[settled] / 10.0)
    mean_db = [
        10.0 * np.log10(np.average(10.0 ** (gain / 10.0), weights=power)) for gain in (fast, steady)
    ]
    assert mean_db[1] == pytest.approx(mean_db[0], abs=1.5)


def test_steadied_gains_of_a_steady_sound_are_the_momentary_ones(fitting: Fitting) -> None:
    """Whatever came before: from silence, from soft to loud, from loud to soft."""
    for before in (-40.0, 50.0, 95.0):
        levels = np.concatenate([np.full(steps_of(3.0), before), np.full(steps_of(10.0), 70.0)])
        fast, steady = gains_of(fitting, levels, 0.0), gains_of(fitting, levels, 1.0)
        assert steady[-1] == pytest.approx(fast[-1], abs=0.3)


def test_steadied_gains_stay_near_the_momentary_ones_whatever_is_heard(fitting: Fitting) -> None:
    rng = np.random.default_rng(3)
    levels = np.repeat(rng.uniform(-40.0, 130.0, 400), rng.integers(1, 60, 400))
    difference_db = gains_of(fitting, levels, 1.0) - gains_of(fitting, levels, 0.0)
    low_db, high_db = STEADYING_RANGE_DB
    assert difference_db.min() >= low_db - 1e-9
    assert difference_db.max() <= high_db + 1e-9
    assert np.isclose(difference_db, low_db).any()
    assert np.isclose(difference_db, high_db).any()


def test_a_softer_fitting_is_soft_at_once(fitting: Fitting) -> None:
    """What the steadied gains remember is a level, not the louder fitting's gains."""
    louder = fitting.replace(gain_65_db=(50.0,) * 11, compression_ratio=(2.0,) * 11)
    softer = louder.replace(gain_65_db=(5.0,) * 11)
    changed, soft_before = Wdrc(WEAR, louder), Wdrc(WEAR, softer)
    levels = np.full(11, 65.0)
    for _ in range(steps_of(3.0)):
        for wdrc in (changed, soft_before):
            wdrc.steadied_db(levels, wdrc.track(levels))
    changed.set_fitting(softer)
    tracked = changed.track(levels)
    soon = changed.steadied_db(levels, tracked)
    assert np.all(soon <= changed.channel_gains_db(tracked) + STEADYING_RANGE_DB[1])
    expected = soft_before.steadied_db(levels, soft_before.track(levels))
    np.testing.assert_allclose(soon, expected, atol=1e-9)


def test_steadied_gains_are_those_of_average_speech_at_one_level(fitting: Fitting) -> None:
    """Speech of 65 dB SPL with noise of that level in its upper channels: compression takes their
    gain, the steadied ones keep the prescription's shape within their range."""
    fitting = fitting.replace(gain_65_db=(20.0,) * 11, compression_ratio=(2.0,) * 11)
    wdrc = Wdrc(WEAR, fitting)
    levels = wdrc.curves.anchor_db_spl + np.where(np.arange(11) < 6, 0.0, 6.0)
    for _ in range(steps_of(12.0)):
        tracked = wdrc.track(levels)
        steadied_db = wdrc.steadied_db(levels, tracked)
    moved_db = steadied_db - np.array(fitting.gain_65_db)
    np.testing.assert_allclose(moved_db, moved_db[0], atol=1e-6)
    weights = 10.0 ** (levels / 40.0)
    above_db = np.average(levels - wdrc.curves.anchor_db_spl, weights=weights)
    assert moved_db[0] == pytest.approx(-0.5 * above_db, abs=1e-3)
    assert 0.0 < above_db < 6.0


def test_a_bang_does_not_leave_the_ear_without_gain(fitting: Fitting) -> None:
    """8 ms of 120 dB SPL in a sound of 60: half a second later the release has done its work, and
    what the mean remembers is small and fades."""
    quiet = np.full(steps_of(8.0), 60.0)
    bang = quiet.copy()
    bang[steps_of(4.0) : steps_of(4.0) + 2] = 120.0
    lost_db = gains_of(fitting, quiet, 1.0) - gains_of(fitting, bang, 1.0)
    assert lost_db[steps_of(4.5) :].max() < 2.5
    assert lost_db[steps_of(5.5) :].max() < 1.25
    assert lost_db[steps_of(7.0) :].max() < 0.5

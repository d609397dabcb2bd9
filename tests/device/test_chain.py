"""The chain of one ear: exact delay, block sizes, gains, misses, limits, refusals."""

from __future__ import annotations

import dataclasses
import itertools
import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp.audiogram import Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ, bin_frequencies_hz
from neuroamp.chain import GAIN_SLOPE_DB, NOISE_RANGE_DB, NOISE_S, EarChain
from neuroamp.errors import NeuroampError
from neuroamp.features import Features, audiogram_input
from neuroamp.fitting import Fitting
from neuroamp.limiter import ceiling_pa
from neuroamp.model_file import ModelInfo
from neuroamp.profile import PAPER, PAPER_BANDS, WEAR, Profile
from neuroamp.transform import istft, stft
from neuroamp.wdrc import Wdrc
from numpy.typing import NDArray

PROFILES = [WEAR, PAPER, PAPER_BANDS]
NO_GAIN = Fitting(
    ear=Ear.LEFT,
    thresholds_db_hl=(35.0, 35.0, 40.0, 50.0, 60.0, 65.0),
    rule="test",
    gain_65_db=(0.0,) * 11,
    compression_ratio=(1.0,) * 11,
    mpo_db_spl=120.0,
)
AMPLIFYING = NO_GAIN.replace(
    gain_65_db=(5.0, 8.0, 10.0, 12.0, 15.0, 18.0, 20.0, 22.0, 25.0, 25.0, 20.0),
    compression_ratio=(2.0,) * 11,
    mpo_db_spl=90.0,
)


class FakeNet:
    """An engine that gives back what a test tells it to, and remembers what it was given."""

    def __init__(self, output: object, profile: Profile = WEAR) -> None:
        self.info = ModelInfo("fake", "wear", profile, {}, "float32")
        self.output = output
        self.heard: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self.resets = 0

    def step(self, features: NDArray[np.float32], audiogram: NDArray[np.float32]) -> object:
        self.heard.append((features, audiogram))
        return self.output(features) if callable(self.output) else self.output

    def reset(self) -> None:
        self.resets += 1


def band_output(gain_db: float) -> NDArray[np.float32]:
    """The output of a net that asks for the same gain in all bands of the wearable profile."""
    share = (gain_db - WEAR.gain_min_db) / (WEAR.gain_max_db - WEAR.gain_min_db)
    return np.full(64, share, dtype=np.float32)


def noise(seconds: float = 0.5, seed: int = 1, rms_pa: float = 0.02) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0.0, rms_pa, round(16000 * seconds))


@pytest.fixture(params=PROFILES, ids=lambda profile: profile.name)
def profile(request: pytest.FixtureRequest) -> Profile:
    return request.param


@pytest.mark.parametrize(("profile", "delay"), [(WEAR, 64), (PAPER, 512)], ids=["wear", "paper"])
@given(data=st.data())
@settings(max_examples=20)
def test_with_no_gain_the_output_is_the_input_late_by_exactly_the_delay(
    profile: Profile, delay: int, data: st.DataObject
) -> None:
    samples = data.draw(st.integers(delay + 1, 1500))
    sound = data.draw(hnp.arrays(np.float64, samples, elements=st.floats(-1.0, 1.0)))
    out = EarChain(profile, NO_GAIN).process(sound)
    np.testing.assert_allclose(out[delay:], sound[:-delay], atol=1e-12)
    np.testing.assert_allclose(out[:delay], 0.0, atol=1e-12)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@given(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_the_same_samples_come_out_whatever_the_block_sizes(
    profile: Profile, sizes: list[int], seed: int
) -> None:
    sound = np.random.default_rng(seed).normal(0.0, 0.3, sum(sizes))
    output = np.random.default_rng(seed).uniform(0.0, 1.0, profile.feature_count)
    whole = EarChain(profile, AMPLIFYING, FakeNet(output, profile)).process(sound)
    chain = EarChain(profile, AMPLIFYING, FakeNet(output, profile))
    edges = [0, *itertools.accumulate(sizes)]
    blocks = [chain.process(sound[a:b]) for a, b in itertools.pairwise(edges)]
    assert [block.size for block in blocks] == sizes
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_a_linear_prescription_is_the_gain_of_a_tone(profile: Profile) -> None:
    linear = AMPLIFYING.replace(compression_ratio=(1.0,) * 11, mpo_db_spl=120.0)
    n = np.arange(16000)
    for hz in (500.0, 1000.0, 4000.0):
        tone = 0.01 * np.sin(2 * np.pi * hz * n / 16000)
        out = EarChain(profile, linear).process(tone)
        gain_db = 10.0 * np.log10(np.mean(out[8000:] ** 2) / np.mean(tone[8000:] ** 2))
        prescribed = linear.gain_65_db[CHANNEL_FREQUENCIES_HZ.index(hz)]
        assert gain_db == pytest.approx(prescribed, abs=0.5)


def test_insertion_gain_is_that_of_the_last_step() -> None:
    chain = EarChain(WEAR, AMPLIFYING.replace(compression_ratio=(1.0,) * 11))
    np.testing.assert_array_equal(chain.insertion_gain_db, 0.0)
    chain.process(noise())
    hz = bin_frequencies_hz(WEAR)
    for frequency, gain in zip(CHANNEL_FREQUENCIES_HZ, AMPLIFYING.gain_65_db, strict=True):
        assert chain.insertion_gain_db[hz == frequency] == pytest.approx(gain, abs=1e-9)


def test_the_net_hears_every_second_hop_of_the_wearable_profile() -> None:
    net = FakeNet(band_output(0.0))
    sound = noise()
    EarChain(WEAR, NO_GAIN, net).process(sound)
    spectra = stft(WEAR, sound)[:: WEAR.hops_per_step]
    assert len(net.heard) == len(spectra)
    expected = Features(WEAR)(spectra)
    for (features, audiogram), wanted in zip(net.heard, expected, strict=True):
        assert features.dtype == audiogram.dtype == np.float32
        np.testing.assert_allclose(features, wanted, atol=1e-5)
        np.testing.assert_allclose(audiogram, audiogram_input(NO_GAIN.thresholds_db_hl), atol=1e-6)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_nets_gain_comes_on_top_of_the_prescription_by_its_strength(strength: float) -> None:
    fitting = AMPLIFYING.replace(noise_reduction=strength, mpo_db_spl=120.0)
    idle, busy = (EarChain(WEAR, fitting, FakeNet(band_output(gain))) for gain in (0.0, -8.0))
    sound = noise()
    quieter = busy.process(sound) / 10.0 ** (-8.0 * strength / 20.0)
    np.testing.assert_allclose(quieter, idle.process(sound), rtol=1e-5, atol=1e-9)
    if strength == 0.0:  # then it is the prescription, sample for sample
        np.testing.assert_array_equal(quieter, EarChain(WEAR, fitting).process(sound))


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_under_a_net_that_adds_to_them_the_gains_are_steadied_by_its_strength(
    strength: float,
) -> None:
    fitting = AMPLIFYING.replace(noise_reduction=strength)
    sound = noise() * np.repeat([1.0, 0.1, 1.0, 0.1], noise().size // 4)
    spectra = stft(WEAR, sound)[:: WEAR.hops_per_step]
    for engine, steadiness in ((FakeNet(band_output(0.0)), strength), (None, 0.0)):
        chain = EarChain(WEAR, fitting, engine)
        chain.process(sound)
        wdrc = Wdrc(WEAR, fitting)
        expected = [wdrc.step(spectrum, steadiness) for spectrum in spectra][-1]
        np.testing.assert_allclose(chain.insertion_gain_db, expected, atol=1e-6)


NONE_DB, SURE_DB = NOISE_RANGE_DB


@pytest.mark.parametrize(
    ("asked_db", "share"),
    [
        (1.0, 0.0),
        (0.9 * NONE_DB, 0.0),
        (0.75 * NONE_DB + 0.25 * SURE_DB, 0.25),
        (0.5 * NONE_DB + 0.5 * SURE_DB, 0.5),
        (1.1 * SURE_DB, 1.0),
        (-12.0, 1.0),
    ],
)
def test_where_the_net_finds_next_to_no_noise_the_prescription_stays(
    asked_db: float, share: float
) -> None:
    chain = EarChain(WEAR, NO_GAIN, FakeNet(band_output(asked_db)))
    chain.process(noise())
    np.testing.assert_allclose(chain.insertion_gain_db, share * asked_db, atol=1e-4)


def test_the_share_follows_the_mean_of_what_was_asked() -> None:
    """From -8 dB to just above NONE_DB: the mean gets there with its time constant."""
    little_db = 0.8 * NONE_DB
    net = FakeNet(band_output(-8.0))
    chain = EarChain(WEAR, NO_GAIN, net)
    chain.process(noise(6.0 * NOISE_S))
    net.output = band_output(little_db)
    passed_s = 0.0
    for mean_db, expected_db in ((1.01 * SURE_DB, little_db), (0.99 * NONE_DB, 0.0)):
        # The mean's way from -8 dB is exponential in time.
        until_s = NOISE_S * math.log((-8.0 - little_db) / (mean_db - little_db))
        chain.process(noise(until_s - passed_s))
        passed_s = until_s
        np.testing.assert_allclose(chain.insertion_gain_db, expected_db, atol=0.05)


@pytest.mark.parametrize(("loud_band_asked", "share"), [(True, 1.0), (False, 0.0)])
def test_loud_bands_weigh_more_in_that_mean(loud_band_asked: bool, share: float) -> None:
    """A loud low tone: what is asked around it counts, what is asked for silent bands does not."""
    tone = 0.1 * np.sin(2.0 * np.pi * 400.0 * np.arange(8000) / 16000)
    output = band_output(0.0)
    asked = slice(0, 32) if loud_band_asked else slice(32, 64)
    output[asked] = band_output(-10.0)[asked]
    chain = EarChain(WEAR, NO_GAIN, FakeNet(output))
    chain.process(tone)
    lowest_db = -10.0 * share
    np.testing.assert_allclose(chain.insertion_gain_db.min(), lowest_db, atol=1e-4)


def test_gains_are_held_between_steps() -> None:
    """With hops of 2 ms and steps of 4 ms, both hops of a step have the same gains."""
    gains = itertools.cycle([-4.0, -6.0, -5.0, -9.0])
    net = FakeNet(lambda features: band_output(next(gains)))
    sound = noise(0.1)
    out = EarChain(WEAR, NO_GAIN, net).process(sound)
    spectra = stft(WEAR, sound)
    steps_db = np.tile([-4.0, -6.0, -5.0, -9.0], len(spectra))[: len(spectra) // 2 + 1]
    held_db = np.repeat(steps_db, WEAR.hops_per_step)[: len(spectra)]
    expected = istft(WEAR, spectra * 10.0 ** (held_db[:, None] / 20.0))
    np.testing.assert_allclose(out[WEAR.hop :], expected[: -WEAR.hop], rtol=1e-5, atol=1e-9)


def test_no_gain_of_the_wearable_profile_jumps_by_more_than_the_slope() -> None:
    jumps = itertools.cycle([1.0, 0.0, 0.0, 0.0])
    net = FakeNet(lambda features: np.full(64, next(jumps)))
    chain = EarChain(WEAR, AMPLIFYING, net)
    sound = noise(0.3) * np.repeat([0.001, 10.0, 0.001], 1600)
    trace = []
    for block in sound.reshape(-1, WEAR.hop * WEAR.hops_per_step):
        chain.process(block)
        trace.append(chain.insertion_gain_db)
    jump_db = np.abs(np.diff(trace, axis=0)).max()
    assert jump_db == pytest.approx(GAIN_SLOPE_DB)


def test_the_papers_net_sets_the_magnitudes_and_keeps_the_phase() -> None:
    """Everything 6 dB down: the output's log magnitude is that of half the input's magnitude."""
    net = FakeNet(lambda features: np.log1p(0.5 * np.expm1(4.0 * features)) / 4.0, PAPER)
    sound = noise(1.0, rms_pa=0.2)
    out = EarChain(PAPER, AMPLIFYING.replace(mpo_db_spl=120.0), net).process(sound)
    np.testing.assert_allclose(out[512:], 0.5 * sound[:-512], atol=1e-5)


def test_the_papers_strength_blends_in_db_between_prescription_and_net() -> None:
    net = FakeNet(lambda features: np.log1p(0.1 * np.expm1(4.0 * features)) / 4.0, PAPER)
    linear = NO_GAIN.replace(gain_65_db=(10.0,) * 11, noise_reduction=0.25)
    sound = noise(1.0, rms_pa=0.2)
    out = EarChain(PAPER, linear, net).process(sound)
    blended = 10.0 ** ((0.75 * 10.0 + 0.25 * -20.0) / 20.0)
    np.testing.assert_allclose(out[512:], blended * sound[:-512], atol=1e-4)


@pytest.mark.parametrize("output", [0.0, 9.0, 1e30, math.inf])
def test_the_papers_net_survives_silence_and_nonsense(output: float) -> None:
    chain = EarChain(PAPER, NO_GAIN, FakeNet(np.full(257, output), PAPER))
    out = chain.process(np.zeros(4096))
    assert np.isfinite(out).all()
    assert np.isfinite(chain.insertion_gain_db).all()


@pytest.mark.parametrize("missed", [None, np.full(64, np.nan), np.full(64, np.inf)])
def test_a_missed_step_fades_from_the_nets_gain_to_the_prescription(missed: object) -> None:
    net = FakeNet(band_output(-10.0))
    chain = EarChain(WEAR, NO_GAIN, net)
    step = WEAR.hop * WEAR.hops_per_step
    sound = noise(1.0)
    chain.process(sound[: 100 * step])
    resets = net.resets
    net.output = missed
    trace = []
    for block in sound[100 * step :].reshape(-1, step):
        chain.process(block)
        trace.append(chain.insertion_gain_db)
    levels = np.array(trace)
    assert chain.stats.missed_steps == len(trace)
    assert (np.diff(levels, axis=0) > 0.0).all()
    np.testing.assert_allclose(levels[0], -10.0, atol=0.5)
    np.testing.assert_allclose(levels[-1], 0.0, atol=0.1)
    # Only an output that is wrong says that the states are; one that is late does not.
    assert net.resets - resets == (0 if missed is None else len(trace))
    net.output = band_output(-10.0)
    chain.process(noise(0.05))
    np.testing.assert_allclose(chain.insertion_gain_db, -10.0, atol=1e-5)


@given(
    sound=hnp.arrays(
        np.float64,
        st.integers(0, 600),
        elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
    ),
    mpo=st.floats(60.0, 120.0),
)
@settings(max_examples=50)
def test_whatever_comes_in_nothing_above_the_mpo_comes_out_and_the_chain_recovers(
    sound: np.ndarray, mpo: float
) -> None:
    fitting = AMPLIFYING.replace(mpo_db_spl=mpo)
    chain = EarChain(WEAR, fitting)
    out = chain.process(sound)
    assert np.isfinite(out).all()
    assert (np.abs(out) <= ceiling_pa(mpo)).all()
    assert chain.stats.non_finite_samples <= np.count_nonzero(~np.isfinite(sound))
    assert np.isfinite(chain.insertion_gain_db).all()


def test_after_a_bang_the_gain_comes_back() -> None:
    """An infinite level would stay: 160 dB SPL is the loudest that the chain lets itself hear."""
    chain, calm = EarChain(WEAR, AMPLIFYING), EarChain(WEAR, AMPLIFYING)
    sound = noise(3.0, rms_pa=0.005)
    bang = sound.copy()
    bang[:100] = 1e300
    bang[100:200] = np.nan
    after, undisturbed = chain.process(bang), calm.process(sound)
    np.testing.assert_allclose(after[40000:], undisturbed[40000:], rtol=0.05, atol=1e-4)
    assert chain.stats.non_finite_samples == 100


def test_non_finite_samples_are_silence() -> None:
    sound = noise()
    holes, silence = sound.copy(), sound.copy()
    silence[1000:1100] = 0.0
    holes[1000:1040], holes[1040:1070], holes[1070:1100] = np.nan, np.inf, -np.inf
    expected = EarChain(WEAR, AMPLIFYING).process(silence)
    np.testing.assert_array_equal(EarChain(WEAR, AMPLIFYING).process(holes), expected)


def test_reset_is_a_new_stream() -> None:
    net = FakeNet(band_output(-3.0))
    chain = EarChain(WEAR, AMPLIFYING, net)
    first = chain.process(noise()[:7001])
    resets = net.resets
    chain.reset()
    assert net.resets == resets + 1
    np.testing.assert_array_equal(chain.process(noise()[:7001]), first)


def test_a_new_fitting_plays_from_the_next_step_without_a_click() -> None:
    chain = EarChain(WEAR, NO_GAIN)
    sound = 0.02 * np.sin(2 * np.pi * 1000.0 * np.arange(16000) / 16000)
    before = chain.process(sound[:8000])
    chain.set_fitting(AMPLIFYING.replace(compression_ratio=(1.0,) * 11, mpo_db_spl=100.0))
    after = chain.process(sound[8000:])
    assert chain.fitting.mpo_db_spl == 100.0
    gain_db = 10.0 * np.log10(np.mean(after[4000:] ** 2) / np.mean(before[4000:] ** 2))
    assert gain_db == pytest.approx(15.0, abs=0.3)
    # The largest step between neighbouring samples is that of the louder tone itself.
    largest = np.abs(np.diff(np.concatenate([before, after])[1000:])).max()
    assert largest <= 1.3 * np.abs(np.diff(after[4000:])).max()


def test_a_new_mpo_holds_at_once() -> None:
    """Also for the sound that was limited by the old one and has not come out yet."""
    chain = EarChain(WEAR, AMPLIFYING.replace(mpo_db_spl=120.0))
    chain.process(noise(rms_pa=5.0))
    chain.set_fitting(AMPLIFYING.replace(mpo_db_spl=70.0))
    assert np.abs(chain.process(noise(rms_pa=5.0))).max() <= ceiling_pa(70.0)


def test_the_other_ears_fitting_is_refused_and_changes_nothing() -> None:
    for_right = AMPLIFYING.replace(ear=Ear.RIGHT)
    with pytest.raises(NeuroampError, match=r"the left ear but .* for the right ear"):
        EarChain(WEAR, for_right, ear=Ear.LEFT)
    chain = EarChain(WEAR, AMPLIFYING)
    with pytest.raises(NeuroampError, match=r"the left ear but .* for the right ear"):
        chain.set_fitting(for_right)
    assert chain.fitting == AMPLIFYING
    assert EarChain(WEAR, for_right, ear=Ear.RIGHT).ear is Ear.RIGHT


def test_a_model_of_another_profile_is_refused_with_both() -> None:
    other = dataclasses.replace(WEAR, hop=64, synthesis_length=128)
    with pytest.raises(NeuroampError, match=r"expected hop 32, .* it has hop 64"):
        EarChain(WEAR, NO_GAIN, FakeNet(band_output(0.0), other))
    with pytest.raises(NeuroampError, match=r"name wear.*name paper"):
        EarChain(WEAR, NO_GAIN, FakeNet(band_output(0.0), PAPER))


def test_two_ears_in_one_block_are_refused() -> None:
    with pytest.raises(NeuroampError, match=r"shape \(2, 64\)"):
        EarChain(WEAR, NO_GAIN).process(np.zeros((2, 64)))

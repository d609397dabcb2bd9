"""The aid in C through its binding: calibration, limits, fades, hand-over, late steps, reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from neuroamp.aid import UNCALIBRATED_CEILING_DB_SPL, VOLUME_RANGE_DB, Aid
from neuroamp.audiogram import Ear, bisgaard
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.chain import EarChain
from neuroamp.engines.native import NativeChain, library_path
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.limiter import ceiling_pa
from neuroamp.link.codes import Output
from neuroamp.link.records import Calibration
from neuroamp.profile import WEAR
from neuroamp.times import Stage
from neuroamp.wdrc import Wdrc
from neuroamp_host.prescription.fit import make_fitting

from .conftest import TinyNet

pytestmark = pytest.mark.skipif(
    library_path() is None, reason="the native engine was not built: no C compiler"
)

RATE = WEAR.sample_rate_hz
HOP = WEAR.hop
FADED_IN = RATE + HOP
"""Samples after which the sound is whole."""

MICROPHONE, RECEIVER = 94.0 + 26.0, 94.0 + 20.0
LEFT_CALIBRATED = Calibration(Ear.LEFT, MICROPHONE, RECEIVER, 120.0)
MICROPHONE_PA, RECEIVER_PA = 20e-6 * 10 ** (MICROPHONE / 20), 20e-6 * 10 ** (RECEIVER / 20)


def fitting(ear: Ear = Ear.LEFT, name: str = "N3", **changes: Any) -> Fitting:
    return make_fitting(bisgaard(name), ear).replace(**changes)


def noise(seconds: float, rms: float = 0.002, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rms * rng.standard_normal(round(seconds * RATE))).astype(np.float32)


def tone(seconds: float, hz: float = 1000.0, peak: float = 0.002) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("f4")


def speech_shaped(seconds: float) -> np.ndarray:
    """Tones at the compressor's channels, as loud to each other as in average speech: of such a
    sound the steadied gains are the prescribed ones."""
    levels_db = Wdrc(WEAR, fitting()).curves.anchor_db_spl
    at_1_khz = CHANNEL_FREQUENCIES_HZ.index(1000.0)
    peaks = 0.002 * 10.0 ** ((levels_db - levels_db[at_1_khz]) / 20.0)
    # The highest channel lies at half the sample rate.
    parts = zip(CHANNEL_FREQUENCIES_HZ[:-1], peaks[:-1], strict=True)
    return np.sum([tone(seconds, hz, peak) for hz, peak in parts], axis=0, dtype=np.float32)


def one_ear(**changes: Any) -> Aid:
    return Aid(None, [fitting(**changes)], [LEFT_CALIBRATED])


def through(aid: Aid, sound: np.ndarray, ear: Ear = Ear.LEFT) -> np.ndarray:
    return aid.process({ear: sound})[ear]


def test_once_faded_in_it_is_the_chain_between_the_two_calibrations() -> None:
    heard = noise(2.0)
    out = through(one_ear(), heard)
    expected = NativeChain(None, fitting()).process(heard * np.float32(MICROPHONE_PA))
    np.testing.assert_allclose(
        out[FADED_IN:] * RECEIVER_PA, expected[FADED_IN:], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("whole_hops", [False, True])
def test_the_output_is_late_by_exactly_the_delay(whole_hops: bool) -> None:
    flat = Fitting(Ear.LEFT, (0.0,) * 6, "none", (0.0,) * 11, (1.0,) * 11, mpo_db_spl=120.0)
    aid = Aid(None, [flat], [Calibration(Ear.LEFT, 100.0, 100.0, 120.0)])
    aid.use_whole_hops(whole_hops)
    heard = noise(2.0, rms=0.01)
    out = np.concatenate([through(aid, hop) for hop in heard.reshape(-1, HOP)])
    delay = aid.delay_samples
    assert delay == WEAR.delay_samples - (HOP if whole_hops else 0)
    late = heard[FADED_IN : heard.size - delay]
    np.testing.assert_allclose(out[FADED_IN + delay :], late, atol=1e-6)


def test_a_block_that_is_no_whole_hop_ends_the_shorter_delay_quietly() -> None:
    aid = one_ear()
    aid.use_whole_hops(True)
    heard = noise(2.0)
    first = through(aid, heard[: RATE // HOP * HOP])
    rest = np.concatenate([through(aid, part) for part in np.split(heard[RATE:], [37, 200])])
    assert np.all(np.isfinite(first))
    late = through(one_ear(), heard)
    np.testing.assert_allclose(rest[3 * HOP :], late[RATE + 3 * HOP :], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("block", [1, 31, 32, 1000])
def test_the_same_samples_come_out_whatever_the_blocks(block: int) -> None:
    heard = noise(0.5)
    expected = through(one_ear(), heard)
    aid = one_ear()
    parts = [through(aid, heard[start : start + block]) for start in range(0, heard.size, block)]
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_sound_begins_as_a_fade_from_silence() -> None:
    out = np.abs(through(one_ear(), tone(2.0)))
    settled = out[FADED_IN:].max()
    assert out[: RATE // 100].max() < 0.02 * settled
    envelope = out[: RATE // 100 * 100].reshape(-1, RATE // 100).max(axis=1)
    assert np.all(envelope[: RATE // (RATE // 100)] <= 1.5 * settled)


def test_without_calibration_the_ceiling_is_low_and_this_is_told() -> None:
    aid = Aid(None, [fitting(mpo_db_spl=120.0)])
    out = through(aid, noise(2.0, rms=0.5))
    most = ceiling_pa(UNCALIBRATED_CEILING_DB_SPL) / 20.0
    assert 0.9 * most < np.abs(out).max() <= most
    assert not aid.report(Ear.LEFT).is_calibrated
    aid.set_calibration(Ear.LEFT, LEFT_CALIBRATED)
    out = through(aid, noise(2.0, rms=0.5))
    assert np.abs(out).max() > most
    assert aid.report(Ear.LEFT).is_calibrated
    aid.set_calibration(Ear.LEFT, None)
    assert np.abs(through(aid, noise(2.0, rms=0.5))).max() <= most


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    mpo=st.floats(60.0, 120.0),
    ceiling=st.floats(60.0, 120.0),
    receiver=st.floats(80.0, 150.0),
    volume=st.floats(-1000.0, 1000.0),
    level=st.sampled_from([1e-4, 0.1, 10.0, 1e30]),
)
def test_nothing_lifts_the_output_over_the_lowest_limit(
    mpo: float, ceiling: float, receiver: float, volume: float, level: float
) -> None:
    calibration = Calibration(Ear.LEFT, MICROPHONE, receiver, ceiling)
    aid = Aid(None, [fitting(name="N6", mpo_db_spl=mpo)], [calibration])
    aid.set_volume(Ear.LEFT, volume)
    out = np.float64(through(aid, noise(1.2, rms=level)))
    full_scale_pa = 20e-6 * 10 ** (receiver / 20)
    most = min(ceiling_pa(mpo) / full_scale_pa, ceiling_pa(ceiling) / full_scale_pa, 1.0)
    assert np.abs(out).max() <= most


def level_db(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.float64(sound) ** 2)))


@pytest.mark.parametrize("volume", [-40.0, -7.5, 10.0])
def test_volume_is_decibels_within_its_range(volume: float) -> None:
    heard = tone(3.0, peak=0.0005)
    louder = one_ear()
    louder.set_volume(Ear.LEFT, volume)
    gain_db = level_db(through(louder, heard)[2 * RATE :]) - level_db(
        through(one_ear(), heard)[2 * RATE :]
    )
    assert gain_db == pytest.approx(volume, abs=0.01)
    louder.set_volume(Ear.LEFT, 99.0)
    assert louder.volume_db(Ear.LEFT) == VOLUME_RANGE_DB[1]


def test_volume_changes_by_a_fifth_of_a_decibel_a_millisecond() -> None:
    aid = one_ear()
    before = through(aid, tone(2.0, peak=0.0005))[-160:]
    aid.set_volume(Ear.LEFT, 10.0)
    out = through(aid, tone(0.1, peak=0.0005))[WEAR.delay_samples :]
    after_20_ms = level_db(out[320:336]) - level_db(before)
    assert after_20_ms == pytest.approx(0.2 * 20.5, abs=0.5)
    assert level_db(out[-160:]) - level_db(before) == pytest.approx(10.0, abs=0.1)


def steps_of(sound: np.ndarray) -> np.ndarray:
    """Largest jump from sample to sample in each millisecond."""
    jumps = np.abs(np.diff(np.float64(sound)))
    return jumps[: jumps.size // 16 * 16].reshape(-1, 16).max(axis=1)


def changes() -> dict[str, Callable[[Aid], None]]:
    louder = fitting(name="N5")
    return {
        "fitting": lambda aid: aid.set_fitting(louder),
        "volume": lambda aid: aid.set_volume(Ear.LEFT, 10.0),
        "noise reduction": lambda aid: aid.set_noise_reduction(Ear.LEFT, 0.0),
        "mute": lambda aid: aid.set_output(Output.MUTED),
    }


@pytest.mark.parametrize("change", changes())
def test_what_is_set_is_heard_without_a_click(change: str) -> None:
    """No jump from sample to sample is larger than those of the tone itself, at its loudest."""
    aid = one_ear()
    before = through(aid, tone(2.0))[FADED_IN + 100 :]
    changes()[change](aid)
    after = through(aid, tone(1.0))
    calm = max(steps_of(before).max(), steps_of(after[RATE // 2 :]).max())
    assert steps_of(np.concatenate([before[-160:], after])).max() < 1.15 * calm


def test_another_fitting_is_cross_faded_and_then_in_force() -> None:
    aid = one_ear()
    louder = fitting(name="N5")
    through(aid, tone(1.0))
    aid.set_fitting(louder)
    through(aid, tone(0.05))
    half = np.array(aid.report(Ear.LEFT).gain_65_db)
    middle = (np.array(fitting().gain_65_db) + np.array(louder.gain_65_db)) / 2
    np.testing.assert_allclose(half, middle, atol=0.5)
    through(aid, tone(1.0))
    found = aid.report(Ear.LEFT)
    np.testing.assert_allclose(found.gain_65_db, louder.gain_65_db, rtol=1e-6)
    assert found.fittings == 1
    assert aid.fitting(Ear.LEFT) == louder


def test_a_lower_limit_holds_at_once() -> None:
    aid = one_ear(name="N6", mpo_db_spl=115.0)
    through(aid, noise(2.0, rms=0.3))
    aid.set_fitting(fitting(name="N6", mpo_db_spl=70.0))
    out = through(aid, noise(0.1, rms=0.3))
    assert np.abs(out).max() <= ceiling_pa(70.0) / RECEIVER_PA


def test_panic_is_silent_from_the_next_sample_on_and_a_mute_fades() -> None:
    aid = one_ear()
    through(aid, tone(2.0))
    aid.set_output(Output.SILENT)
    assert not np.any(through(aid, tone(0.5)))
    aid.set_output(Output.SOUNDS)
    out = np.abs(through(aid, tone(2.0)))
    assert out[: RATE // 100].max() < 0.02 * out.max()
    aid.set_output(Output.MUTED)
    out = through(aid, tone(0.5))
    assert np.any(out[: RATE // 100])
    assert not np.any(out[RATE // 20 :])
    assert aid.output() is Output.MUTED


def test_left_and_right_are_never_confused() -> None:
    aid = Aid(None, [fitting(Ear.RIGHT, "N5"), fitting(Ear.LEFT, "N1")])
    left, right = tone(2.0, 1000.0), tone(2.0, 2000.0)
    both = aid.process({Ear.LEFT: left, Ear.RIGHT: right})
    for ear, name, heard in ((Ear.LEFT, "N1", left), (Ear.RIGHT, "N5", right)):
        alone = through(Aid(None, [fitting(ear, name)]), heard, ear)
        np.testing.assert_array_equal(both[ear], alone)
    only_left = one_ear()
    for refused in (
        lambda: only_left.set_fitting(fitting(Ear.RIGHT)),
        lambda: only_left.set_volume(Ear.RIGHT, 0.0),
        lambda: only_left.report(Ear.RIGHT),
        lambda: only_left.set_calibration(Ear.RIGHT, LEFT_CALIBRATED),
        lambda: only_left.process({Ear.RIGHT: tone(0.1)}),
    ):
        with pytest.raises(NeuroampError, match="right ear"):
            refused()
    with pytest.raises(NeuroampError, match="calibration is for the left ear"):
        aid.set_calibration(Ear.RIGHT, LEFT_CALIBRATED)
    with pytest.raises(NeuroampError, match="two fittings are for the same ear"):
        Aid(None, [fitting(), fitting()])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_silence_and_counted(value: float) -> None:
    aid = one_ear()
    heard = tone(2.0)
    heard[1000:1010] = value
    out = through(aid, heard)
    assert np.all(np.isfinite(out))
    report = aid.report(Ear.LEFT)
    assert report.stats.non_finite_samples == 10
    assert np.isfinite([report.input_db_spl, report.output_db_spl]).all()


def test_levels_and_gains_are_told_in_decibels() -> None:
    aid = one_ear()
    out = through(aid, tone(3.0))
    report = aid.report(Ear.LEFT)
    heard_db = level_db(tone(1.0) * MICROPHONE_PA) + 93.98
    assert report.input_db_spl == pytest.approx(heard_db, abs=0.1)
    given_db = level_db(out[-RATE:] * RECEIVER_PA) + 93.98
    assert report.output_db_spl == pytest.approx(given_db, abs=0.1)
    peak_db = 20 * np.log10(np.abs(out).max() * RECEIVER_PA / np.sqrt(2.0)) + 93.98
    assert report.output_peak_db_spl == pytest.approx(peak_db, abs=0.1)
    at_1_khz = report.gain_db[4]
    assert at_1_khz == pytest.approx(given_db - heard_db, abs=0.5)
    assert aid.insertion_gain_db(Ear.LEFT)[32] == pytest.approx(at_1_khz)
    assert report.fade == 1.0
    assert report.hops == 3 * RATE // HOP
    assert aid.times(Ear.LEFT, Stage.FRAME).count == report.hops


class Net:
    """An engine whose output is always the most that a net may ask for."""

    info = TinyNet.info

    def __init__(self) -> None:
        self.is_late = False
        self.error: Exception | None = None

    def step(self, features: np.ndarray, audiogram: np.ndarray) -> np.ndarray | None:
        if self.error is not None:
            raise self.error
        return None if self.is_late else np.zeros(features.size, dtype=np.float32)

    def reset(self) -> None:
        pass


def with_net(net: Net) -> Aid:
    return Aid(None, [fitting()], [LEFT_CALIBRATED], {Ear.LEFT: net})


def test_any_engine_s_net_runs_in_the_same_chain() -> None:
    heard = noise(1.5)
    out = through(Aid(None, [fitting()], [LEFT_CALIBRATED], {Ear.LEFT: TinyNet()}), heard)
    chain = EarChain(WEAR, fitting(), TinyNet())
    expected = chain.process(heard * np.float32(MICROPHONE_PA))[FADED_IN:]
    error = np.abs(out[FADED_IN:] * RECEIVER_PA - expected).max()
    assert error < 1e-4 * np.abs(expected).max()


def gains_of(aid: Aid, sound: Sequence[np.ndarray]) -> list[float]:
    found = []
    for block in sound:
        through(aid, block)
        found.append(aid.report(Ear.LEFT).gain_db[4])
    return found


@pytest.mark.parametrize("how", ["told", "no output", "deadline"])
def test_a_late_net_is_left_out_its_gains_decay_and_it_recovers(how: str) -> None:
    net = Net()
    aid = with_net(net)
    plain = one_ear()
    heard = speech_shaped(5.0)  # until the steadied gains have settled
    through(plain, heard)
    prescribed = plain.report(Ear.LEFT).gain_db[4]
    with_the_net = gains_of(aid, [heard])[0]
    assert with_the_net < prescribed - 10.0
    blocks = speech_shaped(0.4).reshape(-1, 8 * HOP)
    if how == "told":
        aid._library.neuroamp_aid_tell_late(aid.pointer)
    elif how == "no output":
        net.is_late = True
    else:
        aid.set_deadline(0.0)  # every hop takes longer
    decaying = gains_of(aid, blocks)
    assert np.all(np.abs(np.diff([with_the_net, *decaying])) < 8 * 12.0 / 2)
    assert max(decaying) > with_the_net + 5.0
    if how == "told":
        assert not aid.report(Ear.LEFT).is_net_paused  # it was, for a fifth of a second
    else:
        assert decaying[-1] == pytest.approx(prescribed, abs=0.5)
    if how != "no output":
        assert aid.report(Ear.LEFT).late_hops > 0
    net.is_late = False
    aid.set_deadline(None)
    assert gains_of(aid, [speech_shaped(1.0)])[0] == pytest.approx(with_the_net, abs=0.1)


def test_a_net_that_raises_is_left_out_and_remembered() -> None:
    net = Net()
    aid = with_net(net)
    through(aid, speech_shaped(5.0))
    net.error = RuntimeError("broken")
    out = through(aid, speech_shaped(2.0))
    assert isinstance(aid.net_error, RuntimeError)
    plain = one_ear()
    through(plain, speech_shaped(5.0))
    expected = through(plain, speech_shaped(2.0))
    assert level_db(out[-RATE:]) == pytest.approx(level_db(expected[-RATE:]), abs=0.1)


def test_it_is_set_and_read_while_another_thread_computes() -> None:
    aid = Aid(None, [fitting(ear) for ear in Ear])
    is_over = threading.Event()

    def play() -> None:
        block = np.zeros(HOP, dtype=np.float32)
        while not is_over.is_set():
            aid.process({Ear.LEFT: block, Ear.RIGHT: block})

    playing = threading.Thread(target=play)
    playing.start()
    try:
        for name in ("N1", "N5", "N3") * 10:
            aid.set_fitting(fitting(name=name))
            aid.report(Ear.LEFT)
            times = aid.times(Ear.RIGHT, Stage.ANALYSIS)
            assert sum(times.histogram) == times.count
    finally:
        is_over.set()
        playing.join()


def test_a_restart_forgets_the_sound_and_keeps_what_was_set() -> None:
    aid = one_ear()
    through(aid, tone(2.0))
    aid.set_volume(Ear.LEFT, -6.0)
    hops = aid.report(Ear.LEFT).hops
    aid.restart()
    assert not np.any(through(aid, np.zeros(RATE, dtype=np.float32)))
    assert aid.volume_db(Ear.LEFT) == -6.0
    assert aid.report(Ear.LEFT).hops == hops + RATE // HOP

"""The released wearable model in the core, on sounds and listeners at the edges of its use."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from neuroamp.audiogram import BISGAARD, Audiogram, Ear
from neuroamp.engines.native import NativeChain, library_path
from neuroamp.fitting import Fitting
from neuroamp.units import level_db_spl, pascal_from_db_spl
from neuroamp_host.corpora.levels import set_level
from neuroamp_host.evaluation.separation import third_octave_gain_db
from neuroamp_host.evaluation.systems import through
from neuroamp_host.prescription.fit import make_fitting
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models/wear/wear-int8.nam"
SPEECH = ROOT / "host/neuroamp_host/demo_audio/speech.flac"
RATE_HZ = 16000
THIRD_OCTAVES_HZ = 1000.0 * 2.0 ** (np.arange(-6, 9) / 3.0)
"""250 Hz to 6.3 kHz: where the prescription has gains of its own."""

Sound = NDArray[np.float64]

pytestmark = pytest.mark.skipif(library_path() is None, reason="the core was not built")


def flat(loss_db_hl: float) -> Audiogram:
    return Audiogram((250.0, 8000.0), (loss_db_hl, loss_db_hl), (False, False))


LISTENERS = {
    "normal": flat(0.0),
    **{name: BISGAARD[name] for name in ("N1", "N3", "N5", "N7", "S1", "S3")},
    "unmeasured and unanswered": Audiogram(
        (500.0, 1000.0, 4000.0, 8000.0), (30.0, None, 60.0, 100.0), (False, False, False, True)
    ),
}


@pytest.fixture(scope="module")
def speech() -> Sound:
    """Clean running speech, 65 dB SPL, pascals."""
    sound, rate_hz = soundfile.read(SPEECH)
    assert rate_hz == RATE_HZ
    return np.asarray(set_level(sound.astype(np.float32), 65.0), dtype=np.float64)


def at(sound_pa: Sound, level: float) -> Sound:
    """Speech that had 65 dB SPL at another level."""
    return sound_pa * 10.0 ** ((level - 65.0) / 20.0)


def heard(fitting: Fitting, sound_pa: Sound) -> Sound:
    chain = NativeChain(MODEL, fitting)
    return through(chain, chain.profile, sound_pa)


def without_net(fitting: Fitting, sound_pa: Sound) -> Sound:
    return heard(fitting.replace(noise_reduction=0.0), sound_pa)


def third_octaves(sound_pa: Sound, output_pa: Sound) -> Sound:
    return third_octave_gain_db(sound_pa, output_pa, RATE_HZ, THIRD_OCTAVES_HZ)


def tone(frequency_hz: float, level: float, seconds: float = 3.0) -> Sound:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sine = np.sqrt(2.0) * pascal_from_db_spl(level) * np.sin(2.0 * np.pi * frequency_hz * time_s)
    return np.asarray(sine * np.clip(time_s / 0.02, 0.0, 1.0), dtype=np.float64)


def test_speech_in_quiet_gets_a_normal_ear_transparently(speech: Sound) -> None:
    fitting = make_fitting(flat(0.0), Ear.LEFT)
    gain_db = third_octaves(speech, heard(fitting, speech))
    assert np.abs(gain_db).max() <= 1.0, np.round(gain_db, 2)


@pytest.mark.parametrize("name", LISTENERS)
def test_speech_in_quiet_gets_what_is_prescribed(speech: Sound, name: str) -> None:
    fitting = make_fitting(LISTENERS[name], Ear.LEFT)
    gain_db = third_octaves(speech, heard(fitting, speech))
    prescribed_db = third_octaves(speech, without_net(fitting, speech))
    assert np.abs(gain_db - prescribed_db).max() <= 3.0, np.round(gain_db - prescribed_db, 2)


@pytest.mark.parametrize("name", ["normal", "N3", "N7"])
@pytest.mark.parametrize("level", [20.0, 35.0, 50.0, 80.0, 95.0, 110.0])
def test_any_level_comes_out_near_what_is_prescribed_and_below_the_limit(
    speech: Sound, name: str, level: float
) -> None:
    fitting = make_fitting(LISTENERS[name], Ear.LEFT)
    sound = at(speech, level)
    output, prescribed = heard(fitting, sound), without_net(fitting, sound)
    assert np.isfinite(output).all()
    assert np.abs(output).max() <= np.sqrt(2.0) * pascal_from_db_spl(fitting.mpo_db_spl) * (
        1 + 1e-6
    )
    difference_db = level_db_spl(output) - level_db_spl(prescribed)
    assert -3.0 <= difference_db <= (3.0 if level < 65.0 else 1.0)


@pytest.mark.parametrize("name", ["normal", "N3", "N7", "S3"])
def test_silence_is_silent_at_the_start_and_after_speech(speech: Sound, name: str) -> None:
    fitting = make_fitting(LISTENERS[name], Ear.LEFT)
    assert not heard(fitting, np.zeros(RATE_HZ)).any()
    sound = np.concatenate([at(speech, 80.0), np.zeros(RATE_HZ)])
    # A frame's length after the last sample, nothing is left in the overlap-add.
    assert not heard(fitting, sound)[speech.size + 512 :].any()


@pytest.mark.parametrize("name", ["normal", "N3", "N5"])
def test_faint_noise_is_no_louder_than_without_the_net_and_does_not_pump(name: str) -> None:
    """A microphone's own noise, 25 dB SPL in all: the net must not make it audible or swell."""
    fitting = make_fitting(LISTENERS[name], Ear.LEFT)
    noise = pascal_from_db_spl(25.0) * np.random.default_rng(1).standard_normal(4 * RATE_HZ)
    output, prescribed = heard(fitting, noise), without_net(fitting, noise)
    assert level_db_spl(output) <= level_db_spl(prescribed) + 0.5
    quarters = [level_db_spl(part) for part in output[RATE_HZ:].reshape(12, -1)]
    assert max(quarters) - min(quarters) <= 2.0


@pytest.mark.parametrize("frequency_hz", [250.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0, 6000.0])
@pytest.mark.parametrize("level", [50.0, 65.0, 80.0])
def test_a_pure_tone_does_not_warble(frequency_hz: float, level: float) -> None:
    """Its gain may drift, for to the net a steady tone may be noise, but it does not flutter."""
    fitting = make_fitting(BISGAARD["N3"], Ear.LEFT)
    # Without the first second, in which gains settle, and the end, where the tone stops.
    output = heard(fitting, tone(frequency_hz, level))[RATE_HZ : -RATE_HZ // 10]
    # 20 ms pieces hold whole periods of every one of these tones.
    levels = np.array([level_db_spl(piece) for piece in output.reshape(-1, RATE_HZ // 50)])
    quarter_seconds = np.lib.stride_tricks.sliding_window_view(levels, 13)
    assert np.ptp(quarter_seconds, axis=1).max() <= 1.0


@pytest.mark.parametrize("name", ["normal", "N3", "N7"])
def test_a_click_is_not_louder_than_prescribed_and_speech_goes_on(speech: Sound, name: str) -> None:
    fitting = make_fitting(LISTENERS[name], Ear.LEFT)
    quiet = at(speech, 60.0)
    click = np.zeros_like(quiet)
    click[RATE_HZ] = pascal_from_db_spl(120.0)
    output, prescribed = heard(fitting, quiet + click), without_net(fitting, quiet + click)
    most = np.sqrt(2.0) * pascal_from_db_spl(fitting.mpo_db_spl) * (1 + 1e-6)
    assert np.abs(output).max() <= min(most, 1.13 * np.abs(prescribed).max())
    # Half a second later the click is forgotten: the levels are those without it.
    later = slice(3 * RATE_HZ // 2, None)
    without_click = heard(fitting, quiet)
    assert level_db_spl(output[later]) == pytest.approx(level_db_spl(without_click[later]), abs=0.5)

"""`neuroamp process` from file to file: what it writes, what it prints, what it refuses."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from neuroamp.aid import Aid, Calibration
from neuroamp.audiogram import Audiogram, Ear, Listener, bisgaard
from neuroamp.audiogram_files import save_listeners_json
from neuroamp.chain import EarChain
from neuroamp.core_file import read_core_weights
from neuroamp.engines.native import NativeChain, NativeEngine, library_path
from neuroamp.integer_net import IntegerNet
from neuroamp.limiter import ceiling_pa
from neuroamp.model_file import ModelInfo
from neuroamp.profile import WEAR
from neuroamp.released import find_model
from neuroamp_host.cli import main
from neuroamp_host.prescription.fit import make_fitting

MODEL = Path(__file__).parents[1] / "data" / "tiny-float32.tflite"
PASCALS = 20e-6 * 10.0 ** (100.0 / 20.0)
"""Sound pressure of a digital 1.0 where a digital RMS of 1.0 means 100 dB SPL."""

Process = Callable[..., int]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.wav"


@pytest.fixture
def process(tmp_path: Path, out: Path) -> Process:
    """Runs the command on a sound of shape [samples] or [samples, channels]."""

    def run(
        sound: np.ndarray,
        *options: str,
        rate: int = 16000,
        subtype: str = "PCM_16",
        suffix: str = ".wav",
        audiogram: str = "N3",
        engine: str = "none",
    ) -> int:
        source = tmp_path / f"in{suffix}"
        soundfile.write(source, sound, rate, subtype=subtype)
        arguments = [str(source), str(out), "--audiogram", audiogram, "--engine", engine]
        return main(["process", *arguments, *options])

    return run


def noise(seconds: float = 0.3, rate: int = 16000, seed: int = 1, rms: float = 0.02) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, rms, round(seconds * rate))


def tone(hz: float, rate: int, rms: float = 0.02, seconds: float = 1.0) -> np.ndarray:
    n = np.arange(round(seconds * rate))
    return np.sqrt(2.0) * rms * np.sin(2 * np.pi * hz * n / rate)


def level_db(sound: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean(sound**2)))


def test_the_output_is_the_chains_in_time_with_the_input(process: Process, out: Path) -> None:
    sound = noise().astype(np.float32).astype(np.float64)
    assert process(sound, subtype="FLOAT") == 0
    written, rate = soundfile.read(out)
    fitting = make_fitting(bisgaard("N3"), Ear.LEFT)
    late = EarChain(WEAR, fitting).process(np.concatenate([sound * PASCALS, np.zeros(64)]))
    assert rate == 16000
    # A mono recording reaches both ears of a listener who has two alike.
    error = np.abs(written[:, 0] * PASCALS - late[64:]).max()
    assert error < 1e-5 * np.abs(late).max()
    np.testing.assert_array_equal(written[:, 0], written[:, 1])


class Recorder:
    """An engine that keeps what the core gives a net to hear, and changes nothing."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self.heard: list[np.ndarray] = []

    def step(self, features: np.ndarray, audiogram: np.ndarray) -> None:
        self.heard.append(features.copy())

    def reset(self) -> None:
        self.heard.clear()


@pytest.mark.skipif(library_path() is None, reason="the native engine was not built")
def test_the_native_engine_equals_the_numpy_reference(process: Process, out: Path) -> None:
    """Float stages to 1e-5; the net is the core's integers in both, which equal
    `neuroamp.integer_net` bit for bit (tests/device/core). The reference's net hears the core's
    own features: one at the edge between two integers may fall to either side where one side
    computes in single precision and the other in double, and a net may answer that louder."""
    sound = noise(1.0).astype(np.float32).astype(np.float64)
    assert process(sound, "--ear", "left", engine="native", subtype="FLOAT") == 0
    written, _ = soundfile.read(out)
    path = find_model("wear", "native")
    info, weights = NativeEngine(path).info, read_core_weights(path)
    assert weights is not None
    net = IntegerNet(weights, info.profile.output == "band-gain")
    fitting = make_fitting(bisgaard("N3"), Ear.LEFT)
    heard = np.concatenate([sound * PASCALS, np.zeros(64)])
    recorder = Recorder(info)
    calibration = Calibration(Ear.LEFT, 100.0, 100.0, 100.0)
    aid = Aid(None, [fitting], [calibration], engines={Ear.LEFT: recorder})
    aid.use_whole_hops(True)
    aid.process({Ear.LEFT: heard / PASCALS})
    steps = iter(recorder.heard)

    class Reference:
        def __init__(self) -> None:
            self.info = info

        def step(self, features: np.ndarray, audiogram: np.ndarray) -> np.ndarray:
            given = next(steps)
            # Half a step of the 16 bits that the net has for them.
            np.testing.assert_allclose(given, features, atol=2.0**-14)
            net.set_audiogram(audiogram * 100.0)
            return net.step(given)

        def reset(self) -> None:
            net.reset()

    chain = EarChain(info.profile, fitting, Reference())
    late = chain.process(heard)[64:]
    assert np.abs(written * PASCALS - late).max() < 1e-5 * np.abs(late).max()


def test_linear_gain_of_the_prescription_is_in_the_file(process: Process, out: Path) -> None:
    sound = tone(2000.0, 16000, rms=0.005)
    assert process(sound, "--linear", "--ear", "right") == 0
    written, _ = soundfile.read(out)
    prescribed = make_fitting(bisgaard("N3"), Ear.RIGHT, linear=True).gain_65_db[6]
    gain_db = level_db(written[4000:12000]) - level_db(sound[4000:12000])
    assert gain_db == pytest.approx(prescribed, abs=0.3)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_any_rate_keeps_its_rate_length_and_time(process: Process, out: Path, rate: int) -> None:
    sound = tone(1000.0, rate, rms=0.005)
    sound[: rate // 4] = 0.0
    assert process(sound, "--linear", "--ear", "left", rate=rate, subtype="FLOAT") == 0
    written, written_rate = soundfile.read(out)
    assert (written_rate, written.shape) == (rate, sound.shape)
    # In phase with the input to a fiftieth of the period: late by less than 20 microseconds.
    middle = slice(rate // 2, rate * 3 // 4)
    analytic = np.exp(-2j * np.pi * 1000.0 * np.arange(rate) / rate)[middle]
    shift = np.angle(np.sum(written[middle] * analytic) / np.sum(sound[middle] * analytic))
    assert abs(shift) < 2 * np.pi / 50
    before = written[rate // 8 : rate // 4 - rate // 50]
    assert np.abs(before).max() < 0.02 * np.abs(written).max()


def test_left_and_right_have_their_own_sound_and_audiogram(
    process: Process, out: Path, tmp_path: Path
) -> None:
    people = tmp_path / "people.json"
    flat, steep = Audiogram((250.0, 6000.0), (0.0, 0.0)), bisgaard("N5")
    anna = Listener("Anna", left=steep, right=flat)
    save_listeners_json(people, [Listener("Ben", left=flat, right=flat), anna])
    sound = np.stack([tone(2000.0, 16000, 0.002), tone(1000.0, 16000, 0.004)], axis=1)
    audiogram, rule = f"{people}:Anna", ("--rule", "half-gain")
    assert process(sound, "--linear", *rule, audiogram=audiogram, subtype="FLOAT") == 0
    written, _ = soundfile.read(out)
    settled = slice(4000, 12000)
    gain_db = level_db(written[settled, 0]) - level_db(sound[settled, 0])
    prescribed = make_fitting(steep, Ear.LEFT, rule="half-gain").gain_65_db[6]
    assert gain_db == pytest.approx(prescribed, abs=0.3)
    np.testing.assert_allclose(written[settled, 1], sound[settled, 1], atol=1e-6)
    assert process(sound, "--ear", "right", *rule, audiogram=audiogram, subtype="FLOAT") == 0
    alone, _ = soundfile.read(out)
    np.testing.assert_allclose(alone[settled], sound[settled, 1], atol=1e-6)


def test_more_channels_are_two_with_a_note(
    process: Process, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = np.stack([noise(seed=s) for s in range(6)], axis=1)
    assert process(sound) == 0
    assert soundfile.info(out).channels == 2
    assert "the first two of its 6 channels are used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("subtype", "suffix", "stored"),
    [
        ("PCM_16", ".wav", "PCM_16"),
        ("PCM_24", ".flac", "PCM_24"),
        ("FLOAT", ".wav", "FLOAT"),
        ("DOUBLE", ".wav", "FLOAT"),
        ("ULAW", ".wav", "PCM_16"),
        ("VORBIS", ".ogg", "PCM_16"),
    ],
)
def test_samples_are_stored_as_the_inputs_are(
    process: Process, out: Path, subtype: str, suffix: str, stored: str
) -> None:
    assert process(noise(rms=0.002), subtype=subtype, suffix=suffix) == 0
    assert soundfile.info(out).subtype == stored


def test_what_integers_cannot_hold_becomes_float_and_is_told(
    process: Process, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert process(noise(), "--linear", "--input-level", "95", audiogram="N5") == 0
    written, _ = soundfile.read(out)
    peak = np.abs(written).max()
    assert soundfile.info(out).subtype == "FLOAT"
    assert f"peaks {20 * np.log10(peak):.1f} dB above full scale" in capsys.readouterr().out


@pytest.mark.parametrize("rate", [16000, 44100])
def test_nothing_in_the_file_is_above_the_mpo(process: Process, out: Path, rate: int) -> None:
    sound = noise(rate=rate, rms=0.3)
    options = ("--mpo-db-spl", "85", "--input-level", "100")
    assert process(sound, *options, rate=rate, subtype="FLOAT", audiogram="N6") == 0
    written, _ = soundfile.read(out)
    peak_pa = np.abs(written).max() * PASCALS
    assert 0.9 * ceiling_pa(85.0) < peak_pa <= ceiling_pa(85.0) * (1.0 + 1e-6)


def test_input_level_and_full_scale_set_what_the_aid_hears(
    process: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    def heard(*options: str) -> float:
        assert process(noise(rms=0.01), "--ear", "left", *options) == 0
        return float(re.search(r"left +([\d.]+)", capsys.readouterr().out)[1])  # type: ignore[index]

    assert heard() == pytest.approx(60.0, abs=0.2)
    assert heard("--full-scale-db-spl", "90") == pytest.approx(50.0, abs=0.2)
    assert heard("--input-level", "72.5") == pytest.approx(72.5, abs=0.1)


def test_a_net_denoises_by_its_strength_and_the_block_does_not_matter(
    process: Process, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def through(*options: str) -> np.ndarray:
        model = ("--model", str(MODEL), "--ear", "left")
        assert process(noise(), *model, *options, engine="tflite", subtype="FLOAT") == 0
        return soundfile.read(out)[0]

    full = through()
    assert "tiny (float32)" in capsys.readouterr().out
    np.testing.assert_array_equal(through("--block", "37"), full)
    assert process(noise(), "--ear", "left", subtype="FLOAT") == 0
    prescription = soundfile.read(out)[0]
    without = np.abs(through("--noise-reduction", "0") - prescription).max()
    assert without < 1e-5 * np.abs(prescription).max()
    assert np.abs(full - prescription).max() > 0.01 * np.abs(prescription).max()


def test_two_ears_have_nets_of_their_own(process: Process, out: Path) -> None:
    """With one net for both, the second ear would begin with the first one's states."""
    options = ("--model", str(MODEL))
    sound = np.stack([noise(seed=1), noise(seed=2)], axis=1)
    assert process(sound, *options, engine="auto", subtype="FLOAT") == 0
    both, _ = soundfile.read(out)
    for index, ear in enumerate(("left", "right")):
        assert process(sound, *options, "--ear", ear, engine="auto", subtype="FLOAT") == 0
        np.testing.assert_array_equal(soundfile.read(out)[0], both[:, index])


def test_the_table_tells_levels_delay_and_speed(
    process: Process, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert process(noise(1.0, rms=0.01)) == 0
    printed = capsys.readouterr()
    written, _ = soundfile.read(out)
    left = re.search(r"^left +([\d.]+) +([\d.]+) +([\d.]+) +0$", printed.out, re.MULTILINE)
    assert left is not None
    assert float(left[2]) == pytest.approx(level_db(written[:, 0]) + 100.0, abs=0.1)
    peak_db = 20.0 * np.log10(np.abs(written[:, 0]).max()) + 100.0
    assert float(left[3]) == pytest.approx(peak_db, abs=0.1)
    assert re.search(r"^delay +4\.0 ms", printed.out, re.MULTILINE)
    assert re.search(r"^time per frame +[\d.]+ ms of 2 ms", printed.out, re.MULTILINE)
    assert re.search(r"^real-time factor +[\d.]+$", printed.out, re.MULTILINE)
    assert printed.err == ""


def test_a_person_who_watches_sees_progress(
    process: Process, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert process(noise(), "--ear", "left") == 0
    shown = capsys.readouterr().err
    percent = [int(number) for number in re.findall(r"left ear: +(\d+) %", shown)]
    assert percent[0] == 0
    assert percent == sorted(percent)
    assert percent[-1] == 100


def test_samples_that_are_not_numbers_are_silence_with_a_note(
    process: Process, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = noise()
    sound[100:110] = np.nan
    sound[200] = np.inf
    assert process(sound, "--ear", "left", subtype="FLOAT") == 0
    assert "11 samples that are not numbers count as silence" in capsys.readouterr().out
    assert np.isfinite(soundfile.read(out)[0]).all()


# What it refuses: one sentence on stderr, exit code 2, and no file.


@pytest.fixture
def refused(out: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[int], str]:
    """The one sentence of a refusal, which leaves nothing behind."""

    def check(code: int) -> str:
        printed = capsys.readouterr()
        assert code == 2
        assert printed.out == ""
        assert re.fullmatch(r"neuroamp: [^\n]+\.\n", printed.err), printed.err
        assert not out.exists()
        assert not list(out.parent.glob(".*"))
        return printed.err

    return check


Refused = Callable[[int], str]


def on_file(source: Path, out: Path, *options: str) -> int:
    return main(
        ["process", str(source), str(out), "--audiogram", "N3", "--engine", "none", *options]
    )


@pytest.mark.parametrize(
    ("sound", "rate", "sentence"),
    [
        (np.zeros(0), 16000, "has no samples but at least one is needed"),
        (np.full(99, np.nan), 16000, "holds not one finite sample"),
        (np.zeros(99), 4000, "a sample rate of 4000 Hz but it must be from 8000 to 192000 Hz"),
        (np.zeros(99), 384000, "a sample rate of 384000 Hz"),
        (noise(rms=8000.0), 16000, r"peaks at \d+ dB SPL but"),
    ],
    ids=["empty", "all NaN", "low rate", "high rate", "integers as floats"],
)
def test_a_recording_that_makes_no_sense_is_refused(
    process: Process, refused: Refused, sound: np.ndarray, rate: int, sentence: str
) -> None:
    assert re.search(sentence, refused(process(sound, rate=rate, subtype="FLOAT")))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound" * 20, b"RIFF\x24\0\0\0WAVEfmt "])
def test_a_file_that_is_no_recording_is_refused(
    tmp_path: Path, out: Path, refused: Refused, content: bytes
) -> None:
    source = tmp_path / "in.wav"
    source.write_bytes(content)
    assert "in.wav cannot be read" in refused(on_file(source, out))


def test_a_missing_recording_and_a_folder_are_refused(
    tmp_path: Path, out: Path, refused: Refused
) -> None:
    assert "cannot be read (no such file)" in refused(on_file(tmp_path / "none.wav", out))
    assert "cannot be read" in refused(on_file(tmp_path, out))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--input-level", "130"), r"input level is 130 dB SPL but must be from 0 to 120"),
        (("--input-level", "nan"), r"input level is nan dB SPL"),
        (("--full-scale-db-spl", "200"), r"full scale is 200 dB SPL but must be from 60 to 140"),
        (("--mpo-db-spl", "130"), r"MPO in dB SPL is 130\.0 but must be from 60 to 120"),
        (("--noise-reduction", "1.5"), r"noise reduction is 1\.5 but must be from 0 to 1"),
        (("--rule", "nal-nl2"), r"no prescription rule 'nal-nl2'; choose from"),
        (("--block", "0"), r"--block is 0 samples but must be at least 1"),
        (("--audiogram", "N9"), r"N9"),
        (("--engine", "tflite", "--model", "none.tflite"), r"no model file none\.tflite"),
        (("--engine", "onnx", "--model", str(MODEL)), r"'onnx' does not run .*tiny-float32"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_option_out_of_range_is_refused(
    process: Process, refused: Refused, options: Sequence[str], sentence: str
) -> None:
    assert re.search(sentence, refused(process(noise(), *options)))


def test_silence_has_no_level_to_set(process: Process, refused: Refused) -> None:
    assert "is silent" in refused(process(np.zeros(1000), "--input-level", "65"))


def test_an_ear_without_audiogram_is_refused(
    process: Process, refused: Refused, tmp_path: Path
) -> None:
    people = tmp_path / "people.json"
    save_listeners_json(people, [Listener("Anna", left=bisgaard("N2"))])
    for ear in ("right", "both"):
        code = process(noise(), "--ear", ear, audiogram=str(people))
        assert "no audiogram for the right ear" in refused(code)
    assert process(noise(), audiogram=str(people)) == 0


def test_a_damaged_model_is_refused(process: Process, refused: Refused, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    whole = MODEL.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    code = process(noise(), "--model", str(model), engine="auto")
    assert "truncated, damaged or not from this project" in refused(code)
    model.write_bytes(whole[:1000] + b"?" + whole[1001:])
    code = process(noise(), "--model", str(model), engine="auto")
    assert "is damaged" in refused(code)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("out.mp3", "must be a WAV file but ends in '.mp3'"),
        ("none/out.wav", "in a folder that does not exist"),
        ("folder.wav", "is a folder"),
        ("in.wav", "is the input itself"),
    ],
)
def test_an_output_that_cannot_be_is_refused(
    tmp_path: Path, refused: Refused, name: str, sentence: str
) -> None:
    source = tmp_path / "in.wav"
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(source, noise(), 16000)
    content = source.read_bytes()
    assert sentence in refused(on_file(source, tmp_path / name))
    assert source.read_bytes() == content


def test_a_write_that_fails_leaves_the_old_output_as_it_was(
    process: Process, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The disk is full after the first bytes."""
    out.write_bytes(b"old")

    def write_a_part(file, *rest, **options):  # type: ignore[no-untyped-def]
        file.write(b"RIFF")
        raise OSError(28, "No space left on device")

    (tmp_path / "keep").mkdir()
    source = tmp_path / "keep" / "in.wav"
    soundfile.write(source, noise(), 16000)
    monkeypatch.setattr(soundfile, "write", write_a_part)
    assert on_file(source, out) == 2
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keep", "out.wav"]


def test_an_interrupted_run_leaves_no_output(
    process: Process, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: object, block: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(EarChain, "process", interrupt)
    monkeypatch.setattr(NativeChain, "process", interrupt)
    assert process(noise()) == 130
    assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["in.wav"]

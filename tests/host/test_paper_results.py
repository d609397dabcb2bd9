"""The paper's tables and figures: the statistics, the sounds, and miniatures of its data sets."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp.errors import NeuroampError
from neuroamp.units import level_db_spl
from neuroamp_host.cli import main
from neuroamp_host.corpora.levels import active_level_db_spl
from neuroamp_host.evaluation.paper import figures, published, scoring, tables
from neuroamp_host.evaluation.paper.sounds import STAND_INS, Place, Sounds, make_sound
from neuroamp_host.evaluation.paper.statistics import agreement, difference
from neuroamp_host.training import checkpoint
from neuroamp_host.training.config import TrainingConfig
from neuroamp_host.training.loop import train
from scipy import stats

RATE_HZ = 16000
SECONDS = 1.1


def speechlike(seed: int, seconds: float = SECONDS) -> np.ndarray:
    """Noise whose level changes four times a second."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).normal(0.0, 0.05, time.size)
    return np.asarray(noise * (1.0 + np.sin(2.0 * np.pi * 4.0 * time)))


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speechlike(seed), RATE_HZ)


def lay_out(name: str, root: Path) -> Path:
    """A miniature of a data set as it is distributed: two files or more a split."""
    paths: list[str] = []
    if name == "TIMIT":
        talkers = [f"{sex}AA{letter}0" for sex in "FM" for letter in "ABCDEF"]
        paths = [f"TIMIT/TRAIN/DR1/{talker}/SX{i}.WAV" for talker in talkers for i in (3, 9)]
        paths += [f"TIMIT/TEST/DR8/{talker}/SI1.WAV" for talker in ("MZZZ0", "FZZZ0")]
    elif name == "TMHINT":
        paths = [f"Training/Clean/{t}/TMHINT_01_0{i}.wav" for t in ("b1", "b2", "g1") for i in "12"]
        paths += [f"Testing/Clean/b4/TMHINT_12_{i}.wav" for i in (10, 11)]
    elif name == "VoiceBank":
        for part, stems in (
            ("trainset_28spk", ("p226_001", "p227_001", "p228_001")),
            ("testset", ("p232_001", "p257_001")),
        ):
            paths += [
                f"{kind}_{part}_wav/{stem}.wav" for stem in stems for kind in ("clean", "noisy")
            ]
    elif name == "VCTK":
        talkers = ("p225", "p226", "p227", "p232", "p257")
        paths = [f"wav48/{t}/{t}_00{i}.wav" for t in talkers for i in (1, 2)]
    elif name == "MUSDB18-HQ":
        songs = {
            "train": ("A Classic Education - NightOwl", "Leaf - Summerghost"),
            "test": ("Al James - Schoolboy Facination", "Angels In Amplifiers - I'm Alright"),
        }
        paths = [f"{part}/{song}/mixture.wav" for part in songs for song in songs[part]]
    elif name == "Cadenza":
        songs = {
            "train": ("A Classic Education - NightOwl", "Leaf - Summerghost"),
            "test": ("Al James - Schoolboy Facination", "BKS - Bulldozer"),
        }
        paths = [
            f"cad1/task1/audio/musdb18hq/{part}/{song}/mixture.wav"
            for part in songs
            for song in songs[part]
        ]
    for seed, path in enumerate(paths):
        write(root / path, seed)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder of speech, noise and music in every split."""
    root = tmp_path_factory.mktemp("data")
    for index, split in enumerate(("train", "dev", "test")):
        for kind in ("speech", "noise", "music"):
            for name in "ab":
                write(root / kind / split / name / "one.wav", 10 * index + ord(name))
    return root


# --- statistics ------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), clips=st.integers(5, 40), ties=st.booleans())
def test_agreement_is_scipy_s(seed: int, clips: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    a = rng.uniform(size=clips)
    b = np.clip(a + rng.normal(0.0, 0.1, clips), 0.0, 1.0)
    if ties:
        a, b = np.round(a, 1), np.round(b, 1)
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return
    found = agreement(a, b)
    assert found.lcc.value == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
    assert found.srcc.value == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert found.mse.value == pytest.approx(np.mean((a - b) ** 2), abs=1e-15)
    assert found.mse.low <= found.mse.value <= found.mse.high


def test_scores_that_are_all_the_same_agree_in_no_way_that_has_a_number() -> None:
    found = agreement([0.5] * 6, [0.5] * 6)
    assert np.isnan(found.lcc.value)
    assert np.isnan(found.srcc.value)
    assert found.mse.value == 0.0
    same = difference([0.5] * 6, [0.4] * 6)
    assert same.mean.value == pytest.approx(0.1)
    assert np.isnan(same.t_test)


def test_a_difference_is_paired() -> None:
    """A small gain on clips of very different scores shows; shuffled, it does not."""
    rng = np.random.default_rng(0)
    baseline = rng.uniform(0.1, 0.9, 40)
    better = baseline + 0.02 + rng.normal(0.0, 0.005, 40)
    found = difference(better, baseline)
    assert found.mean.low > 0.0
    assert found.t_test == pytest.approx(stats.ttest_rel(better, baseline).pvalue)
    assert found.wilcoxon < 1e-6
    assert difference(rng.permutation(better), baseline).t_test > 0.05


# --- what the paper printed ------------------------------------------------------------------


def test_the_published_tables_are_whole() -> None:
    metrics = ("HASPI", "HASQI")
    for cells, columns in (
        (published.BASIC, published.SPEECH_SETS),
        (published.OPTIMISED, published.SPEECH_SETS),
        (published.BY_CONDITION, published.CONDITIONS),
    ):
        assert set(cells) == {
            (m, net, c) for m in metrics for net in published.ARCHITECTURES for c in columns
        }
    assert set(published.MUSIC) == {
        ("HAAQI", net, name) for net in published.ARCHITECTURES for name in published.MUSIC_SETS
    }
    every = [published.BASIC, published.OPTIMISED, published.BY_CONDITION, published.MUSIC]
    for lcc, srcc, mse in (cell for cells in every for cell in cells.values()):
        assert 0.3 < lcc < 1.0
        assert 0.3 < srcc < 1.0
        assert mse < 0.02


# --- the sounds ------------------------------------------------------------------------------


def test_a_clip_is_the_same_in_every_condition_but_for_the_noise(data: Path) -> None:
    sounds = Sounds(data, clips=2)
    places = {place.condition: place for place in sounds.places("TIMIT") if place.index == 1}
    assert set(places) == set(published.CONDITIONS)
    made = {condition: make_sound(sounds, place) for condition, place in places.items()}
    clean, no_noise_db = made["clean"]
    assert no_noise_db == np.inf
    assert np.array_equal(clean.clean_pa, clean.noisy_pa)
    for case, _ in made.values():
        assert np.array_equal(case.clean_pa, clean.clean_pa)
        assert case.audiogram == clean.audiogram
        assert level_db_spl(case.clean_pa) == pytest.approx(65.0, abs=1e-3)
    noisy, snr_db = made["noisy"]
    noise = noisy.noisy_pa - noisy.clean_pa
    found_db = active_level_db_spl(noisy.clean_pa) - level_db_spl(noise)
    assert snr_db in (-6.0, 0.0, 6.0)
    assert found_db == pytest.approx(snr_db, abs=0.01)
    assert not np.array_equal(made["enhanced (FCN)"][0].noisy_pa, noisy.noisy_pa)


def test_listeners_are_dealt_from_clip_to_clip(data: Path) -> None:
    sounds = Sounds(data, clips=2)
    listeners = {
        make_sound(sounds, Place("TIMIT", "clean", index % 2))[0].listener for index in range(2)
    }
    assert len(listeners) == 2


def test_an_unknown_set_is_one_sentence(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NeuroampError, match="no data set 'WSJ'"):
        Sounds(data, (("WSJ", data),))
    assert main(["evaluate", "--data", str(data), "--table", "III", "--sets", "TIMIT"]) == 2
    assert "NAME=FOLDER" in capsys.readouterr().err


def test_data_without_a_kind_are_one_sentence(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        write(tmp_path / "speech" / split / "a" / "one.wav", 1)
    with pytest.raises(NeuroampError, match=r"no music .* --sets MUSDB18-HQ=FOLDER"):
        Sounds(tmp_path).places("MUSDB18-HQ")


# --- miniatures of the paper's data sets -----------------------------------------------------


@pytest.mark.parametrize("name", ["TIMIT", "TMHINT", "VoiceBank", "VCTK", "MUSDB18-HQ", "Cadenza"])
def test_a_miniature_of_each_data_set_trains_a_net(name: str, data: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = TrainingConfig(
        net="wear", batch=2, seconds=0.5, steps=2, dev_every=2, dev_batches=1, warmup_steps=1
    )
    best = train(config, [lay_out(name, tmp_path / "set"), data], tmp_path / "run")
    assert np.isfinite(checkpoint.load(best)["dev_loss"])


def test_miniatures_of_all_data_sets_are_evaluated(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"CNN": scoring.released(basic=False)["CNN"]}
    for module in (scoring, tables, figures):
        monkeypatch.setattr(module, "released", lambda basic: {} if basic else one)
    sets = [f"{name}={lay_out(name, tmp_path / name)}" for name in STAND_INS]
    arguments = ["evaluate", "--data", str(data), "--sets", *sets, "--clips", "2"]
    arguments += ["--processes", "1", "--out", str(tmp_path / "out"), "--rows", str(tmp_path / "r")]
    arguments += ["--table", "I", "II", "III", "IV", "V", "--figure", "all"]
    assert main(arguments) == 0
    for number in ("iii", "iv", "v"):
        values = json.loads((tmp_path / "out" / f"table-{number}.json").read_text())
        for own in values.values():
            assert set(own) == {"CNN"}
            assert all(0.0 <= cell["MSE"]["value"] < 0.5 for cell in own["CNN"].values())
        text = (tmp_path / "out" / f"table-{number}.md").read_text()
        assert "as in the paper" in text
        assert "models/paper-lstm/train.toml" in text
    assert "models/paper-cnn-basic/train.toml" in (tmp_path / "out" / "table-ii.md").read_text()
    assert len(list((tmp_path / "out").glob("figure-*.png"))) == 10
    # Again: nothing is scored a second time.
    monkeypatch.setattr(scoring, "_scores", lambda case, heard: pytest.fail("scored again"))
    assert main(arguments) == 0


def test_table_six_compares_with_two_stages_on_pairs(data: Path, tmp_path: Path) -> None:
    voicebank = lay_out("VoiceBank", tmp_path / "set")
    arguments = ["evaluate", "--data", str(data), "--sets", f"VCTK={voicebank}"]
    arguments += ["--processes", "1", "--out", str(tmp_path / "out"), "--rows", str(tmp_path / "r")]
    assert main([*arguments, "--table", "VI"]) == 0
    values = json.loads((tmp_path / "out" / "table-vi.json").read_text())
    assert values["clips"] == 2
    assert {"unprocessed", "NAL-R", "NAL-R+WDRC", scoring.DENOISING, *scoring.TWO_STAGES} <= set(
        values["means"]
    )
    with pytest.raises(SystemExit):
        main([*arguments, "--table", "VII"])

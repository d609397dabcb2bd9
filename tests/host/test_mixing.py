"""Levels and ratios are exact, draws repeat, and nothing crosses from one split to another."""

import dataclasses
import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp import units
from neuroamp.errors import NeuroampError
from neuroamp_host.corpora.levels import active_level_db_spl, mix_at_snr, set_level
from neuroamp_host.corpora.mixing import (
    EVALUATION,
    Mixture,
    MixtureConfig,
    MixtureSampler,
    evaluation_mixtures,
    paired_utterances,
)
from neuroamp_host.corpora.rooms import convolve_room

REAL_DATA = Path(
    os.environ.get("NEUROAMP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
SECONDS = 0.5
SAMPLES = 8000
PLAIN = MixtureConfig(
    noise_only_share=0.0,
    music_share=0.0,
    clean_share=0.0,
    babble_share=0.0,
    coloured_noise_share=0.0,
    second_noise_share=0.0,
    room_share=0.0,
    colour_share=0.0,
    speed_share=0.0,
)


def with_(**changes: object) -> MixtureConfig:
    return dataclasses.replace(PLAIN, **changes)  # type: ignore[arg-type]


def speech_like(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Noise in syllables: four a second, a third of the time silent."""
    samples = int(seconds * 16000)
    rhythm = np.sin(2 * np.pi * 4.0 * np.arange(samples) / 16000 + rng.uniform(0, 6)) > -0.5
    return 0.1 * rng.standard_normal(samples) * rhythm


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest folder: per split, talkers (one of short words), noises, music, pairs, rooms."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    rows = ["path,source,licence,speaker,split,kind,type"]

    def add(path: str, signal: np.ndarray, row: str) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, signal, 16000)
        rows.append(f"{path},{row}")

    for split in ("train", "dev", "test"):
        for talker in ("long1", "long2"):
            path = f"speech/{split}/{talker}.flac"
            add(path, speech_like(rng, 2.0), f"s,CC0,{split}-{talker},{split},speech,")
        for word in range(3):
            path = f"speech/{split}/word{word}.flac"
            add(path, speech_like(rng, 0.2), f"s,GPL-3,{split}-words,{split},speech,")
        for noise in ("hum", "hiss"):
            path = f"noise/{split}/{noise}.flac"
            signal = 0.05 * rng.standard_normal(20000)
            add(path, signal, f"n,CC0,,{split},noise,{split}-{noise}")
        add(
            f"music/{split}/song.flac",
            0.2 * np.sin(np.arange(32000) / 7),
            f"m,CC0,,{split},music,music",
        )
    add("evaluation_only/noise/test/n.flac", tone_burst(), "hu,research,,test,noise,forbidden")
    for stem in ("p2_002", "p1_001"):
        clean = speech_like(rng, 1.0)
        noisy = clean + 0.01 * rng.standard_normal(clean.size)
        add(f"paired/vb/clean/{stem}.flac", clean, f"vb,CC0,{stem[:2]},test,paired,clean")
        add(f"paired/vb/noisy/{stem}.flac", noisy, f"vb,CC0,{stem[:2]},test,paired,noisy")
    response = np.zeros(4000)
    response[[40, 300, 2500]] = 0.5, 0.2, 0.1
    add("ir/room/a.wav", response, "iosr-surrey,MIT,,all,ir,room")
    add("ir/aid/feedback.wav", response, "openmha-afc,MIT,,all,ir,feedback path")
    (root / "MANIFEST.csv").write_text("\n".join(rows) + "\n")
    return root


def tone_burst() -> np.ndarray:
    return 0.1 * np.sin(np.arange(16000) / 3)


def drawn(root: Path, config: MixtureConfig, count: int = 20) -> Iterator[Mixture]:
    sampler = MixtureSampler(root, "train", SECONDS, seed=3, config=config)
    return islice(iter(sampler), count)


# --- levels --------------------------------------------------------------------------------


@given(level=st.floats(0, 120), scale=st.floats(1e-4, 10.0), silence=st.floats(0.0, 0.8))
@settings(max_examples=40, deadline=None)
def test_the_active_level_is_set_exactly_and_pauses_do_not_count(
    level: float, scale: float, silence: float
) -> None:
    rng = np.random.default_rng(0)
    steady = (scale * rng.standard_normal(25600)).astype(np.float32)
    pause = np.zeros(int(silence * 100) * 256, np.float32)
    loud = set_level(np.concatenate([steady, pause]), level)
    assert active_level_db_spl(loud) == pytest.approx(level, abs=1e-3)
    # Without its pauses the signal has the same level, as RMS too.
    assert units.level_db_spl(loud[: steady.size]) == pytest.approx(level, abs=1e-3)


def test_soft_frames_count_within_the_margin_of_p56_only() -> None:
    loud = np.tile(np.float32([0.02, -0.02]), 12800)
    for softer_db, counted in ((12.0, True), (20.0, False)):
        soft = loud * np.float32(10 ** (-softer_db / 20))
        power = (1 + 10 ** (-softer_db / 10)) / 2 if counted else 1.0
        expected = 60.0 + 10 * math.log10(power)
        assert active_level_db_spl(np.concatenate([loud, soft])) == pytest.approx(
            expected, abs=0.01
        )


@given(snr=st.floats(-20, 40))
@settings(max_examples=30, deadline=None)
def test_the_ratio_is_exact(snr: float) -> None:
    rng = np.random.default_rng(2)
    speech = speech_like(rng, 1.0).astype(np.float32)
    noise = rng.standard_normal(speech.size).astype(np.float32)
    mixed = mix_at_snr(speech, noise, snr)
    added = mixed.astype(np.float64) - speech
    assert active_level_db_spl(speech) - units.level_db_spl(added) == pytest.approx(snr, abs=0.01)
    assert np.corrcoef(added, noise)[0, 1] > 0.999


def test_without_noise_speech_passes_and_silence_is_refused() -> None:
    speech = np.ones(512, np.float32)
    np.testing.assert_array_equal(mix_at_snr(speech, speech, math.inf), speech)
    with pytest.raises(NeuroampError):
        mix_at_snr(speech, np.zeros(512, np.float32), 0.0)
    with pytest.raises(NeuroampError):
        mix_at_snr(speech, np.ones(511, np.float32), 0.0)
    with pytest.raises(NeuroampError):
        set_level(np.zeros(512, np.float32), 65.0)


# --- rooms ---------------------------------------------------------------------------------


def test_a_rooms_target_is_aligned_direct_sound_and_early_reflections() -> None:
    rng = np.random.default_rng(4)
    dry = rng.standard_normal(6000).astype(np.float32)
    response = np.zeros(4000, np.float32)
    response[100], response[100 + 400], response[100 + 2400] = 1.0, 0.5, 0.25
    heard, target = convolve_room(dry, response)
    early = dry.copy()
    early[400:] += 0.5 * dry[:-400]
    late = np.zeros_like(dry)
    late[2400:] = 0.25 * dry[:-2400]
    np.testing.assert_allclose(target, early, atol=1e-5)
    np.testing.assert_allclose(heard, early + late, atol=1e-5)


# --- mixtures ------------------------------------------------------------------------------


def test_level_ratio_length_and_type_are_as_asked(root: Path) -> None:
    for mixture in drawn(root, with_(level_range_db_spl=(50.0, 60.0, 80.0))):
        assert mixture.clean_pa.dtype == mixture.noisy_pa.dtype == np.float32
        assert mixture.clean_pa.shape == mixture.noisy_pa.shape == (SAMPLES,)
        assert 50.0 <= mixture.level_db_spl <= 80.0
        assert -7.0 <= mixture.snr_db <= 25.0
        assert active_level_db_spl(mixture.clean_pa) == pytest.approx(
            mixture.level_db_spl, abs=0.01
        )
        noise = mixture.noisy_pa.astype(np.float64) - mixture.clean_pa
        ratio = mixture.level_db_spl - units.level_db_spl(noise)
        assert ratio == pytest.approx(mixture.snr_db, abs=0.01)


def test_everything_at_once_stays_exact_in_level(root: Path) -> None:
    config = MixtureConfig(noise_only_share=0.0, speed_share=1.0, room_share=1.0, colour_share=1.0)
    for mixture in drawn(root, config, 30):
        assert mixture.clean_pa.shape == (SAMPLES,)
        assert np.isfinite(mixture.noisy_pa).all()
        assert active_level_db_spl(mixture.clean_pa) == pytest.approx(
            mixture.level_db_spl, abs=0.01
        )


def test_noise_is_played_at_up_to_twice_its_speed_and_down_to_a_half(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    tone = 0.1 * np.sin(2 * np.pi * 1000.0 * np.arange(32000) / 16000)
    soundfile.write(tmp_path / "tone.flac", tone, 16000)
    soundfile.write(tmp_path / "speech.flac", speech_like(rng, 2.0), 16000)
    (tmp_path / "MANIFEST.csv").write_text(
        "path,split,kind\ntone.flac,train,noise\nspeech.flac,train,speech\n"
    )
    octaves = []
    for mixture in drawn(tmp_path, with_(noise_only_share=1.0, noise_speed=2.0), 60):
        spectrum = np.abs(np.fft.rfft(mixture.noisy_pa * np.hanning(SAMPLES)))
        octaves.append(math.log2(np.argmax(spectrum) / SECONDS / 1000.0))
    # Uniform in octaves: both ends are come near, and as many are slower as are faster.
    assert -1.01 < min(octaves) < -0.8
    assert 0.8 < max(octaves) < 1.01
    assert abs(float(np.mean(octaves))) < 0.25
    for mixture in drawn(tmp_path, with_(noise_only_share=1.0), 5):
        spectrum = np.abs(np.fft.rfft(mixture.noisy_pa * np.hanning(SAMPLES)))
        assert np.argmax(spectrum) / SECONDS == pytest.approx(1000.0, abs=2.0)


def test_mixtures_depend_on_seed_and_number_alone(root: Path) -> None:
    config = MixtureConfig()
    one = MixtureSampler(root, "train", SECONDS, seed=3, config=config)
    other = MixtureSampler(root, "train", SECONDS, seed=3, config=config)
    backwards = [other.mixture(index) for index in reversed(range(12))][::-1]
    for first, second in zip(islice(one, 12), backwards, strict=True):
        np.testing.assert_array_equal(first.clean_pa, second.clean_pa)
        np.testing.assert_array_equal(first.noisy_pa, second.noisy_pa)
        assert first.noises == second.noises
    reseeded = MixtureSampler(root, "train", SECONDS, seed=4, config=config)
    assert not np.array_equal(one.mixture(0).noisy_pa, reseeded.mixture(0).noisy_pa)


def test_a_draw_leaves_the_held_audio_untouched(root: Path) -> None:
    sampler = MixtureSampler(root, "train", SECONDS, config=MixtureConfig())
    before = [recording.samples.copy() for recording in sampler.recordings]
    for mixture in islice(sampler, 10):
        mixture.clean_pa[:] = 0.0
        mixture.noisy_pa[:] = 0.0
    for recording, samples in zip(sampler.recordings, before, strict=True):
        np.testing.assert_array_equal(recording.samples, samples)


def test_the_shares_of_the_scenes(root: Path) -> None:
    for mixture in drawn(root, with_(clean_share=1.0), 5):
        np.testing.assert_array_equal(mixture.clean_pa, mixture.noisy_pa)
        assert mixture.snr_db == math.inf
    for mixture in drawn(root, with_(noise_only_share=1.0), 5):
        assert not mixture.clean_pa.any()
        assert mixture.noisy_pa.any()
        assert (mixture.level_db_spl, mixture.target) == (-math.inf, "none")
    music = list(drawn(root, with_(music_share=1.0, clean_music_share=0.5), 30))
    assert {mixture.target for mixture in music} == {"music"}
    kept = [np.array_equal(mixture.clean_pa, mixture.noisy_pa) for mixture in music]
    assert 5 < sum(kept) < 25
    for mixture in drawn(root, with_(babble_share=1.0), 5):
        assert mixture.noises == ("babble",)
    for mixture in drawn(root, with_(second_noise_share=1.0), 5):
        assert sorted(mixture.noises) == ["train-hiss", "train-hum"]


def test_steady_tones_are_kept_as_they_are_and_do_not_stop(root: Path) -> None:
    for mixture in drawn(root, with_(tone_share=1.0, level_range_db_spl=(50.0, 60.0, 70.0)), 10):
        np.testing.assert_array_equal(mixture.clean_pa, mixture.noisy_pa)
        assert mixture.target == "music"
        assert 50.0 <= mixture.level_db_spl <= 70.0
        later = mixture.clean_pa[SAMPLES // 4 + 400 :].astype(np.float64)
        power = np.abs(np.fft.rfft(later * np.hanning(later.size))) ** 2
        strongest = np.sort(power)[::-1]
        # Three tones at most, each a few bins wide under the window: nothing else sounds.
        assert strongest[30:].sum() < 1e-3 * power.sum()


def test_rooms_are_rooms_and_leave_late_reverberation_in_the_noisy_signal(root: Path) -> None:
    sampler = MixtureSampler(root, "train", SECONDS, config=with_(room_share=1.0, clean_share=1.0))
    assert [room.name for room in sampler.rooms] == ["room"]
    for mixture in islice(sampler, 5):
        late = mixture.noisy_pa - mixture.clean_pa
        assert mixture.room == "room"
        assert late.any()
        assert not late[: 2500 - 40 - 1].any() or abs(late[: 2500 - 41]).max() < 1e-6


def test_short_words_follow_each_other_with_pauses(root: Path) -> None:
    sampler = MixtureSampler(root, "train", 3.0, seed=5, config=with_(clean_share=1.0))
    words = [m for m in islice(sampler, 60) if m.speaker == "train-words"]
    assert words
    for mixture in words:
        silent = mixture.clean_pa.reshape(-1, 160) == 0.0
        share = silent.all(axis=1).mean()
        assert 0.3 < share < 0.9


def test_training_never_hears_another_split_or_what_is_for_evaluation_only(root: Path) -> None:
    for split in ("train", "dev", "test"):
        sampler = MixtureSampler(root, split, SECONDS)
        assert {r.utterance.split for r in sampler.recordings} == {split}
        assert not any(r.utterance.evaluation_only for r in sampler.recordings)
    config = dataclasses.replace(EVALUATION, babble_share=0.0)
    sampler = MixtureSampler(root, "test", SECONDS, config=config)
    assert any("forbidden" in mixture.noises for mixture in islice(sampler, 30))


def test_sources_and_licences_are_listed_and_filtered(root: Path) -> None:
    sampler = MixtureSampler(root, "train", SECONDS)
    found = {(source, licence): seconds for source, licence, seconds in sampler.sources}
    assert found == pytest.approx(
        {("m", "CC0"): 2.0, ("n", "CC0"): 2.5, ("s", "CC0"): 4.0, ("s", "GPL-3"): 0.6}
    )
    free = MixtureSampler(root, "train", SECONDS, exclude_licences=("*GPL*",))
    assert {licence for _, licence, _ in free.sources} == {"CC0"}


def test_bad_files_are_named_once_and_mixing_goes_on(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in ("speech", "noise"):
        folder = tmp_path / kind / "train" / "x"
        folder.mkdir(parents=True)
        soundfile.write(folder / "good.wav", 0.1 * np.ones(9000), 16000)
    bad = tmp_path / "speech" / "train" / "x"
    soundfile.write(bad / "silent.wav", np.zeros(9000), 16000)
    soundfile.write(bad / "short.wav", 0.1 * np.ones(20), 16000)
    soundfile.write(bad / "torn.flac", np.random.default_rng(0).uniform(-1, 1, 9000), 16000)
    content = (bad / "torn.flac").read_bytes()
    (bad / "torn.flac").write_bytes(content[: len(content) // 2])
    sampler = MixtureSampler(tmp_path, "train", SECONDS, config=PLAIN)
    assert len(caplog.records) == 1
    for name in ("silent.wav", "short.wav", "torn.flac"):
        assert name in caplog.text
    assert "good.wav" not in caplog.text
    assert sampler.mixture(0).noisy_pa.shape == (SAMPLES,)


def test_speech_and_noise_may_come_from_two_folders_and_neither_may_lack(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "speech" / "train" / "anna"
    folder.mkdir(parents=True)
    soundfile.write(folder / "1.wav", speech_like(np.random.default_rng(0), 1.0), 16000)
    with pytest.raises(NeuroampError, match="no noise"):
        MixtureSampler(tmp_path, "train", SECONDS)
    both = MixtureSampler([tmp_path, root], "train", SECONDS)
    assert "anna" in {r.utterance.speaker for r in both.recordings}


def test_of_a_large_split_a_fixed_part_is_held(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = [MixtureSampler(root, "train", SECONDS, longest_hours=5.0 / 3600) for _ in range(2)]
    paths = [[r.utterance.path for r in sampler.recordings] for sampler in part]
    assert paths[0] == paths[1]
    assert len(paths[0]) < 8
    assert "hours" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"clean_share": 1.5},
        {"snr_range_db": (10.0, -5.0)},
        {"music_share": 0.7, "noise_only_share": 0.7},
        {"noise_speed": 0.9},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(NeuroampError):
        MixtureConfig(**wrong)  # type: ignore[arg-type]


# --- evaluation ----------------------------------------------------------------------------


def test_evaluation_mixtures_repeat_and_do_not_depend_on_their_number(root: Path) -> None:
    few = evaluation_mixtures(root, "test", count=3, seconds=SECONDS)
    many = evaluation_mixtures(root, "test", count=6, seconds=SECONDS)
    for first, second in zip(few, many, strict=False):
        np.testing.assert_array_equal(first.noisy_pa, second.noisy_pa)
    for mixture in many:
        assert mixture.target == "speech"
        assert mixture.speaker.startswith("test-")
        assert -5.0 <= mixture.snr_db <= 15.0
        assert mixture.level_db_spl == 65.0
        assert active_level_db_spl(mixture.clean_pa) == pytest.approx(65.0, abs=0.01)


def test_pairs_come_whole_in_order_of_name_with_one_gain(root: Path) -> None:
    pairs = paired_utterances(root, "test")
    assert [pair.name for pair in pairs] == ["p1_001", "p2_002"]
    assert paired_utterances(root, "dev") == []
    assert len(paired_utterances(root, "test", count=1)) == 1
    for pair in pairs:
        assert pair.clean_pa.shape == pair.noisy_pa.shape == (16000,)
        assert active_level_db_spl(pair.clean_pa) == pytest.approx(65.0, abs=0.01)
        file, _ = soundfile.read(root / "paired/vb/noisy" / f"{pair.name}.flac")
        gain = pair.noisy_pa[100] / file[100]
        np.testing.assert_allclose(pair.noisy_pa, gain * file, atol=1e-6)
        file, _ = soundfile.read(root / "paired/vb/clean" / f"{pair.name}.flac")
        np.testing.assert_allclose(pair.clean_pa, gain * file, atol=1e-6)


def test_pairs_of_unequal_length_are_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for side, samples in (("clean", 4000), ("noisy", 3999)):
        folder = tmp_path / f"{side}_testset_wav"
        folder.mkdir()
        soundfile.write(folder / "p232_001.wav", 0.1 * np.ones(samples), 16000)
    assert paired_utterances(tmp_path, "test") == []
    assert "p232_001.wav" in caplog.text


def test_a_data_set_of_pairs_alone_gives_its_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clean = speech_like(rng, 1.0)
    noise = 0.02 * rng.standard_normal(clean.size)
    for side, signal in (("clean", clean), ("noisy", clean + noise)):
        folder = tmp_path / f"{side}_trainset_28spk_wav"
        folder.mkdir()
        soundfile.write(folder / "p227_001.wav", signal, 16000)
    for mixture in islice(MixtureSampler(tmp_path, "train", SECONDS), 5):
        added = mixture.noisy_pa - mixture.clean_pa
        assert active_level_db_spl(mixture.clean_pa) == pytest.approx(
            mixture.level_db_spl, abs=0.01
        )
        assert mixture.level_db_spl - units.level_db_spl(added) == pytest.approx(
            mixture.snr_db, abs=0.01
        )
        assert mixture.speaker == "p227"


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no data at {REAL_DATA}")
def test_the_real_dev_split_mixes() -> None:
    sampler = MixtureSampler(REAL_DATA, "dev", 2.0, seed=1)
    assert len(sampler.rooms) == 4
    for mixture in islice(sampler, 40):
        assert mixture.noisy_pa.shape == (32000,)
        assert np.isfinite(mixture.noisy_pa).all()
        assert units.level_db_spl(mixture.noisy_pa) < 105.0

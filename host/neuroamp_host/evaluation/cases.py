"""Which sounds, at which levels, for which listeners: the two suites that systems are scored on.

`short` crosses recorded pairs and a few mixtures with four standard listeners. `wear` is the
measure of the wearable model: the pairs for the same four, mixtures at three levels for thirty
measured audiograms, and beside them soft and loud speech and music.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
from neuroamp.audiogram import BISGAARD, Audiogram
from neuroamp.audiogram_files import load_listeners
from neuroamp.errors import NeuroampError
from neuroamp.units import level_db_spl
from numpy.typing import ArrayLike, NDArray

from neuroamp_host.corpora.mixing import (
    EVALUATION,
    Mixture,
    MixtureConfig,
    MixtureSampler,
    evaluation_mixtures,
    paired_utterances,
)

LISTENERS = ("N2", "N3", "N4", "S2")
SPEECH_LEVEL_DB_SPL = 65.0
"""Level of speech, and of the metrics' reference whatever the level of the sound."""

SAMPLE_RATE_HZ = 16000
LONGEST_CLIP_S = 4.0

SUITES = ("short", "wear")
MIXTURES = {"short": 60, "wear": 200}
MIXTURE_LEVELS_DB_SPL = (50.0, 65.0, 80.0)
MEASURED_LISTENERS = 30
MEASURED_LISTENERS_FILE = Path("audiograms/clarity_listeners.json")
ROOM_SHARE = 0.5
SOFT_DB_SPL = 50.0
LOUD_DB_SPL = 80.0
BESIDE_CLIPS = 16
MUSIC_CLIPS = 40
DEALING_SEED = 4


@dataclasses.dataclass(frozen=True)
class Case:
    """One sound for one listener.

    Attributes:
        condition: the table it belongs to.
        group: the table's column: a listener or a level.
        name: unique within condition and group.
        listener: name of the audiogram.
        audiogram: the ear's thresholds.
        reference_pa: what the metrics compare with, clean, at 65 dB SPL; [samples], 16 kHz.
        clean_pa, noisy_pa: the wanted sound and what the microphone hears, the same shape.
        is_music: scored by HAAQI instead of HASPI and HASQI.
    """

    condition: str
    group: str
    name: str
    listener: str
    audiogram: Audiogram
    reference_pa: NDArray[np.float64]
    clean_pa: NDArray[np.float64]
    noisy_pa: NDArray[np.float64]
    is_music: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from every other case of a suite."""
        return self.condition, self.group, self.name


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is scored: the data, the split, the model and how it runs.

    Attributes:
        data: root of the evaluation data.
        split: 'dev' to choose by, 'test' to report.
        model: exported model file, or None for the prescriptions alone.
        engine: 'native', 'onnx' or 'tflite'.
        noise_reduction: strength, 0 to 1.
        mixtures: number of mixtures at -5 to 15 dB SNR.
        pairs: number of VoiceBank+DEMAND pairs at most.
        listeners: names of standard audiograms.
        suite: 'short' or 'wear'.
    """

    data: Path
    split: str
    model: Path | None
    engine: str
    noise_reduction: float = 1.0
    mixtures: int = 60
    pairs: int = 62
    listeners: tuple[str, ...] = LISTENERS
    suite: str = "short"

    def key(self) -> str:
        """A name for this setting's results: changes with the setting and the model's bytes."""
        content = {**dataclasses.asdict(self), "data": None, "model": None}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        if self.model is not None:
            digest.update(self.model.read_bytes())
        return digest.hexdigest()[:16]


def cases(setting: Setting) -> list[Case]:
    """The suite's cases, clips of at most 4 s, the same every time.

    Raises:
        NeuroampError: the data lack the measured audiograms that the suite `wear` deals out.
    """
    found = _pairs(setting, setting.pairs, "pairs", SPEECH_LEVEL_DB_SPL)
    if setting.suite == "short":
        return found + _crossed_mixtures(setting)
    found += _dealt_mixtures(setting)
    found += soft_clean_speech(setting)
    found += _pairs(setting, BESIDE_CLIPS, "loud noisy speech", LOUD_DB_SPL)
    return found + music(setting)


def soft_clean_speech(setting: Setting) -> list[Case]:
    """The suite `wear`'s clean speech of the pairs at 50 dB SPL, 16 clips at most."""
    return _pairs(setting, BESIDE_CLIPS, "soft clean speech", SOFT_DB_SPL, clean=True)


def music(setting: Setting) -> list[Case]:
    """The suite `wear`'s music at 65 dB SPL, without noise: 40 clips, `mixtures` at most."""
    config = dataclasses.replace(EVALUATION, music_share=1.0, clean_music_share=1.0)
    mixtures = _drawn(setting, config, min(MUSIC_CLIPS, setting.mixtures))
    names = [setting.listeners[i % len(setting.listeners)] for i in range(len(mixtures))]
    return [
        make_case(
            "music",
            listener,
            f"{index:03d}",
            listener,
            BISGAARD[listener],
            mixture.clean_pa,
            mixture.noisy_pa,
            is_music=True,
        )
        for index, (mixture, listener) in enumerate(zip(mixtures, names, strict=True))
    ]


def make_case(
    condition: str,
    group: str,
    name: str,
    listener: str,
    audiogram: Audiogram,
    clean_pa: ArrayLike,
    noisy_pa: ArrayLike,
    level_db: float = SPEECH_LEVEL_DB_SPL,
    is_music: bool = False,
) -> Case:
    """A case of at most 4 s whose wanted sound has that level, dB SPL."""
    longest = int(LONGEST_CLIP_S * SAMPLE_RATE_HZ)
    clean = np.asarray(clean_pa, dtype=np.float64)[:longest]
    noisy = np.asarray(noisy_pa, dtype=np.float64)[:longest]
    now_db = level_db_spl(clean)
    reference = clean * 10.0 ** ((SPEECH_LEVEL_DB_SPL - now_db) / 20.0)
    gain = 10.0 ** ((level_db - now_db) / 20.0)
    return Case(
        condition, group, name, listener, audiogram, reference, clean * gain, noisy * gain, is_music
    )


def _pairs(
    setting: Setting, count: int, condition: str, level_db: float, clean: bool = False
) -> list[Case]:
    pairs = paired_utterances(setting.data, setting.split)[: min(count, setting.pairs)]
    return [
        make_case(
            condition,
            listener,
            pair.name,
            listener,
            BISGAARD[listener],
            pair.clean_pa,
            pair.clean_pa if clean else pair.noisy_pa,
            level_db,
        )
        for pair in pairs
        for listener in setting.listeners
    ]


def _crossed_mixtures(setting: Setting) -> list[Case]:
    mixtures = evaluation_mixtures(setting.data, setting.split, setting.mixtures)
    return [
        make_case(
            "mixtures",
            listener,
            f"{index:03d}",
            listener,
            BISGAARD[listener],
            mixture.clean_pa,
            mixture.noisy_pa,
        )
        for index, mixture in enumerate(mixtures)
        for listener in setting.listeners
    ]


def _dealt_mixtures(setting: Setting) -> list[Case]:
    """Mixtures, half of them in rooms, each at one level and for one measured listener."""
    config = dataclasses.replace(EVALUATION, room_share=ROOM_SHARE)
    mixtures = _drawn(setting, config, setting.mixtures)
    rng = np.random.default_rng(DEALING_SEED)
    levels = rng.permutation(np.resize(MIXTURE_LEVELS_DB_SPL, len(mixtures)))
    listeners = _measured_listeners(setting.data, rng)
    dealt = rng.permutation(np.resize(np.arange(len(listeners)), len(mixtures)))
    return [
        make_case(
            "mixtures",
            f"{level:.0f} dB SPL",
            f"{index:03d}",
            listeners[who][0],
            listeners[who][1],
            mixture.clean_pa,
            mixture.noisy_pa,
            float(level),
        )
        for index, (mixture, level, who) in enumerate(zip(mixtures, levels, dealt, strict=True))
    ]


def _drawn(setting: Setting, config: MixtureConfig, count: int) -> list[Mixture]:
    if count == 0:
        return []
    sampler = MixtureSampler(setting.data, setting.split, LONGEST_CLIP_S, 0, config)
    return [sampler.mixture(index) for index in range(count)]


def _measured_listeners(data: Path, rng: np.random.Generator) -> list[tuple[str, Audiogram]]:
    """Thirty left ears of the data's measured audiograms, by name."""
    path = data / MEASURED_LISTENERS_FILE
    if not path.exists():
        raise NeuroampError(
            f"the suite 'wear' deals out measured audiograms but {path} is not there; put a "
            "Clarity listeners.json in that place, or use --suite short."
        )
    ears = [
        (listener.name, listener.left)
        for listener in load_listeners(path)
        if listener.left is not None
    ]
    chosen = rng.permutation(len(ears))[:MEASURED_LISTENERS]
    return [ears[index] for index in sorted(chosen)]

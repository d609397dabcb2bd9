"""The paper's test sounds: its data sets or open recordings in their place, in its conditions.

Every clip is heard by one listener, whose loss is dealt round by pattern and degree, in every
condition: speech clean, noisy (-6, 0, 6 dB, dealt round, noises unseen in training) and that
noisy speech enhanced by each of the two enhancers; music clean and noisy.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray

from neuroamp_host.corpora.audio import read_mono
from neuroamp_host.corpora.audiogram_sampling import DEGREES, PATTERNS, sample_audiogram
from neuroamp_host.corpora.corpus import Kind, SkippedFiles, Utterance
from neuroamp_host.corpora.levels import mix_at_snr, set_level
from neuroamp_host.corpora.registry import open_corpus
from neuroamp_host.enhancement.enhance import TrainedEnhancer, load_enhancer
from neuroamp_host.evaluation.cases import (
    LONGEST_CLIP_S,
    SAMPLE_RATE_HZ,
    SPEECH_LEVEL_DB_SPL,
    Case,
    make_case,
)
from neuroamp_host.evaluation.paper.published import MUSIC_SETS, SPEECH_SETS

SNRS_DB = (-6.0, 0.0, 6.0)
SHORTEST_CLIP_S = 1.0
MUSIC_CONDITIONS = ("clean", "noisy")
ENHANCERS = {"enhanced (FCN)": "enhancer-fcn", "enhanced (LSTM)": "enhancer-lstm"}


@dataclasses.dataclass(frozen=True)
class StandIn:
    """Open recordings in the place of one of the paper's sets.

    Attributes:
        what: they are, for a reader.
        kind: speech or music; noisy speech stands for its clean half, or where there is none for
            any speech.
        sources: names of the manifest's; all of that kind where none of these is there.
    """

    what: str
    kind: Kind
    sources: tuple[str, ...] = ()


STAND_INS: Mapping[str, StandIn] = {
    "TIMIT": StandIn(
        "LibriSpeech, English read aloud, talkers unseen",
        Kind.SPEECH,
        ("librispeech-testother", "librispeech-tc100"),
    ),
    "TMHINT": StandIn(
        "Mandarin and some twenty other languages, talkers unseen",
        Kind.SPEECH,
        ("audio-cmn-mandarin", "klettres", "ktuberling", "asterisk-g722"),
    ),
    "VCTK": StandIn("VoiceBank (a part of VCTK), the clean halves of pairs", Kind.NOISY_SPEECH),
    "Cadenza": StandIn(
        "free music of games and telephones, unseen", Kind.MUSIC, ("planetblupi", "asterisk-moh")
    ),
    "MUSDB18-HQ": StandIn(
        "excerpts of free music collections, unseen",
        Kind.MUSIC,
        ("librosa-data", "visqol", "mtg-sms"),
    ),
}


@dataclasses.dataclass(frozen=True)
class Place:
    """One test sound, named but not yet read.

    Attributes:
        name: of the set, as the paper has it.
        condition: see this module.
        index: of the clip in its set.
    """

    name: str
    condition: str
    index: int


@dataclasses.dataclass(frozen=True)
class Sounds:
    """Where the sounds come from.

    Attributes:
        data: root of the open data: the stand-ins and the noises.
        sets: folders of the paper's own data sets, by name, (name, folder).
        split: 'dev' or 'test'.
        clips: of each set.
    """

    data: Path
    sets: tuple[tuple[str, Path], ...] = ()
    split: str = "test"
    clips: int = 40

    def __post_init__(self) -> None:
        """Checks the names.

        Raises:
            NeuroampError: a set is none of the paper's.
        """
        for name, _ in self.sets:
            if name not in STAND_INS:
                raise NeuroampError(
                    f"there is no data set {name!r} in the paper's evaluation; choose from "
                    f"{', '.join(STAND_INS)}."
                )

    def places(self, name: str) -> list[Place]:
        """Every sound of a set."""
        conditions = MUSIC_CONDITIONS if is_music(name) else ("clean", *ENHANCERS, "noisy")
        count = min(self.clips, len(_utterances(self, name)))
        return [Place(name, c, index) for index in range(count) for c in conditions]

    def describe(self, name: str) -> str:
        """What a set's recordings are."""
        own = dict(self.sets)
        return "as in the paper" if name in own else STAND_INS[name].what


def is_music(name: str) -> bool:
    """Whether a set of the paper's holds music."""
    assert name in (*SPEECH_SETS, *MUSIC_SETS)
    return name in MUSIC_SETS


def make_sound(sounds: Sounds, place: Place) -> tuple[Case, float]:
    """A sound for its listener, and its SNR in dB (infinite for a clean one).

    Raises:
        NeuroampError: a recording that was readable when the set was made is no longer.
    """
    rng = np.random.default_rng([zlib.crc32(place.name.encode()), place.index])
    clean = _excerpt(_samples(_utterances(sounds, place.name)[place.index]), rng)
    clean = set_level(clean, SPEECH_LEVEL_DB_SPL)
    snr_db = float("inf") if place.condition == "clean" else SNRS_DB[place.index % len(SNRS_DB)]
    noise = _noise(sounds, rng, clean.size)
    noisy = mix_at_snr(clean, noise, snr_db)
    heard = np.asarray(noisy, dtype=np.float64)
    if place.condition in ENHANCERS:
        heard = _enhancer(ENHANCERS[place.condition]).enhance(heard)
    degrees = [degree for degree in DEGREES if degree != "profound"]
    audiogram = sample_audiogram(
        np.random.default_rng([place.index, 7]),
        PATTERNS[place.index % len(PATTERNS)],
        degrees[place.index % len(degrees)],
    )
    case = make_case(
        place.condition,
        place.name,
        f"{place.index:03d}",
        audiogram.name,
        audiogram,
        clean,
        heard,
        is_music=is_music(place.name),
    )
    return case, snr_db


@functools.lru_cache(maxsize=16)
def _utterances(sounds: Sounds, name: str) -> tuple[Utterance, ...]:
    """The recordings of a set in the order in which they are used, long enough ones only."""
    stand_in = STAND_INS[name]
    root = dict(sounds.sets).get(name, sounds.data)
    corpus = open_corpus(root, sounds.split)
    found = [utterance for utterance in corpus.utterances if utterance.kind is stand_in.kind]
    if not found and stand_in.kind is Kind.NOISY_SPEECH:
        # VCTK itself has no pairs, nor has a plain folder.
        found = [utterance for utterance in corpus.utterances if utterance.kind is Kind.SPEECH]
    if root == sounds.data:
        found = [u for u in found if u.corpus in stand_in.sources] or found
    order = np.random.default_rng(zlib.crc32(name.encode())).permutation(len(found))
    usable: list[Utterance] = []
    for index in order:
        if len(usable) == sounds.clips:
            break
        if _is_usable(found[index], corpus.skipped):
            usable.append(found[index])
    corpus.skipped.log(f"{name} in {root}")
    if not usable:
        raise NeuroampError(
            f"{root} has no {stand_in.kind} of at least {SHORTEST_CLIP_S:g} s in the split "
            f"{sounds.split!r} for {name}; give a folder of that set with --sets {name}=FOLDER."
        )
    return tuple(usable)


def _is_usable(utterance: Utterance, skipped: SkippedFiles) -> bool:
    try:
        samples = _samples(utterance)
    except NeuroampError as error:
        skipped.add(utterance.path, str(error))
        return False
    return samples.size >= SHORTEST_CLIP_S * SAMPLE_RATE_HZ and bool(np.any(samples))


def _samples(utterance: Utterance) -> NDArray[np.float32]:
    return read_mono(utterance.path if utterance.partner is None else utterance.partner)


def _excerpt(samples: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """At most `LONGEST_CLIP_S`, from anywhere but so that something is heard."""
    longest = int(LONGEST_CLIP_S * SAMPLE_RATE_HZ)
    if samples.size <= longest:
        return samples
    starts = rng.integers(0, samples.size - longest, 8)
    loudest = max(starts, key=lambda start: float(np.sum(samples[start : start + longest] ** 2)))
    return samples[loudest : loudest + longest]


def _noise(sounds: Sounds, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Noise [count], repeated where the recording is shorter."""
    noises = _noises(sounds)
    samples = read_mono(noises[int(rng.integers(len(noises)))].path)
    start = int(rng.integers(samples.size))
    return np.resize(np.roll(samples, -start), count)


@functools.lru_cache(maxsize=4)
def _noises(sounds: Sounds) -> tuple[Utterance, ...]:
    """Noises of the split, those that are only for evaluation among them."""
    corpus = open_corpus(sounds.data, sounds.split)
    skipped = SkippedFiles()
    found = tuple(u for u in corpus.utterances if u.kind is Kind.NOISE and _is_usable(u, skipped))
    if not found:
        raise NeuroampError(
            f"{sounds.data} has no noise in the split {sounds.split!r}; give --data a folder that "
            "has, with a MANIFEST.csv or laid out as one of the known data sets."
        )
    return found


@functools.lru_cache(maxsize=4)
def _enhancer(name: str) -> TrainedEnhancer:
    return load_enhancer(name)

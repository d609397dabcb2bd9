"""What every data set is turned into: utterances by split, and the files left out."""

from __future__ import annotations

import dataclasses
import enum
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray

from neuroamp_host.corpora.audio import SAMPLE_RATE_HZ, read_mono

logger = logging.getLogger(__name__)

SPLITS = ("train", "dev", "test")
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})


class Kind(enum.StrEnum):
    """What a file holds."""

    SPEECH = "speech"
    NOISE = "noise"
    MUSIC = "music"
    NOISY_SPEECH = "noisy-speech"
    IMPULSE_RESPONSE = "impulse-response"


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One audio file.

    Attributes:
        path: the file.
        corpus: the data set or, for a collection, the source within it.
        split: 'train', 'dev' or 'test'; 'all' for what belongs to every split (rooms).
        kind: what the file holds.
        speaker: unique within the corpus; empty where unknown or meaningless.
        type: class of a noise, place of an impulse response; empty where unknown.
        partner: the clean recording of a `NOISY_SPEECH` file, sample by sample the same length.
        licence: as the data set states it; empty where it states none per file.
        evaluation_only: never to be trained on.
    """

    path: Path
    corpus: str
    split: str
    kind: Kind
    speaker: str = ""
    type: str = ""
    partner: Path | None = None
    licence: str = ""
    evaluation_only: bool = False


class SkippedFiles:
    """Files left out, each with its reason: a bad file costs a line of log, not a night's run."""

    def __init__(self) -> None:
        self.reasons: dict[Path, str] = {}

    def add(self, path: Path, reason: str) -> None:
        """Notes one file; `reason` completes 'left out because ...'."""
        self.reasons[path] = reason

    def log(self, corpus: str) -> None:
        """One warning that names every file left out; nothing if there is none."""
        if self.reasons:
            lines = "\n".join(f"  {path}: {reason}" for path, reason in self.reasons.items())
            logger.warning("%s: %d file(s) left out:\n%s", corpus, len(self.reasons), lines)


class DataSet(Protocol):
    """What a data set's module offers to the registry.

    Attributes:
        NAME: by which a user asks for it.
        LAYOUT: the files a root holds, for the error message of a root that does not.
    """

    NAME: str
    LAYOUT: str

    def recognises(self, root: Path) -> bool:
        """Whether an existing folder is laid out as this data set is."""
        ...

    def utterances(self, root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
        """The utterances of one split, and of split 'all', in a fixed order.

        Only names are looked at, no audio is read. Files that an index or a partner promises but
        which are not there go to `skipped`.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Corpus:
    """One split of one data set.

    Attributes:
        name: of the data set, as the registry knows it.
        root: its folder.
        split: 'train', 'dev' or 'test'.
        utterances: in a fixed order.
        skipped: files left out so far; decoding adds to it.
    """

    name: str
    root: Path
    split: str
    utterances: tuple[Utterance, ...]
    skipped: SkippedFiles

    def decoded(
        self, sample_rate_hz: int = SAMPLE_RATE_HZ
    ) -> Iterator[tuple[Utterance, NDArray[np.float32]]]:
        """Every readable utterance with its samples; the others are collected in `skipped`."""
        for utterance in self.utterances:
            try:
                samples = read_mono(utterance.path, sample_rate_hz)
            except NeuroampError as error:
                self.skipped.add(utterance.path, str(error))
            else:
                yield utterance, samples


def audio_files(folder: Path) -> list[Path]:
    """All audio files below a folder, sorted; hidden files and AppleDouble '._' twins are not."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
    )


def child(folder: Path, name: str) -> Path | None:
    """The entry of a folder with this name in whatever case (copies of old CDs differ in it)."""
    if not folder.is_dir():
        return None
    exact = folder / name
    if exact.exists():
        return exact
    matches = sorted(path for path in folder.iterdir() if path.name.lower() == name.lower())
    return matches[0] if matches else None


def first_folder(candidates: Iterable[Path], holds: Callable[[Path], bool]) -> Path | None:
    """The first of the places a data set may be unpacked to that holds it."""
    return next((folder for folder in candidates if folder.is_dir() and holds(folder)), None)


def dev_part(names: Iterable[str]) -> frozenset[str]:
    """A dev split where a data set has none: every tenth of its talkers in order of name.

    None of them if there is only one: it is needed for training.
    """
    ordered = sorted(set(names))
    return frozenset(ordered[::10]) if len(ordered) > 1 else frozenset()

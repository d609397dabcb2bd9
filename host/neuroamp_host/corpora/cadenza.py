"""The music of the first Cadenza challenge (CAD1): MUSDB18-HQ and short clips of many genres."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from neuroamp_host.corpora import musdb18
from neuroamp_host.corpora.corpus import Kind, SkippedFiles, Utterance, audio_files, first_folder

NAME = "cadenza-cad1"
LAYOUT = "task1/audio/musdb18hq/train/<song>/mixture.wav, task2/audio/music/training/<genre>/*.mp3"
_TASK2_FOLDERS = {
    "train": ("training",),
    "dev": ("validation",),
    # The evaluation package came later than the published description of the folders.
    "test": ("test", "evaluation"),
}


def recognises(root: Path) -> bool:
    """Whether one of the challenge's tasks is there."""
    return _base(root) is not None


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """The songs of task 1 (headphones), then the clips of task 2 (car; FMA and MTG-Jamendo).

    The optional sets for augmentation (MedleyDB, Bach10, FMA-small) share songs with these and
    name no splits: they are not read.
    """
    base = _base(root) or root
    for song in musdb18.utterances(base / "task1" / "audio" / "musdb18hq", split, skipped):
        yield dataclasses.replace(song, corpus=NAME)
    for name in _TASK2_FOLDERS[split]:
        folder = base / "task2" / "audio" / "music" / name
        for path in audio_files(folder):
            genre = path.parent.name if path.parent != folder else ""
            yield Utterance(path, NAME, split, Kind.MUSIC, type=genre)


def _base(root: Path) -> Path | None:
    def holds(folder: Path) -> bool:
        task1 = musdb18.recognises(folder / "task1" / "audio" / "musdb18hq")
        return task1 or (folder / "task2" / "audio" / "music").is_dir()

    inner = ("cad1", "cadenza_data", "cadenza_data/cad1")
    return first_folder((root, *(root / name for name in inner)), holds)

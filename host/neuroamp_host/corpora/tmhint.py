"""TMHINT: the Taiwan Mandarin hearing in noise test, read by several talkers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neuroamp_host.corpora.corpus import (
    Kind,
    SkippedFiles,
    Utterance,
    audio_files,
    child,
    dev_part,
)

NAME = "tmhint"
LAYOUT = "Training/Clean/<talker>/TMHINT_12_10.wav and Testing/Clean/..."
_FOLDERS = {"train": ("Training", "Train"), "test": ("Testing", "Test")}


def recognises(root: Path) -> bool:
    """Whether there are clean recordings for training and for testing."""
    return all(_clean(root, split) is not None for split in _FOLDERS)


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """The clean sentences; 'dev' is every tenth talker of the training part.

    The test is not published as a download: this is the layout its users share. The `Noisy`
    folders beside the clean ones are not read, the mixtures here are made afresh. Where there are
    no folders of talkers, files take their place in the choice of 'dev'.
    """
    folder = _clean(root, "test" if split == "test" else "train")
    if folder is None:
        return
    files = audio_files(folder)
    dev = dev_part(_first_part(path, folder) for path in files)
    for path in files:
        first = _first_part(path, folder)
        if split != "test" and (first in dev) != (split == "dev"):
            continue
        yield Utterance(path, NAME, split, Kind.SPEECH, first if path.name != first else "")


def _first_part(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0]


def _clean(root: Path, split: str) -> Path | None:
    parts = [part for name in _FOLDERS[split] if (part := child(root, name))]
    return child(parts[0], "Clean") if parts else None

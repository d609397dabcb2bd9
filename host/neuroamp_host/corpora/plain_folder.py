"""Folders of one's own recordings, without a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neuroamp_host.corpora.corpus import SPLITS, Kind, SkippedFiles, Utterance, audio_files

NAME = "folder"
LAYOUT = "audio files in speech/, noise/ or music/, each of which may have train/, dev/ and test/"
_KINDS = (Kind.SPEECH, Kind.NOISE, Kind.MUSIC)
_DEAL = {1: "dev", 2: "test"}
"""Place among ten -> split; the first is for training, so that two talkers make two splits."""


def recognises(root: Path) -> bool:
    """Whether there is a folder of one of the kinds with audio in it."""
    return any(audio_files(root / kind) for kind in _KINDS)


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """The files of the split's folders; of a kind without such folders, a fixed part.

    The folder a file lies in is its talker (speech) or its class (noise). Without split folders
    these groups are dealt out in order of name: of ten, one is 'dev' and one is 'test'. Files
    right in the folder of the kind are groups of their own.
    """
    for kind in _KINDS:
        folder = root / kind
        divided = any((folder / name).is_dir() for name in SPLITS)
        base = folder / split if divided else folder
        files = {path: path.relative_to(base).parent.as_posix() for path in audio_files(base)}
        groups = sorted({_group(path, parent) for path, parent in files.items()})
        dealt = {group: _DEAL.get(place % 10, "train") for place, group in enumerate(groups)}
        for path, parent in files.items():
            if not divided and dealt[_group(path, parent)] != split:
                continue
            name = "" if parent == "." else parent
            yield Utterance(
                path,
                NAME,
                split,
                kind,
                speaker=name if kind is Kind.SPEECH else "",
                type=name if kind is Kind.NOISE else "",
            )


def _group(path: Path, parent: str) -> str:
    return path.name if parent == "." else parent

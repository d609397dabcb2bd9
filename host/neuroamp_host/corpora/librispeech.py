"""LibriSpeech (OpenSLR 12): read English audio books, 16 kHz FLAC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neuroamp_host.corpora.corpus import (
    SPLITS,
    Kind,
    SkippedFiles,
    Utterance,
    audio_files,
    first_folder,
)

NAME = "librispeech"
LAYOUT = "train-clean-100/103/1240/103-1240-0000.flac and dev-clean/, test-clean/, ..."
LICENCE = "CC BY 4.0"


def recognises(root: Path) -> bool:
    """Whether there is a subset."""
    return _base(root) is not None


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """All subsets of the split that are there, 'clean' and 'other' alike."""
    base = _base(root) or root
    for subset in _subsets(base, split):
        for path in audio_files(subset):
            speaker = path.relative_to(subset).parts[0]
            yield Utterance(path, NAME, split, Kind.SPEECH, speaker, licence=LICENCE)


def _subsets(folder: Path, split: str) -> list[Path]:
    return sorted(
        subset for part in ("clean", "other") for subset in folder.glob(f"{split}-{part}*/")
    )


def _base(root: Path) -> Path | None:
    return first_folder(
        (root, root / "LibriSpeech"),
        lambda folder: any(_subsets(folder, split) for split in SPLITS),
    )

"""TIMIT (LDC93S1): read American English, 630 talkers, 10 sentences each, NIST SPHERE files."""

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
    first_folder,
)

NAME = "timit"
LAYOUT = "TRAIN/DR1/FCJF0/SA1.WAV and the like, in upper or lower case"
LICENCE = "LDC User Agreement"


def recognises(root: Path) -> bool:
    """Whether there are dialect regions in a TRAIN or TEST folder."""
    return _base(root) is not None


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """All ten sentences of every talker; 'dev' is every tenth talker of TRAIN.

    Copies that hold a converted `SA1.WAV.wav` beside the SPHERE file `SA1.WAV` give one of them.
    """
    base = _base(root) or root
    folder = child(base, "TEST" if split == "test" else "TRAIN")
    talkers = sorted(folder.glob("[Dd][Rr][1-8]/*/")) if folder else []
    dev = dev_part(talker.name for talker in talkers)
    for talker in talkers:
        if split != "test" and (talker.name in dev) != (split == "dev"):
            continue
        sentences = {path.name.split(".")[0]: path for path in reversed(audio_files(talker))}
        for name in sorted(sentences):
            yield Utterance(
                sentences[name], NAME, split, Kind.SPEECH, talker.name.upper(), licence=LICENCE
            )


def _base(root: Path) -> Path | None:
    def holds(folder: Path) -> bool:
        parts = [part for name in ("TRAIN", "TEST") if (part := child(folder, name))]
        return any(next(part.glob("[Dd][Rr][1-8]"), None) for part in parts)

    # The CD has a folder TIMIT (as the archive timit/TIMIT); a common copy calls it `data`.
    inner = [child(root, name) for name in ("TIMIT", "data")]
    nested = child(inner[0], "TIMIT") if inner[0] else None
    return first_folder([f for f in (root, *inner, nested) if f], holds)

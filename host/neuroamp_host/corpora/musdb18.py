"""MUSDB18-HQ (Zenodo 3338373): 150 songs as mixture and stems, 44.1 kHz WAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neuroamp_host.corpora.corpus import Kind, SkippedFiles, Utterance

NAME = "musdb18-hq"
LAYOUT = "train/<artist - title>/mixture.wav and test/<artist - title>/mixture.wav"
LICENCE = "educational use only (MUSDB18)"

VALIDATION_TRACKS = frozenset(
    {
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "ANiMAL - Rockshow",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)
"""The songs of the training part that the data set's own tools and the Cadenza challenge keep
for validation."""


def recognises(root: Path) -> bool:
    """Whether there are mixtures in a train or test folder."""
    return any(next(root.glob(f"{part}/*/mixture.wav"), None) for part in ("train", "test"))


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """The mixtures, not the stems."""
    for song in sorted((root / ("test" if split == "test" else "train")).glob("*/")):
        if split != "test" and (song.name in VALIDATION_TRACKS) != (split == "dev"):
            continue
        path = song / "mixture.wav"
        if not path.is_file():
            skipped.add(path, "the song's folder has no mixture")
            continue
        yield Utterance(path, NAME, split, Kind.MUSIC, licence=LICENCE)

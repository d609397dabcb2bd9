"""VCTK (Edinburgh DataShare 10283/3443): English, 110 talkers, 48 kHz."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neuroamp_host.corpora import voicebank_demand
from neuroamp_host.corpora.corpus import Kind, SkippedFiles, Utterance, audio_files

NAME = "vctk"
LAYOUT = "wav48_silence_trimmed/p225/p225_001_mic1.flac (0.92) or wav48/p225/p225_001.wav (older)"
TEST_SPEAKERS = frozenset({"p232", "p257"})
"""VCTK names no splits. These are the talkers of VoiceBank+DEMAND's test set, which is cut from
the same recordings: training on one and testing on the other stays honest."""


def recognises(root: Path) -> bool:
    """Whether there is one of the two audio folders."""
    return _audio_folder(root) is not None


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """Every utterance once: of 0.92 the first microphone, which no talker lacks."""
    folder = _audio_folder(root) or root
    licence = "ODC-By 1.0" if folder.name == "wav48" else "CC BY 4.0"
    for path in audio_files(folder):
        speaker = path.parent.name
        if path.stem.endswith("_mic2") or _split(speaker) != split:
            continue
        yield Utterance(path, NAME, split, Kind.SPEECH, speaker, licence=licence)


def _split(speaker: str) -> str:
    if speaker in TEST_SPEAKERS:
        return "test"
    return "dev" if speaker in voicebank_demand.DEV_SPEAKERS else "train"


def _audio_folder(root: Path) -> Path | None:
    for name in ("wav48_silence_trimmed", "wav48"):
        if (root / name).is_dir():
            return root / name
    return None

"""VoiceBank+DEMAND (Valentini-Botinhao, Edinburgh DataShare 10283/2791): pairs at 48 kHz."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neuroamp_host.corpora.corpus import Kind, SkippedFiles, Utterance, audio_files

NAME = "voicebank-demand"
LAYOUT = "clean_trainset_28spk_wav/p226_001.wav, noisy_trainset_28spk_wav/, clean_testset_wav/, ..."
LICENCE = "CC BY 4.0"
DEV_SPEAKERS = frozenset({"p226", "p287"})
"""Held out of the training part, as most published systems do."""


def recognises(root: Path) -> bool:
    """Whether there is a clean training or test set."""
    return any(_clean_folder(root, part) is not None for part in ("trainset", "testset"))


def utterances(root: Path, split: str, skipped: SkippedFiles) -> Iterator[Utterance]:
    """The noisy files, each with its clean partner; the 28 talkers' set where both are there."""
    clean = _clean_folder(root, "testset" if split == "test" else "trainset")
    if clean is None:
        return
    noisy = root / clean.name.replace("clean", "noisy", 1)
    for partner in audio_files(clean):
        speaker = partner.name.split("_")[0]
        if split != "test" and (speaker in DEV_SPEAKERS) != (split == "dev"):
            continue
        path = noisy / partner.relative_to(clean)
        if not path.is_file():
            skipped.add(path, f"it is the noisy partner of {partner} but is not there")
            continue
        yield Utterance(
            path, NAME, split, Kind.NOISY_SPEECH, speaker, partner=partner, licence=LICENCE
        )


def _clean_folder(root: Path, part: str) -> Path | None:
    # Sorted, so that clean_trainset_28spk_wav comes before the one of 56 talkers; resampled
    # copies have a suffix such as _16k.
    return next(iter(sorted(root.glob(f"clean_{part}*/"))), None)

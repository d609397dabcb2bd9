"""Reading audio files: mono, one sample rate, and never silently half a file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16000
_NIST_HEADER_BYTES = 1024
_LONGEST_OGG_PAGE = 65307
_OGG_END_OF_STREAM = 4
"""Flag in the sixth byte of a page. A page is 27 bytes, the last of which counts the segments,
the segments' lengths, and the segments (RFC 3533, section 6)."""
_UNKNOWN_RIFF_SIZES = (0, 0xFFFFFFFF)
"""RIFF sizes of a file that was streamed: its writer did not know the length."""


def read_mono(path: Path, sample_rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """An audio file as float32 [samples], full scale 1, channels averaged, resampled by soxr.

    Raises:
        NeuroampError: the file is missing, not audio, empty, shorter than its header says, or
            holds a sample that is not a number.
    """
    samples, rate = read_channels(path)
    mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
    return resample(mono, rate, sample_rate_hz)


def read_channels(path: Path) -> tuple[NDArray[np.float32], int]:
    """An audio file as float32 [samples, channels] and its sample rate in Hz.

    Raises:
        NeuroampError: as `read_mono`.
    """
    if not path.is_file():
        raise NeuroampError(f"the audio file {path} does not exist; restore it or leave it out.")
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype="float32", always_2d=True)
            truncated = samples.shape[0] < file.frames or _is_cut_short(path, file.frames)
            rate = file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise NeuroampError(
            f"the audio file {path} cannot be decoded ({error}); restore it or leave it out."
        ) from None
    if samples.shape[0] == 0:
        raise NeuroampError(f"the audio file {path} is empty; restore it or leave it out.")
    if truncated:
        raise NeuroampError(
            f"the audio file {path} is truncated: {samples.shape[0]} frames are there but its "
            "header promises more; restore it or leave it out."
        )
    if not np.isfinite(samples).all():
        raise NeuroampError(
            f"the audio file {path} holds samples that are not finite numbers; restore it or "
            "leave it out."
        )
    return samples, rate


def resample(samples: NDArray[np.float32], from_hz: float, to_hz: float) -> NDArray[np.float32]:
    """`samples` [n] at another rate; the same array where the rates are equal."""
    if from_hz == to_hz:
        return samples
    return soxr.resample(samples, from_hz, to_hz).astype(np.float32, copy=False)


def _is_cut_short(path: Path, frames: int) -> bool:
    """Whether the header promises more than the `frames` that libsndfile reports.

    libsndfile quietly shortens RIFF/WAVE, NIST SPHERE and Ogg files to what is there; other
    formats it reports itself.
    """
    with path.open("rb") as file:
        header = file.read(_NIST_HEADER_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST_OGG_PAGE))
        end = file.read()
    if header[:4] == b"RIFF":
        promised = int.from_bytes(header[4:8], "little")
        # The last chunk's byte of padding is often forgotten by the writer.
        return promised not in _UNKNOWN_RIFF_SIZES and 8 + promised - 1 > size
    if header[:4] == b"NIST":
        for line in header.split(b"\n"):
            field = line.split()
            if len(field) == 3 and field[0] == b"sample_count" and field[2].isdigit():
                return frames < int(field[2])
    if header[:4] == b"OggS":
        page = end[end.rfind(b"OggS") :].ljust(27, b"\xff")
        length = 27 + page[26] + sum(page[27 : 27 + page[26]])
        return len(page) < length or not page[5] & _OGG_END_OF_STREAM
    return False

"""Recordings: files of any rate to sound pressure, and sound pressure to a whole WAV file.

A file holds numbers, a hearing aid hears pascals: the calibration between the two is
`full_scale_db_spl`, the level in dB SPL of a signal whose digital RMS is 1.0.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroamp.chain import INPUT_CEILING_PA
from neuroamp.errors import NeuroampError
from neuroamp.units import db_spl_from_pascal, level_db_spl, pascal_from_db_spl

Floats = NDArray[np.float64]

DEFAULT_FULL_SCALE_DB_SPL = 100.0
FULL_SCALE_RANGE_DB_SPL = (60.0, 140.0)
INPUT_LEVEL_RANGE_DB_SPL = (0.0, 120.0)
RATE_RANGE_HZ = (8000, 192000)

STORED_AS = {"PCM_16": "PCM_16", "PCM_24": "PCM_24", "PCM_32": "PCM_32", "FLOAT": "FLOAT"}
STORED_AS["DOUBLE"] = "FLOAT"
"""How the output is stored, by how the input was; anything else becomes 16-bit."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording in memory.

    Attributes:
        sound_pa: sound pressure, pascals, shape [channels, samples].
        sample_rate_hz: of the file.
        subtype: how the samples are stored, in libsndfile's words ('PCM_16', 'FLOAT').
        note: what the listener should know about the file; empty if nothing.
    """

    sound_pa: Floats
    sample_rate_hz: int
    subtype: str
    note: str = ""


def read_recording(
    path: str | Path, full_scale_db_spl: float = DEFAULT_FULL_SCALE_DB_SPL
) -> Recording:
    """The recording at `path`, one or two channels; of more the first two, with a note.

    Raises:
        NeuroampError: the file cannot be read, is no audio, has no samples, no finite sample, a
            rate outside 8 to 192 kHz or a peak above 160 dB SPL; or the calibration is out of
            range.
    """
    import soundfile

    _check_range("full scale", full_scale_db_spl, FULL_SCALE_RANGE_DB_SPL)
    try:
        with soundfile.SoundFile(path) as file:
            rate, subtype = file.samplerate, file.subtype
            samples = file.read(dtype="float64", always_2d=True).T
    except (OSError, RuntimeError) as error:  # soundfile's own errors are RuntimeErrors
        reason = "no such file" if not Path(path).exists() else str(error).rstrip(".")
        raise NeuroampError(
            f"the recording {path} cannot be read ({reason}); give a WAV, FLAC or Ogg file."
        ) from None
    low, high = RATE_RANGE_HZ
    if not low <= rate <= high:
        raise NeuroampError(
            f"the recording {path} has a sample rate of {rate} Hz but it must be from {low} to "
            f"{high} Hz; resample it first."
        )
    notes = []
    if len(samples) > 2:
        notes.append(f"the first two of its {len(samples)} channels are used")
        samples = samples[:2]
    finite = np.isfinite(samples)
    if not finite.any():
        what = "has no samples" if samples.size == 0 else "holds not one finite sample"
        raise NeuroampError(
            f"the recording {path} {what} but at least one is needed; record it again."
        )
    if not finite.all():
        notes.append(f"{np.count_nonzero(~finite)} samples that are not numbers count as silence")
        samples = np.where(finite, samples, 0.0)
    sound_pa = samples * pascal_from_db_spl(full_scale_db_spl)
    peak = float(np.abs(sound_pa).max())
    if peak > INPUT_CEILING_PA:
        raise NeuroampError(
            f"the recording {path} peaks at {float(db_spl_from_pascal(peak)):.0f} dB SPL but a "
            f"sound of more than {float(db_spl_from_pascal(INPUT_CEILING_PA)):.0f} dB SPL has no "
            "meaning here; scale its samples to -1..1 or lower the full scale."
        )
    return Recording(sound_pa, rate, subtype, "; ".join(notes))


def at_level(recording: Recording, level: float) -> Recording:
    """The recording with an overall level, over all channels, of `level` dB SPL.

    Raises:
        NeuroampError: the level is out of range or the recording is silent.
    """
    _check_range("input level", level, INPUT_LEVEL_RANGE_DB_SPL)
    if not recording.sound_pa.any():
        raise NeuroampError(
            f"the recording is silent and cannot be set to {level:g} dB SPL; leave its level as "
            "it is or give one with sound."
        )
    change_db = level - level_db_spl(recording.sound_pa)
    return dataclasses.replace(recording, sound_pa=recording.sound_pa * 10.0 ** (change_db / 20.0))


def resample(sound: Floats, from_hz: int, to_hz: int, samples: int | None = None) -> Floats:
    """A sound [samples] at another rate, in time with the original, `samples` long if given."""
    if from_hz != to_hz:
        import soxr

        sound = soxr.resample(sound, from_hz, to_hz, quality="HQ")
    if samples is not None:
        sound = np.pad(sound[:samples], (0, max(0, samples - sound.size)))
    return sound


def check_output_path(path: str | Path) -> Path:
    """Refuses, before any work, a path that no recording can be written to.

    Raises:
        NeuroampError: its name does not end in .wav, its folder does not exist, or it is a
            folder itself.
    """
    target = Path(path)
    if target.suffix.lower() != ".wav":
        raise NeuroampError(
            f"the output {target} must be a WAV file but ends in {target.suffix!r}; give a name "
            "that ends in .wav."
        )
    if not target.parent.is_dir() or target.is_dir():
        what = "is a folder" if target.is_dir() else "is in a folder that does not exist"
        raise NeuroampError(
            f"the output {target} {what} but must be a file in an existing folder; give another "
            "path."
        )
    return target


def write_recording(
    path: str | Path, recording: Recording, full_scale_db_spl: float = DEFAULT_FULL_SCALE_DB_SPL
) -> str:
    """Writes a WAV file, whole or not at all, in the recording's own format.

    Sound above full scale, which integers cannot hold, is stored as 32-bit float instead.

    Returns:
        A note on that for the listener; empty if there is nothing to say.

    Raises:
        NeuroampError: as `check_output_path`, or the file cannot be written.
    """
    import soundfile

    target = check_output_path(path)
    samples = recording.sound_pa / pascal_from_db_spl(full_scale_db_spl)
    subtype, note = STORED_AS.get(recording.subtype, "PCM_16"), ""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 1.0 and subtype != "FLOAT":
        subtype = "FLOAT"
        note = (
            f"the output peaks {20.0 * np.log10(peak):.1f} dB above full scale and is stored as "
            "32-bit float, so that nothing is clipped; a player may clip it"
        )
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("xb") as file:
                soundfile.write(
                    file, samples.T, recording.sample_rate_hz, subtype=subtype, format="WAV"
                )
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        raise NeuroampError(
            f"the output {target} cannot be written ({error}); check the folder's permissions "
            "and free space."
        ) from None
    return note


def _check_range(name: str, value: float, allowed: tuple[float, float]) -> None:
    low, high = allowed
    if not low <= value <= high:
        raise NeuroampError(
            f"the {name} is {value:g} dB SPL but must be from {low:g} to {high:g} dB SPL; "
            "correct it."
        )

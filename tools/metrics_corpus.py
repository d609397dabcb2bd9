"""Signals and processing on which `check_metrics.py` and `bench_metrics.py` compare metrics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from neuroamp.audiogram import BISGAARD, STANDARD_FREQUENCIES_HZ
from neuroamp.units import pascal_from_db_spl
from numpy.typing import NDArray

Signal = NDArray[np.float64]

SAMPLE_RATE_HZ = 16_000

AUDIOGRAMS: dict[str, Signal] = {"flat 0": np.zeros(6)} | {
    name: audiogram.at(STANDARD_FREQUENCIES_HZ) for name, audiogram in BISGAARD.items()
}


def at_level(signal: Signal, level_db_spl: float) -> Signal:
    """The signal with this level, in pascals."""
    return signal * float(pascal_from_db_spl(level_db_spl)) / np.sqrt(np.mean(signal**2))


def synthetic_speech(rng: np.random.Generator, seconds: float) -> Signal:
    """Voiced and unvoiced syllables with pauses: enough like speech to exercise every band."""
    parts: list[Signal] = []
    while sum(part.size for part in parts) < seconds * SAMPLE_RATE_HZ:
        n = int(rng.uniform(0.06, 0.25) * SAMPLE_RATE_HZ)
        time_s = np.arange(n) / SAMPLE_RATE_HZ
        pitch_hz = rng.uniform(90, 220)
        harmonics = np.arange(1, int(7000 / pitch_hz))
        formants_hz = rng.uniform([250, 900, 2200], [850, 2200, 3500])
        weights = sum(np.exp(-(((harmonics * pitch_hz - f) / 250.0) ** 2)) for f in formants_hz)
        voiced = (weights + 0.01) @ np.cos(2 * np.pi * pitch_hz * np.outer(harmonics, time_s))
        unvoiced = np.diff(rng.standard_normal(n), prepend=0.0)
        syllable = (voiced if rng.random() < 0.7 else unvoiced) * np.hanning(n)
        pause = np.zeros(int(rng.uniform(0.0, 0.1) * SAMPLE_RATE_HZ))
        parts += [syllable, pause]
    return np.concatenate(parts)[: int(seconds * SAMPLE_RATE_HZ)]


def recorded_speech(folder: Path, rng: np.random.Generator, seconds: float) -> Signal:
    """The beginning of a random recording of at least that length under `folder`."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in {".flac", ".wav"})
    for file in rng.permutation(np.array(files, dtype=object)):
        if soundfile.info(file).duration >= seconds:
            signal, rate_hz = soundfile.read(file, always_2d=True)
            mono = soxr.resample(signal[:, 0], rate_hz, SAMPLE_RATE_HZ)
            return mono[: int(seconds * SAMPLE_RATE_HZ)]
    raise SystemExit(f"No recording of {seconds:g} s or more in {folder}; name another folder.")


def _noisy(signal: Signal, rng: np.random.Generator) -> Signal:
    return signal + at_level(rng.standard_normal(signal.size), 94.0) * np.sqrt(np.mean(signal**2))


def _compressed(signal: Signal, rng: np.random.Generator) -> Signal:
    envelope = np.convolve(np.abs(signal), np.hanning(321) / 160, "same") + 1e-5
    return at_level(signal * envelope**-0.5, 75.0)


def _clipped(signal: Signal, rng: np.random.Generator) -> Signal:
    limit = np.sqrt(np.mean(signal**2))
    return 4.0 * np.clip(signal, -limit, limit)


def _delayed(signal: Signal, rng: np.random.Generator) -> Signal:
    delay = int(rng.integers(1, 200))
    return 3.0 * np.concatenate([np.zeros(delay), signal[:-delay]])


PROCESSING: dict[str, Callable[[Signal, np.random.Generator], Signal]] = {
    "clean": lambda signal, rng: signal.copy(),
    "amplified": lambda signal, rng: 10.0 * np.convolve(signal, [1.0, -0.6])[: signal.size],
    "noisy": _noisy,
    "compressed": _compressed,
    "clipped": _clipped,
    "delayed": _delayed,
    "20 dB softer": lambda signal, rng: 0.1 * _noisy(signal, rng),
    "noise only": lambda signal, rng: at_level(rng.standard_normal(signal.size), 70.0),
}

"""The parity report: how far an exported file's sound is from torch's, over a long stream.

Drift is the failure that short tests miss: the last minute is compared as well as the first.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from neuroamp.chain import EarChain
from neuroamp.engines import open_engine
from neuroamp.features import Features, audiogram_input
from neuroamp.fitting import Fitting
from neuroamp.model_file import ModelInfo
from neuroamp.transform import stft
from numpy.typing import NDArray

from neuroamp_export.net import Stream, StreamingNet, model_info, run_net
from neuroamp_export.tflm import TflmEngine

Floats32 = NDArray[np.float32]
MICRO_STEPS = 2000
"""TFLite-Micro's reference kernels are slow on a PC: it is compared over this many steps only."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """One row of the report.

    Attributes:
        file: its name.
        engine: what ran it.
        kilobytes: its size.
        operators: how often each operator occurs; empty where the file has none.
        steps: net steps compared.
        first_minute_db, second_pass_db, last_minute_db: SNR of the chain's sound against the same
            chain with torch's float net, dB. The first minute is the only one from rest; the
            minutes from the recording's second pass and from its last hear the same sound after
            the same sound, so that what differs between them is drift.
        net_output_db: SNR of the net's output over all steps, dB.
        step_us: median time of one step, microseconds.
    """

    file: str
    engine: str
    kilobytes: float
    operators: dict[str, int]
    steps: int
    first_minute_db: float
    second_pass_db: float
    last_minute_db: float
    net_output_db: float
    step_us: float


class Playback:
    """An engine that gives outputs computed beforehand, so that the device's chain plays them."""

    def __init__(self, info: ModelInfo, outputs: Floats32) -> None:
        self.info = info
        self._outputs = iter(outputs)

    def step(self, features: Floats32, audiogram: Floats32) -> Floats32:
        """The next output."""
        return next(self._outputs)

    def reset(self) -> None:
        """Nothing to forget."""


class ParityStream:
    """A long noisy recording, and what torch's float net makes of it.

    Args:
        net: the float net.
        sound_pa: the recording, pascals; `minutes` of it are made by repeating it.
        fitting: the ear's fitting.
        minutes: length of the stream.
    """

    def __init__(
        self, net: StreamingNet, sound_pa: NDArray[np.float64], fitting: Fitting, minutes: float
    ) -> None:
        profile = net.profile
        self._profile, self._fitting = profile, fitting
        self._info = model_info(net, "reference", "reference", "float32")
        step = profile.hop * profile.hops_per_step
        steps = int(minutes * 60.0 / profile.step_seconds)
        sound = sound_pa[: sound_pa.size // step * step]
        spectra = stft(profile, sound, every=profile.hops_per_step)
        once = Features(profile)(spectra).astype(np.float32)
        self.features = np.resize(once, (steps, once.shape[1]))
        self.audiogram = audiogram_input(fitting.thresholds_db_hl).astype(np.float32)
        self._minute = min(steps, round(60.0 / profile.step_seconds))
        # The minutes begin where the recording does, so that the same sound is compared.
        last = max(0, (steps - self._minute) // len(once) * len(once))
        self._begins = (0, min(len(once), last), last)
        self._sound = np.resize(sound, self._minute * step)
        self.reference = run_net(net, Stream(self.features, self.audiogram))
        self._reference_sound = [self._play(self.reference[begin:]) for begin in self._begins]

    def compare(
        self, path: Path, engine_name: str, operators: dict[str, int]
    ) -> tuple[Parity, Floats32]:
        """One file's row, and its outputs [steps, features]."""
        engine = open_engine(path, engine_name)
        outputs = np.empty_like(self.reference)
        times = np.empty(len(outputs))
        for index, row in enumerate(self.features):
            began = time.perf_counter()
            outputs[index] = engine.step(row, self.audiogram)
            times[index] = time.perf_counter() - began
        first, second, last = (
            _snr_db(reference, self._play(outputs[begin:]))
            for begin, reference in zip(self._begins, self._reference_sound, strict=True)
        )
        row_of_report = Parity(
            file=path.name,
            engine=engine_name,
            kilobytes=round(path.stat().st_size / 1000.0, 1),
            operators=operators,
            steps=len(outputs),
            first_minute_db=round(first, 1),
            second_pass_db=round(second, 1),
            last_minute_db=round(last, 1),
            net_output_db=round(_snr_db(self.reference, outputs), 1),
            step_us=round(1e6 * float(np.median(times)), 1),
        )
        return row_of_report, outputs

    def compare_micro(self, path: Path, lite_outputs: Floats32) -> dict[str, Any]:
        """TFLite-Micro's interpreter on a static file: SNR against torch, distance to LiteRT."""
        engine = TflmEngine(path)
        count = min(MICRO_STEPS, len(self.features))
        outputs = np.stack([engine.step(row, self.audiogram) for row in self.features[:count]])
        return {
            "file": path.name,
            "engine": "tflite-micro",
            "steps": count,
            "net_output_db": round(_snr_db(self.reference[:count], outputs), 1),
            "largest_difference_to_litert": float(np.abs(outputs - lite_outputs[:count]).max()),
        }

    def _play(self, outputs: Floats32) -> NDArray[np.float64]:
        chain = EarChain(self._profile, self._fitting, Playback(self._info, outputs))
        return chain.process(self._sound)


def _snr_db(reference: NDArray[Any], other: NDArray[Any]) -> float:
    signal = np.sum(np.square(reference, dtype=np.float64))
    error = np.sum(np.square(reference.astype(np.float64) - other))
    return float(10.0 * np.log10(max(signal, 1e-30) / max(error, 1e-30)))

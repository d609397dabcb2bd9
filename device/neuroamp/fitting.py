"""What a fitting tells the device: one ear's audiogram, its gains, its limits."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ, Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError

MPO_RANGE_DB_SPL = (60.0, 120.0)
"""Range of the maximum power output a fitting may ask for, dB SPL; the device clamps to it."""

GAIN_RANGE_DB = (0.0, 70.0)
COMPRESSION_RATIO_RANGE = (1.0, 4.0)
KNEE_RANGE_DB_SPL = (20.0, 80.0)
ATTACK_RANGE_S = (0.001, 0.1)
RELEASE_RANGE_S = (0.01, 3.0)
STRENGTH_RANGE = (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Fitting:
    """One ear's fitting.

    Attributes:
        ear: which ear this is for; a device refuses one of the other side.
        thresholds_db_hl: the six audiogram points the net is given, dB HL, at 250, 500, 1000,
            2000, 4000 and 6000 Hz.
        rule: name of the prescription, for the record.
        gain_65_db: insertion gain for speech of 65 dB SPL, dB, at `CHANNEL_FREQUENCIES_HZ`.
        compression_ratio: per channel; 1 is linear.
        knee_db_spl: speech level below which the gain stays constant, dB SPL.
        attack_s, release_s: ANSI S3.22 times of the compressor, seconds.
        mpo_db_spl: maximum power output, dB SPL of a sine, which the limiter keeps.
        noise_reduction: 0 (the prescription alone) to 1 (steadied gains, and all that the net asks
            for where it finds noise).
    """

    ear: Ear
    thresholds_db_hl: tuple[float, ...]
    rule: str
    gain_65_db: tuple[float, ...]
    compression_ratio: tuple[float, ...]
    knee_db_spl: float = 50.0
    attack_s: float = 0.005
    release_s: float = 0.3
    mpo_db_spl: float = 110.0
    noise_reduction: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.ear, Ear) or not isinstance(self.rule, str):
            raise NeuroampError(
                f"the fitting's ear and rule are {self.ear!r} and {self.rule!r} but must be an "
                "ear and a rule's name; fit again."
            )
        channels = len(CHANNEL_FREQUENCIES_HZ)
        _check_row("threshold", self.thresholds_db_hl, len(STANDARD_FREQUENCIES_HZ), (-10.0, 120.0))
        _check_row("gain at 65 dB SPL", self.gain_65_db, channels, GAIN_RANGE_DB)
        _check_row("compression ratio", self.compression_ratio, channels, COMPRESSION_RATIO_RANGE)
        for name, value, allowed in (
            ("knee in dB SPL", self.knee_db_spl, KNEE_RANGE_DB_SPL),
            ("attack in seconds", self.attack_s, ATTACK_RANGE_S),
            ("release in seconds", self.release_s, RELEASE_RANGE_S),
            ("MPO in dB SPL", self.mpo_db_spl, MPO_RANGE_DB_SPL),
            ("noise reduction", self.noise_reduction, STRENGTH_RANGE),
        ):
            _check_row(name, (value,), 1, allowed)

    def replace(self, **changes: Any) -> Fitting:
        """A copy with some fields changed, validated again."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """The fitting as a JSON object."""
        return json.dumps({**dataclasses.asdict(self), "ear": self.ear.value}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Fitting:
        """Fitting from the output of `to_json`.

        Raises:
            NeuroampError: not JSON, a key missing or unknown, a value out of range.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise TypeError(f"a JSON object was expected, not a {type(data).__name__}")
            for key, value in data.items():
                if isinstance(value, list):
                    data[key] = tuple(value)
            return cls(**{**data, "ear": Ear(data.get("ear"))})
        except (ValueError, TypeError, RecursionError) as error:
            raise NeuroampError(
                f"this is not a whole fitting ({error}); write it again with `neuroamp fit`."
            ) from None


def _check_row(
    name: str, values: tuple[float, ...], count: int, allowed: tuple[float, float]
) -> None:
    low, high = allowed
    if len(values) != count:
        raise NeuroampError(
            f"the fitting has {len(values)} values of {name} but needs {count}; fit again."
        )
    for value in values:
        number = isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise NeuroampError(
                f"the fitting's {name} is {value!r} but must be from {low:g} to {high:g}; "
                "correct it and fit again."
            )

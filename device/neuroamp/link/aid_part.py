"""The aid behind the link: what a message sets and asks of the sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neuroamp.aid import UNCALIBRATED_CEILING_DB_SPL, Aid
from neuroamp.audiogram import Ear
from neuroamp.fitting import Fitting
from neuroamp.link.codes import Output
from neuroamp.link.dispatcher import AudioCounts, with_volume
from neuroamp.link.messages import Levels
from neuroamp.link.records import Calibration, TimesRecord
from neuroamp.times import Stage

TICKS_PER_SECOND = 10**9
"""The core's clock counts nanoseconds."""

LEVEL_RANGE_DB_SPL = (-200.0, 200.0)


class AidPart:
    """An `Aid` as the link's `AudioPart`; it may be set while the sound goes on."""

    def __init__(self, aid: Aid, check_model: Callable[[bytes], None]) -> None:
        """Behind the link from now on.

        Args:
            aid: what plays.
            check_model: raises NeuroampError for a model that this device cannot use.
        """
        self._aid = aid
        self._check_model = check_model
        self._ceilings = dict.fromkeys(aid.ears, UNCALIBRATED_CEILING_DB_SPL)

    def set_fitting(self, fitting: Fitting) -> None:
        """Cross-fades to a fitting; its limit holds at once."""
        self._aid.set_fitting(fitting)

    def set_calibration(self, ear: Ear, calibration: Calibration | None) -> None:
        """Takes a calibration, or none, and fades in anew."""
        self._aid.set_calibration(ear, calibration)
        self._ceilings[ear] = (
            UNCALIBRATED_CEILING_DB_SPL if calibration is None else calibration.ceiling_db_spl
        )

    def set_volume(self, ear: Ear, volume_db: float) -> None:
        """Takes a volume."""
        self._aid.set_volume(ear, volume_db)

    def set_noise_reduction(self, ear: Ear, strength: float) -> None:
        """Takes a strength of the net until the next fitting."""
        self._aid.set_noise_reduction(ear, strength)

    def set_output(self, output: Output) -> None:
        """Sounds, mutes, or is silent at once."""
        self._aid.set_output(output)

    def output(self) -> Output:
        """What was asked for last."""
        return self._aid.output()

    def applied_gains_db(self, ear: Ear) -> Sequence[float]:
        """What the chain holds now, a cross-fade included, and the volume, dB, [11]."""
        return with_volume(self._aid.report(ear).gain_65_db, self._aid.volume_db(ear))

    def ceiling_db_spl(self, ear: Ear) -> float:
        """The calibration's ceiling, or the low one of an ear without."""
        return self._ceilings[ear]

    def levels(self, ear: Ear) -> Levels:
        """Levels as the chain measures them."""
        report = self._aid.report(ear)
        levels = (report.input_db_spl, report.output_db_spl, report.output_peak_db_spl)
        return Levels(*(float(np.clip(level, *LEVEL_RANGE_DB_SPL)) for level in levels))

    def counts(self, ear: Ear) -> AudioCounts:
        """Counters since the start."""
        report = self._aid.report(ear)
        stats = report.stats
        return AudioCounts(
            stats.steps,
            stats.missed_steps,
            stats.non_finite_samples,
            report.hops,
            report.late_hops,
        )

    def times(self, ear: Ear, stage: Stage) -> TimesRecord:
        """Times of a stage."""
        return TimesRecord(TICKS_PER_SECOND, self._aid.times(ear, stage))

    def take_model(self, data: bytes) -> bool:
        """True: a sound model is used from the next start on."""
        self._check_model(data)
        return True

"""From an audiogram and a rule to the fitting that the device takes."""

from __future__ import annotations

import numpy as np
from neuroamp.audiogram import Audiogram, Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.fitting import COMPRESSION_RATIO_RANGE, GAIN_RANGE_DB, Fitting

from neuroamp_host.prescription import prescribe
from neuroamp_host.prescription.rule import Prescription

DEFAULT_MPO_DB_SPL = 110.0


def make_fitting(
    audiogram: Audiogram,
    ear: Ear,
    rule: str = "nal-r",
    linear: bool = False,
    mpo_db_spl: float = DEFAULT_MPO_DB_SPL,
    noise_reduction: float = 1.0,
) -> Fitting:
    """The fitting of one ear.

    Args:
        audiogram: that ear's thresholds.
        ear: which ear it is for.
        rule: a name of `neuroamp_host.prescription.RULES`, or the path of a gain table.
        linear: no compression.
        mpo_db_spl: maximum power output, dB SPL of a sine.
        noise_reduction: strength of the net's gains, 0 to 1.

    Raises:
        NeuroampError: there is no such rule, or a limit is out of range.
    """
    prescription = prescribe(rule, audiogram, CHANNEL_FREQUENCIES_HZ, linear)
    return fitting_of(prescription, audiogram, ear, rule, mpo_db_spl, noise_reduction)


def fitting_of(
    prescription: Prescription,
    audiogram: Audiogram,
    ear: Ear,
    rule: str,
    mpo_db_spl: float = DEFAULT_MPO_DB_SPL,
    noise_reduction: float = 1.0,
) -> Fitting:
    """The fitting of one ear whose prescription, at `CHANNEL_FREQUENCIES_HZ`, is known.

    Args:
        rule: what the prescription is called, for the record.

    Raises:
        NeuroampError: a limit is out of range.
    """
    return Fitting(
        ear=ear,
        thresholds_db_hl=tuple(float(level) for level in audiogram.six_point()),
        rule=rule,
        gain_65_db=_row(prescription.gain_65_db, GAIN_RANGE_DB),
        compression_ratio=_row(prescription.compression_ratio, COMPRESSION_RATIO_RANGE),
        mpo_db_spl=mpo_db_spl,
        noise_reduction=noise_reduction,
    )


def _row(values: np.ndarray, allowed: tuple[float, float]) -> tuple[float, ...]:
    return tuple(float(value) for value in np.clip(values, *allowed))

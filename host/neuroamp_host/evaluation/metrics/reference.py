"""HASPI v2, HASQI v2 and HAAQI v1 as the field's reference code (pyclarity) computes them.

Thin wrappers that leave no room for pyclarity's traps:

- Its `level1` is the dB SPL of RMS 1, with a default of 65 or 100 depending on the function.
  Signals here are in pascals, so it is always `DB_SPL_OF_UNIT_RMS`.
- It adds noise from numpy's global generator. Here the generator is seeded for the call and put
  back afterwards, so a score repeats and no other code sees a changed generator.
- Its argument order differs between metrics. Here it is always reference, processed.

These are slow: `neuroamp_host.evaluation.metrics.fast` gives the same scores.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from clarity.evaluator.haaqi.haaqi import haaqi_v1
from clarity.evaluator.haspi import haspi_v2
from clarity.evaluator.hasqi import hasqi_v2
from clarity.utils.audiogram import Audiogram
from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp.units import REFERENCE_PRESSURE_PA
from numpy.typing import ArrayLike

from neuroamp_host.evaluation.metrics.inputs import (
    below_threshold_error,
    checked_reference,
    checked_signal,
    checked_thresholds,
)
from neuroamp_host.evaluation.metrics.results import HaspiResult, QualityResult

DB_SPL_OF_UNIT_RMS = float(20.0 * np.log10(1.0 / REFERENCE_PRESSURE_PA))
"""The level of 1 Pa RMS, 93.98 dB SPL: pyclarity's `level1` for signals in pascals."""


@contextmanager
def _global_generator_seeded(seed: int) -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002 (pyclarity draws from the global generator)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _audiogram(thresholds_db_hl: ArrayLike) -> Audiogram:
    return Audiogram(
        levels=checked_thresholds(thresholds_db_hl),
        frequencies=np.array(STANDARD_FREQUENCIES_HZ),
    )


def haspi_reference(
    reference_pa: ArrayLike,
    processed_pa: ArrayLike,
    sample_rate_hz: float,
    thresholds_db_hl: ArrayLike,
    *,
    seed: int = 0,
    db_spl_of_unit_rms: float = DB_SPL_OF_UNIT_RMS,
) -> HaspiResult:
    """HASPI v2 (Kates and Arehart 2021) by pyclarity.

    Args:
        reference_pa: clean, unamplified speech in pascals, [n].
        processed_pa: what reaches the impaired ear (amplified) in pascals, [n].
        sample_rate_hz: of both signals.
        thresholds_db_hl: hearing thresholds in dB HL at 250, 500, 1000, 2000, 4000, 6000 Hz, [6].
        seed: of pyclarity's noise.
        db_spl_of_unit_rms: only for signals that are not in pascals.

    Raises:
        NeuroampError: for signals or thresholds of the wrong shape, a reference that a normal
            ear would not hear, or a silent processed signal (pyclarity gives NaN for it).
    """
    reference = checked_reference(reference_pa)
    processed = checked_signal(processed_pa, "processed")
    with _global_generator_seeded(seed):
        try:
            score, correlation = haspi_v2(
                reference,
                sample_rate_hz,
                processed,
                sample_rate_hz,
                _audiogram(thresholds_db_hl),
                level1=db_spl_of_unit_rms,
            )
        except ValueError as error:
            if "below threshold" not in str(error):
                raise
            raise below_threshold_error(reference) from error
    return HaspiResult(_finite(score), np.asarray(correlation))


def hasqi_reference(
    reference_pa: ArrayLike,
    processed_pa: ArrayLike,
    sample_rate_hz: float,
    thresholds_db_hl: ArrayLike,
    *,
    seed: int = 0,
    db_spl_of_unit_rms: float = DB_SPL_OF_UNIT_RMS,
) -> QualityResult:
    """HASQI v2 (Kates and Arehart 2014) by pyclarity, which amplifies the reference by NAL-R.

    Arguments and errors as for `haspi_reference`, except that a reference which stays inaudible
    to this listener even with NAL-R scores 0.
    """
    with _global_generator_seeded(seed):
        score, nonlinear, linear, raw = hasqi_v2(
            checked_reference(reference_pa),
            sample_rate_hz,
            checked_signal(processed_pa, "processed"),
            sample_rate_hz,
            _audiogram(thresholds_db_hl),
            equalisation=1,
            level1=db_spl_of_unit_rms,
        )
    return QualityResult(_finite(score), float(nonlinear), float(linear), *map(float, raw))


def haaqi_reference(
    reference_pa: ArrayLike,
    processed_pa: ArrayLike,
    sample_rate_hz: float,
    thresholds_db_hl: ArrayLike,
    *,
    seed: int = 0,
    db_spl_of_unit_rms: float = DB_SPL_OF_UNIT_RMS,
) -> QualityResult:
    """HAAQI v1 (Kates and Arehart 2016), music quality, by pyclarity; as `hasqi_reference`."""
    with _global_generator_seeded(seed):
        score, nonlinear, linear, raw = haaqi_v1(
            checked_reference(reference_pa),
            sample_rate_hz,
            checked_signal(processed_pa, "processed"),
            sample_rate_hz,
            _audiogram(thresholds_db_hl),
            equalisation=1,
            level1=db_spl_of_unit_rms,
        )
    return QualityResult(_finite(score), float(nonlinear), float(linear), *map(float, raw))


def _finite(score: float) -> float:
    if not np.isfinite(score):
        raise NeuroampError(
            f"pyclarity's score is {score}, which happens when the processed signal is silent: "
            "check the processing, or use neuroamp_host.evaluation.metrics.fast, which scores "
            "silence."
        )
    return float(score)

"""HASPI v2, HASQI v2 and HAAQI v1, fast enough to score tens of thousands of signals.

The scores equal pyclarity's (`reference.py`), the field's reference implementation, including its
noise: `dither_seed=s` gives what pyclarity gives after `np.random.seed(s)`. The time goes where
the information is: one pass of the impaired ear over the processed signal serves all metrics, the
reference's side is computed once for any number of processed signals, nothing is computed that a
score does not use, and the inner loops are compiled.

    ear = ReferenceEar(clean_pa, 16_000, thresholds_db_hl)
    for processed_pa in outputs:
        haspi, hasqi = ear.haspi_hasqi(processed_pa)

Signals are in pascals. Noise is on by default (`dither_seed=0`): it decides the score of what is
barely audible, so it is part of the published metrics (see `dither.py`), and its fixed seed makes
scores repeatable and comparisons paired. `dither_seed=None` turns it off.
"""

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import cast

import numpy as np
from neuroamp.errors import NeuroampError
from numpy.typing import ArrayLike, NDArray

from neuroamp_host.evaluation.metrics.alignment import (
    MAX_LAG,
    BroadbandReference,
    block_spectra,
)
from neuroamp_host.evaluation.metrics.ear_model import (
    N_BANDS,
    SAMPLE_RATE_HZ,
    BandResponse,
    Cochlea,
    band_response,
    middle_ear,
    resample_to_24_khz,
)
from neuroamp_host.evaluation.metrics.inputs import (
    below_threshold_error,
    checked_reference,
    checked_signal,
    checked_thresholds,
)
from neuroamp_host.evaluation.metrics.intelligibility import HaspiReference
from neuroamp_host.evaluation.metrics.quality import ProcessedBand, QualityReference
from neuroamp_host.evaluation.metrics.results import (
    METRICS,
    HaspiResult,
    QualityResult,
    Scores,
)


class ReferenceEar:
    """A clean reference and a listener, ready to score any number of processed signals.

    The reference's side is computed when the first score needs it and kept: about 45 MB per second
    of sound for HASPI and HASQI together.
    """

    def __init__(
        self,
        reference_pa: ArrayLike,
        sample_rate_hz: float,
        thresholds_db_hl: ArrayLike,
        *,
        dither_seed: int | None = 0,
    ) -> None:
        """Take the reference and the listener.

        Args:
            reference_pa: clean, unamplified signal in pascals, [n], at least 0.1 s of sound.
            sample_rate_hz: of the reference and of every processed signal, 8 kHz or more.
            thresholds_db_hl: hearing thresholds in dB HL at 250, 500, 1000, 2000, 4000 and
                6000 Hz, [6].
            dither_seed: of the metrics' noise, 0 to 2**32 - 1; None for none.

        Raises:
            NeuroampError: when the reference or the thresholds are not of that kind.
        """
        self._reference_pa = checked_reference(reference_pa)
        self._thresholds = checked_thresholds(thresholds_db_hl)
        self._sample_rate_hz = sample_rate_hz
        self._dither_seed = dither_seed
        if sample_rate_hz < 8000:
            raise NeuroampError(
                f"the sample rate is {sample_rate_hz:g} Hz where 8000 Hz or more is expected: "
                "give the rate in hertz."
            )
        self._broadband = BroadbandReference(resample_to_24_khz(self._reference_pa, sample_rate_hz))
        if self._broadband.trimmed.size < MAX_LAG:
            raise NeuroampError(
                f"the reference holds {self._broadband.trimmed.size / SAMPLE_RATE_HZ:.3f} s of "
                "sound where 0.1 s or more is expected: leave this item out, or give a longer one."
            )
        self._cochlea = Cochlea.of(self._thresholds)

    def scores(
        self, processed_pa: ArrayLike, metrics: Collection[str] = ("haspi", "hasqi")
    ) -> Scores:
        """Any of the metrics with one pass of the ear model over the processed signal.

        For a reference that stays inaudible to this listener even with NAL-R, HASQI and the
        nonlinear part of HAAQI are 0, as in pyclarity.

        Args:
            processed_pa: what reaches the impaired ear in pascals, [m >= n]; silence is allowed
                and scores as what it is.
            metrics: which of haspi, hasqi and haaqi.

        Raises:
            NeuroampError: for a processed signal shorter than the reference, of another shape or
                with values that are not finite, for an unknown metric, and with HASPI when the
                reference is so soft that even a normal ear would not hear it.
        """
        if not metrics or not set(metrics) <= set(METRICS):
            raise NeuroampError(
                f"the metrics asked for are {list(metrics)} where one or more of {list(METRICS)} "
                "are expected: correct the names."
            )
        haspi_reference = self._haspi_reference if "haspi" in metrics else None
        quality_reference = self._quality_reference if set(metrics) != {"haspi"} else None
        levels: list[NDArray[np.float64]] = []
        quality_bands: list[ProcessedBand] = []
        for band in self._bands(processed_pa):
            if haspi_reference is not None:
                levels.append(haspi_reference.processed_levels(*band))
            if quality_reference is not None:
                quality_bands.append(quality_reference.processed_band(*band))
        scores = Scores()
        if haspi_reference is not None:
            scores = scores._replace(haspi=haspi_reference.score(np.stack(levels)))
        if quality_reference is not None and "hasqi" in metrics:
            scores = scores._replace(hasqi=quality_reference.hasqi(quality_bands))
        if quality_reference is not None and "haaqi" in metrics:
            scores = scores._replace(haaqi=quality_reference.haaqi(quality_bands))
        return scores

    def haspi(self, processed_pa: ArrayLike) -> HaspiResult:
        """HASPI v2 of a processed signal; argument and errors as for `scores`."""
        return cast(HaspiResult, self.scores(processed_pa, ("haspi",)).haspi)

    def hasqi(self, processed_pa: ArrayLike) -> QualityResult:
        """HASQI v2 of a processed signal; argument and errors as for `scores`."""
        return cast(QualityResult, self.scores(processed_pa, ("hasqi",)).hasqi)

    def haaqi(self, processed_pa: ArrayLike) -> QualityResult:
        """HAAQI v1 of a processed signal; argument and errors as for `scores`."""
        return cast(QualityResult, self.scores(processed_pa, ("haaqi",)).haaqi)

    def haspi_hasqi(self, processed_pa: ArrayLike) -> tuple[HaspiResult, QualityResult]:
        """HASPI v2 and HASQI v2 together; argument and errors as for `scores`."""
        scores = self.scores(processed_pa, ("haspi", "hasqi"))
        return cast(HaspiResult, scores.haspi), cast(QualityResult, scores.hasqi)

    @cached_property
    def _haspi_reference(self) -> HaspiReference:
        try:
            return HaspiReference(self._broadband.trimmed, self._dither_seed)
        except ValueError as error:
            raise below_threshold_error(self._reference_pa) from error

    @cached_property
    def _quality_reference(self) -> QualityReference:
        return QualityReference(self._broadband.trimmed, self._thresholds, self._dither_seed)

    def _bands(
        self, processed_pa: ArrayLike
    ) -> Iterator[tuple[int, BandResponse, NDArray[np.complex128]]]:
        """Each band's number, response to the processed signal and spectra of its envelope."""
        processed = checked_signal(processed_pa, "processed")
        if processed.size < self._reference_pa.size:
            raise NeuroampError(
                f"the processed signal has {processed.size} samples where the reference's "
                f"{self._reference_pa.size} or more are expected: append zeros, or cut the "
                "reference."
            )
        aligned = self._broadband.align(resample_to_24_khz(processed, self._sample_rate_hz))
        signal = middle_ear(aligned)
        for band in range(N_BANDS):
            response = band_response(signal, self._cochlea, band)
            yield band, response, block_spectra(response.envelope)


def haspi(
    reference_pa: ArrayLike,
    processed_pa: ArrayLike,
    sample_rate_hz: float,
    thresholds_db_hl: ArrayLike,
    *,
    dither_seed: int | None = 0,
) -> HaspiResult:
    """HASPI v2 of one pair of signals; arguments and errors as for `ReferenceEar`."""
    ear = ReferenceEar(reference_pa, sample_rate_hz, thresholds_db_hl, dither_seed=dither_seed)
    return ear.haspi(processed_pa)


def hasqi(
    reference_pa: ArrayLike,
    processed_pa: ArrayLike,
    sample_rate_hz: float,
    thresholds_db_hl: ArrayLike,
    *,
    dither_seed: int | None = 0,
) -> QualityResult:
    """HASQI v2 of one pair of signals; arguments and errors as for `ReferenceEar`."""
    ear = ReferenceEar(reference_pa, sample_rate_hz, thresholds_db_hl, dither_seed=dither_seed)
    return ear.hasqi(processed_pa)


def haaqi(
    reference_pa: ArrayLike,
    processed_pa: ArrayLike,
    sample_rate_hz: float,
    thresholds_db_hl: ArrayLike,
    *,
    dither_seed: int | None = 0,
) -> QualityResult:
    """HAAQI v1 of one pair of signals; arguments and errors as for `ReferenceEar`."""
    ear = ReferenceEar(reference_pa, sample_rate_hz, thresholds_db_hl, dither_seed=dither_seed)
    return ear.haaqi(processed_pa)


def haspi_hasqi(
    reference_pa: ArrayLike,
    processed_pa: ArrayLike,
    sample_rate_hz: float,
    thresholds_db_hl: ArrayLike,
    *,
    dither_seed: int | None = 0,
) -> tuple[HaspiResult, QualityResult]:
    """HASPI v2 and HASQI v2 of one pair of signals; arguments and errors as for `ReferenceEar`."""
    ear = ReferenceEar(reference_pa, sample_rate_hz, thresholds_db_hl, dither_seed=dither_seed)
    return ear.haspi_hasqi(processed_pa)

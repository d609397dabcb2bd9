"""Objective measures of intelligibility and quality for impaired ears: HASPI, HASQI, HAAQI."""

from neuroamp_host.evaluation.metrics.fast import ReferenceEar, haaqi, haspi, haspi_hasqi, hasqi
from neuroamp_host.evaluation.metrics.results import HaspiResult, QualityResult

__all__ = [
    "HaspiResult",
    "QualityResult",
    "ReferenceEar",
    "haaqi",
    "haspi",
    "haspi_hasqi",
    "hasqi",
]

"""Objective measures of intelligibility and quality for impaired ears: HASPI, HASQI, HAAQI."""

from neuroamp_host.evaluation.metrics.fast import ReferenceEar, haaqi, haspi, haspi_hasqi, hasqi
from neuroamp_host.evaluation.metrics.parallel import ScoringJob, ScoringOutcome, score_many
from neuroamp_host.evaluation.metrics.results import HaspiResult, QualityResult, Scores

__all__ = [
    "HaspiResult",
    "QualityResult",
    "ReferenceEar",
    "Scores",
    "ScoringJob",
    "ScoringOutcome",
    "haaqi",
    "haspi",
    "haspi_hasqi",
    "hasqi",
    "score_many",
]

"""Scoring of many utterances on several cores.

A job is one reference, one listener and every processed version of it, so that the reference's
side is computed once. Jobs go to freshly started processes (spawned, which is safe beside torch
and threads), and a job that fails does not stop the others.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context

from neuroamp.errors import NeuroampError
from numpy.typing import ArrayLike

from neuroamp_host.evaluation.metrics.fast import ReferenceEar
from neuroamp_host.evaluation.metrics.results import Scores

_JOBS_AHEAD = 2  # per process: enough to keep it busy, few enough for the signals' memory


@dataclass(frozen=True)
class ScoringJob:
    """What to score.

    Attributes:
        name: of the job, for its outcome and its errors, such as "p232_001/N3".
        reference_pa: clean, unamplified signal in pascals, [n].
        processed_pa: processed signals in pascals by the name of their method, each [m >= n].
        sample_rate_hz: of all of them.
        thresholds_db_hl: at 250, 500, 1000, 2000, 4000 and 6000 Hz, [6].
        metrics: which of haspi, hasqi and haaqi.
        dither_seed: of the metrics' noise; None for none.
    """

    name: str
    reference_pa: ArrayLike
    processed_pa: Mapping[str, ArrayLike]
    sample_rate_hz: float
    thresholds_db_hl: ArrayLike
    metrics: Collection[str] = ("haspi", "hasqi")
    dither_seed: int | None = 0


@dataclass(frozen=True)
class ScoringOutcome:
    """What came of a job.

    Attributes:
        name: the job's.
        scores: by the name of the method; without those that failed.
        errors: why, by the name of the method, or by "" when the reference itself failed; each
            starts with the job's name.
    """

    name: str
    scores: dict[str, Scores] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def score_job(job: ScoringJob) -> ScoringOutcome:
    """Score one job in this process; whatever fails becomes an error of its outcome."""
    outcome = ScoringOutcome(job.name)
    try:
        ear = ReferenceEar(
            job.reference_pa,
            job.sample_rate_hz,
            job.thresholds_db_hl,
            dither_seed=job.dither_seed,
        )
    except Exception as error:
        outcome.errors[""] = _message(job.name, error)
        return outcome
    for method, processed_pa in job.processed_pa.items():
        try:
            outcome.scores[method] = ear.scores(processed_pa, job.metrics)
        except Exception as error:
            outcome.errors[method] = _message(f"{job.name}, {method}", error)
    return outcome


def score_many(
    jobs: Iterable[ScoringJob],
    *,
    processes: int = 2,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[ScoringOutcome]:
    """Score jobs on several cores.

    Args:
        jobs: taken one by one as processes become free, so that a generator which makes the
            signals keeps only a few in memory. Neighbours with the same reference share its
            noise, so order by reference.
        processes: to start; 1 scores in this process. A script that asks for more must start its
            work under `if __name__ == "__main__":`.
        progress: called after every job with the number done and the total (None for a
            generator).

    Returns:
        One outcome a job, in the order of the jobs.

    Raises:
        NeuroampError: when a process dies, as it does when memory runs out.
    """
    total = len(jobs) if isinstance(jobs, Sized) else None
    outcomes: list[ScoringOutcome] = []

    def keep(outcome: ScoringOutcome) -> None:
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), total)

    if processes <= 1:
        for job in jobs:
            keep(score_job(job))
        return outcomes

    pending: deque[tuple[str, Future[ScoringOutcome]]] = deque()

    def collect(jobs_left: int) -> None:
        while len(pending) > jobs_left:
            keep(pending[0][1].result())
            pending.popleft()

    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for job in jobs:
                pending.append((job.name, pool.submit(score_job, job)))
                collect(jobs_left=_JOBS_AHEAD * processes)
            collect(jobs_left=0)
        except BrokenProcessPool as error:
            names = ", ".join(name for name, _ in pending)
            raise NeuroampError(
                f"a scoring process died, most likely for lack of memory, while these jobs were in "
                f"work: {names}; use fewer processes or shorter signals."
            ) from error
    return outcomes


def _message(name: str, error: Exception) -> str:
    kind = "" if isinstance(error, NeuroampError) else f"{type(error).__name__}: "
    return f"{name}: {kind}{error}"

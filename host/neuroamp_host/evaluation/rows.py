"""Many scores, each a row of JSON: kept as they come, computed in parallel by Dask."""

from __future__ import annotations

import atexit
import functools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from neuroamp.errors import NeuroampError

if TYPE_CHECKING:
    from distributed import Client

KEPT_BYTES = 1 << 29
"""Of freed memory that a worker keeps for its next score."""

Job = TypeVar("Job")
Row = dict[str, Any]
Progress = Callable[[int, int], None]


def score_all(
    path: Path,
    jobs: Sequence[Job],
    score: Callable[[Job], Row],
    done: Callable[[Job, list[Row]], bool],
    processes: int = 2,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """A row of every job; those in `path` from an interrupted run are kept.

    Args:
        path: file of one JSON object a line, written as the rows come.
        jobs: what to score.
        score: makes a row of a job; goes to the workers, so it must be picklable.
        done: whether the rows already there hold that of a job.
        processes: local worker processes.
        cluster: address of a Dask scheduler whose workers score instead, for example
            tcp://10.0.0.5:8786; they need this package.
        progress: told how many rows of how many there are.

    Raises:
        NeuroampError: the cluster does not answer.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = whole_rows(path)
    missing = [job for job in jobs if not done(job, rows)]
    total = len(rows) + len(missing)
    with path.open("a", encoding="utf-8") as file:
        for row in _computed(missing, score, processes, cluster):
            file.write(json.dumps(row) + "\n")
            file.flush()
            rows.append(row)
            if progress is not None:
                progress(len(rows), total)
    return rows


def whole_rows(path: Path) -> list[Row]:
    """The rows of an earlier run; a line torn by an interruption is dropped from the file."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


def _computed(
    jobs: Sequence[Job], score: Callable[[Job], Row], processes: int, cluster: str | None
) -> Iterator[Row]:
    """Rows in the order in which they are ready; an exception of a job is raised here."""
    if not jobs:
        return
    if cluster is None and processes == 1:
        yield from map(score, jobs)
        return
    from distributed import as_completed

    client = _client(processes, cluster)
    # A few jobs a worker ahead: sounds wait here, not in the workers' memory.
    ahead = 4 * max(1, len(client.scheduler_info()["workers"]))
    waiting = iter(jobs)
    found = as_completed([client.submit(score, job, pure=False) for job in islice(waiting, ahead)])
    for future in found:
        yield future.result()
        for job in islice(waiting, 1):
            found.add(client.submit(score, job, pure=False))


@functools.lru_cache(maxsize=1)
def _client(processes: int, cluster: str | None) -> Client:
    """Workers, kept for the next scores: starting one and loading what it needs takes seconds."""
    import dask
    from distributed import Client, LocalCluster

    # A worker per core: the engines and the numeric libraries stay on one thread each. Dask has
    # its workers give freed memory back at once; where every score needs the same again, that
    # doubles the time, spent in the kernel.
    dask.config.set(
        {
            "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": KEPT_BYTES,
            "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": KEPT_BYTES,
            "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": 1,
        }
    )
    if cluster is None:
        workers = LocalCluster(
            n_workers=processes,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )
        atexit.register(workers.close)
        return Client(workers)
    try:
        return Client(cluster, timeout="15s")
    except (OSError, ValueError) as error:
        raise NeuroampError(
            f"no Dask scheduler answers at {cluster} ({str(error).splitlines()[0]}); check the "
            "address, or leave --cluster out to use this machine."
        ) from None

"""Many scores, each a row of JSON: kept as they come, computed in parallel by Dask."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from neuroamp.errors import NeuroampError

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
    from distributed import Client, LocalCluster, as_completed

    # A worker per core: the engines and the numeric libraries stay on one thread each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        if cluster is None:
            workers = LocalCluster(
                n_workers=processes, threads_per_worker=1, dashboard_address=None
            )
            client = Client(workers)
        else:
            workers = None
            client = Client(cluster, timeout="15s")
    except (OSError, ValueError) as error:
        raise NeuroampError(
            f"no Dask scheduler answers at {cluster} ({str(error).splitlines()[0]}); check the "
            "address, or leave --cluster out to use this machine."
        ) from None
    try:
        # A few jobs a worker ahead: sounds wait here, not in the workers' memory.
        ahead = 4 * max(1, len(client.scheduler_info()["workers"]))
        waiting = iter(jobs)
        found = as_completed(
            [client.submit(score, job, pure=False) for job in islice(waiting, ahead)]
        )
        for future in found:
            yield future.result()
            for job in islice(waiting, 1):
                found.add(client.submit(score, job, pure=False))
    finally:
        client.close()
        if workers is not None:
            workers.close()

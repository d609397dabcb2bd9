"""Rows of scores: kept over an interruption, the same from one process, from several, a cluster."""

import functools
import json
from pathlib import Path

import pytest
from neuroamp.errors import NeuroampError
from neuroamp_host.evaluation.rows import Row, score_all, whole_rows

JOBS = list(range(9))


def square(job: int) -> Row:
    return {"job": job, "square": job * job}


def refuse(job: int) -> Row:
    raise NeuroampError(f"job {job} cannot be scored.")


def is_done(job: int, rows: list[Row]) -> bool:
    return any(row["job"] == job for row in rows)


def by_job(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["job"])


def test_local_processes_and_a_cluster_find_what_one_process_finds(tmp_path: Path) -> None:
    from distributed import LocalCluster

    alone = score_all(tmp_path / "alone.jsonl", JOBS, square, is_done, processes=1)
    local = score_all(tmp_path / "local.jsonl", JOBS, square, is_done, processes=2)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        there = score_all(
            tmp_path / "there.jsonl", JOBS, square, is_done, cluster=cluster.scheduler_address
        )
    assert by_job(alone) == by_job(local) == by_job(there) == [square(job) for job in JOBS]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    score_all(path, JOBS[:4], square, is_done, processes=1)
    seen = []

    def counted(job: int) -> Row:
        seen.append(job)
        return square(job)

    rows = score_all(path, JOBS, counted, is_done, processes=1)
    assert seen == JOBS[4:]
    assert rows == [square(job) for job in JOBS] == whole_rows(path)


def test_an_error_in_a_worker_arrives_and_what_was_done_stays(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    score_all(path, JOBS[:2], square, is_done, processes=1)
    with pytest.raises(NeuroampError, match="cannot be scored"):
        score_all(path, JOBS, refuse, is_done, processes=2)
    assert whole_rows(path) == [square(job) for job in JOBS[:2]]


def test_a_torn_line_is_dropped_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(square(1)) + "\n" + json.dumps(square(2))[:9], encoding="utf-8")
    assert whole_rows(path) == [square(1)]
    assert path.read_text().endswith("\n")
    assert len(path.read_text().splitlines()) == 1
    assert whole_rows(path) == [json.loads(line) for line in path.read_text().splitlines()]


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    ask = functools.partial(score_all, tmp_path / "rows.jsonl", JOBS, square, is_done)
    with pytest.raises(NeuroampError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        ask(cluster="tcp://127.0.0.1:9")

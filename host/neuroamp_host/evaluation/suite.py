"""Scores of whole systems on the evaluation sounds: resumable, parallel, with intervals."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from neuroamp.units import level_db_spl

from neuroamp_host.evaluation.cases import (
    SAMPLE_RATE_HZ,
    SPEECH_LEVEL_DB_SPL,
    Case,
    Setting,
    cases,
)
from neuroamp_host.evaluation.metrics.fast import ReferenceEar
from neuroamp_host.evaluation.rows import Progress, Row, score_all
from neuroamp_host.evaluation.systems import (
    AT_EQUAL_LEVEL,
    NAL_R_WDRC,
    NEUROAMP,
    ORACLE,
    System,
    systems,
)

BOOTSTRAP_DRAWS = 2000
METRICS = ("haspi", "hasqi", "haaqi", "level_db_spl")
"""Columns of the tables; music has HAAQI, everything else HASPI and HASQI."""


def evaluate(
    setting: Setting,
    out: Path,
    processes: int = 2,
    progress: Progress | None = None,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Scores every system on every case; returns the summary.

    Rows already in `out` from an interrupted run of the same setting are kept. Writes
    `rows-<key>.jsonl` (a line per case) and `summary.json`. With a `cluster`'s address its workers
    score (see `rows.score_all`).
    """
    path = out / f"rows-{setting.key()}.jsonl"
    rows = score_all(
        path,
        cases(setting),
        functools.partial(_score, setting),
        _is_done,
        processes,
        cluster,
        progress,
    )
    summary = summarise(rows, setting)
    (out / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    return summary


@functools.cache
def _systems(setting: Setting) -> dict[str, System]:
    return systems(
        setting.model, setting.engine, setting.noise_reduction, peers=setting.suite == "wear"
    )


def _score(setting: Setting, case: Case) -> dict[str, Any]:
    ear = ReferenceEar(case.reference_pa, SAMPLE_RATE_HZ, case.audiogram.six_point())
    table = _systems(setting)
    outputs = {name: system(case.noisy_pa, case.audiogram) for name, system in table.items()}
    if NEUROAMP in outputs:
        # What of a difference is loudness alone: HASPI rewards level.
        louder_db = level_db_spl(outputs[NAL_R_WDRC]) - level_db_spl(outputs[NEUROAMP])
        outputs[AT_EQUAL_LEVEL] = outputs[NEUROAMP] * 10.0 ** (louder_db / 20.0)
    outputs[ORACLE] = table[NAL_R_WDRC](case.clean_pa, case.audiogram)
    scores: dict[str, dict[str, float]] = {}
    for name, output in outputs.items():
        level = {"level_db_spl": level_db_spl(output)}
        if case.is_music:
            haaqi = ear.scores(output, ("haaqi",)).haaqi
            assert haaqi is not None
            scores[name] = {"haaqi": haaqi.score, **level}
        else:
            haspi, hasqi = ear.haspi_hasqi(output)
            scores[name] = {"haspi": haspi.score, "hasqi": hasqi.score, **level}
    return {
        "condition": case.condition,
        "group": case.group,
        "clip": case.name,
        "listener": case.listener,
        "scores": scores,
    }


def _is_done(case: Case, rows: list[Row]) -> bool:
    return any((row["condition"], row["group"], row["clip"]) == case.key for row in rows)


def summarise(rows: list[dict[str, Any]], setting: Setting) -> dict[str, Any]:
    """Means per condition, group and system, and differences to NAL-R+WDRC with intervals."""
    tables = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        own = [row for row in rows if row["condition"] == condition]
        for group in (*sorted({row["group"] for row in own}), "mean"):
            chosen = [row for row in own if group in ("mean", row["group"])]
            names = list(chosen[0]["scores"])
            tables.append(
                {
                    "condition": condition,
                    "group": group,
                    "clips": len({row["clip"] for row in chosen}),
                    "systems": {name: _means(chosen, name) for name in names},
                    "minus_wdrc": {
                        name: {
                            metric: _interval(chosen, name, NAL_R_WDRC, metric)
                            for metric in _metrics(chosen)
                        }
                        for name in names
                        if name != NAL_R_WDRC
                    },
                }
            )
    return {
        "model": None if setting.model is None else setting.model.name,
        "engine": setting.engine,
        "suite": setting.suite,
        "split": setting.split,
        "noise_reduction": setting.noise_reduction,
        "speech_level_db_spl": SPEECH_LEVEL_DB_SPL,
        "tables": tables,
    }


def _metrics(rows: list[dict[str, Any]]) -> list[str]:
    return [metric for metric in METRICS if metric in rows[0]["scores"][NAL_R_WDRC]]


def _means(rows: list[dict[str, Any]], system: str) -> dict[str, float]:
    return {
        metric: round(float(np.mean([row["scores"][system][metric] for row in rows])), 4)
        for metric in _metrics(rows)
    }


def _interval(rows: Iterable[dict[str, Any]], a: str, b: str, metric: str) -> dict[str, float]:
    """Mean difference and its 95 % bootstrap interval over clips (listeners stay together)."""
    by_clip: dict[str, list[float]] = {}
    for row in rows:
        difference = row["scores"][a][metric] - row["scores"][b][metric]
        by_clip.setdefault(row["clip"], []).append(difference)
    means = np.array([np.mean(values) for values in by_clip.values()])
    rng = np.random.default_rng(0)
    draws = means[rng.integers(0, means.size, (BOOTSTRAP_DRAWS, means.size))].mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "mean": round(float(means.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }

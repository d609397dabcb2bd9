"""Scores of whole systems on the evaluation sounds: resumable, parallel, with intervals."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from neuroamp.audiogram import BISGAARD
from neuroamp.units import level_db_spl
from numpy.typing import NDArray

from neuroamp_host.corpora.mixing import evaluation_mixtures, paired_utterances
from neuroamp_host.evaluation.metrics.fast import ReferenceEar
from neuroamp_host.evaluation.systems import NAL_R_WDRC, NEUROAMP, ORACLE, systems

LISTENERS = ("N2", "N3", "N4", "S2")
SPEECH_LEVEL_DB_SPL = 65.0
SAMPLE_RATE_HZ = 16000
LONGEST_CLIP_S = 4.0
BOOTSTRAP_DRAWS = 2000


@dataclasses.dataclass(frozen=True)
class Clip:
    """One evaluation sound.

    Attributes:
        condition: the table it belongs to: 'pairs' or 'mixtures'.
        name: unique within the condition.
        clean_pa, noisy_pa: [samples], pascals at 16 kHz.
    """

    condition: str
    name: str
    clean_pa: NDArray[np.float64]
    noisy_pa: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is scored: the data, the split, the model and how it runs.

    Attributes:
        data: root of the evaluation data.
        split: 'dev' to choose by, 'test' to report.
        model: exported model file, or None for the prescriptions alone.
        engine: 'onnx', 'tflite' or 'native'.
        noise_reduction: strength, 0 to 1.
        mixtures: number of mixtures at -5 to 15 dB SNR.
        pairs: number of VoiceBank+DEMAND pairs at most.
        listeners: names of standard audiograms.
    """

    data: Path
    split: str
    model: Path | None
    engine: str
    noise_reduction: float = 1.0
    mixtures: int = 60
    pairs: int = 62
    listeners: tuple[str, ...] = LISTENERS

    def key(self) -> str:
        """A name for this setting's results: changes with the setting and the model's bytes."""
        content = {**dataclasses.asdict(self), "data": None, "model": None}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
        if self.model is not None:
            digest.update(self.model.read_bytes())
        return digest.hexdigest()[:16]


def clips(setting: Setting) -> list[Clip]:
    """The evaluation sounds, speech at 65 dB SPL, at most 4 s each, the same every time."""
    longest = int(LONGEST_CLIP_S * SAMPLE_RATE_HZ)
    found = []
    for pair in paired_utterances(setting.data, setting.split)[: setting.pairs]:
        clean = np.asarray(pair.clean_pa, dtype=np.float64)[:longest]
        noisy = np.asarray(pair.noisy_pa, dtype=np.float64)[:longest]
        gain = 10.0 ** ((SPEECH_LEVEL_DB_SPL - level_db_spl(clean)) / 20.0)
        found.append(Clip("pairs", pair.name, clean * gain, noisy * gain))
    for index, mixture in enumerate(
        evaluation_mixtures(setting.data, setting.split, setting.mixtures)
    ):
        clean = np.asarray(mixture.clean_pa, dtype=np.float64)
        gain = 10.0 ** ((SPEECH_LEVEL_DB_SPL - level_db_spl(clean)) / 20.0)
        noisy = np.asarray(mixture.noisy_pa, dtype=np.float64)
        found.append(Clip("mixtures", f"{index:03d}", clean * gain, noisy * gain))
    return found


def evaluate(
    setting: Setting,
    out: Path,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Scores every system on every clip for every listener; returns the summary.

    Rows already in `out` from an interrupted run of the same setting are kept. Writes
    `rows-<key>.jsonl` (a line per clip and listener) and `summary.json`.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"rows-{setting.key()}.jsonl"
    rows = _whole_rows(path)
    done = {(row["condition"], row["clip"], row["listener"]) for row in rows}
    jobs = [
        (clip, listener)
        for clip in clips(setting)
        for listener in setting.listeners
        if (clip.condition, clip.name, listener) not in done
    ]
    total = len(jobs) + len(rows)
    # A worker per core: the engines and the numeric libraries stay on one thread each.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with (
        path.open("a", encoding="utf-8") as file,
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        for row in pool.map(functools.partial(_score, setting), jobs, chunksize=4):
            file.write(json.dumps(row) + "\n")
            file.flush()
            rows.append(row)
            if progress is not None:
                progress(len(rows), total)
    summary = summarise(rows, setting)
    (out / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    return summary


@functools.cache
def _systems(setting: Setting) -> dict[str, Any]:
    return systems(setting.model, setting.engine, setting.noise_reduction)


def _score(setting: Setting, job: tuple[Clip, str]) -> dict[str, Any]:
    clip, listener = job
    audiogram = BISGAARD[listener]
    ear = ReferenceEar(clip.clean_pa, SAMPLE_RATE_HZ, audiogram.six_point())
    table = _systems(setting)
    outputs = {name: system(clip.noisy_pa, audiogram) for name, system in table.items()}
    outputs[ORACLE] = table[NAL_R_WDRC](clip.clean_pa, audiogram)
    scores = {}
    for name, output in outputs.items():
        haspi, hasqi = ear.haspi_hasqi(output)
        scores[name] = {
            "haspi": haspi.score,
            "hasqi": hasqi.score,
            "level_db_spl": level_db_spl(output),
        }
    return {
        "condition": clip.condition,
        "clip": clip.name,
        "listener": listener,
        "scores": scores,
    }


def _whole_rows(path: Path) -> list[dict[str, Any]]:
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


def summarise(rows: list[dict[str, Any]], setting: Setting) -> dict[str, Any]:
    """Means per condition, listener and system, and differences to NAL-R+WDRC with intervals."""
    tables = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        own = [row for row in rows if row["condition"] == condition]
        for listener in (*setting.listeners, "mean"):
            chosen = [row for row in own if listener in ("mean", row["listener"])]
            names = chosen[0]["scores"]
            tables.append(
                {
                    "condition": condition,
                    "listener": listener,
                    "clips": len({row["clip"] for row in chosen}),
                    "systems": {name: _means(chosen, name) for name in names},
                    "neuroamp_minus_wdrc": (
                        {
                            metric: _interval(chosen, NEUROAMP, NAL_R_WDRC, metric)
                            for metric in ("haspi", "hasqi", "level_db_spl")
                        }
                        if NEUROAMP in names
                        else None
                    ),
                }
            )
    return {
        "model": None if setting.model is None else setting.model.name,
        "engine": setting.engine,
        "split": setting.split,
        "noise_reduction": setting.noise_reduction,
        "speech_level_db_spl": SPEECH_LEVEL_DB_SPL,
        "tables": tables,
    }


def _means(rows: list[dict[str, Any]], system: str) -> dict[str, float]:
    return {
        metric: round(float(np.mean([row["scores"][system][metric] for row in rows])), 4)
        for metric in ("haspi", "hasqi", "level_db_spl")
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

"""Scores training runs on the dev split, each with one or more gain ranges, as rows of a table.

    python tools/score_runs.py --data ../shared/data runs/wear:-20:6 runs/wear:-14:4 \\
        models/wear/wear.pt:-10.5:2.5

A candidate is a run's folder or a checkpoint, with the range in dB that `neuroamp export
--gain-range` would give it. Every candidate is exported as the core's quantised file and runs in
the core on the same sounds: dev pairs for N2, N3, N4 and S2, dev mixtures for N3 and S2, the wanted
sound at 65 dB SPL, and what the suite `wear` has beside them: the pairs' clean speech at 50 dB SPL,
and music. Printed are HASPI, HASQI and output level, of music HAAQI and level, each as the
difference to NAL-R+WDRC on the same sound, beside how a run differs from the first in its config.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.engines.native import NativeChain
from neuroamp.errors import NeuroampError
from neuroamp.profile import Profile
from neuroamp.units import level_db_spl
from neuroamp_export.core_format import FloatWeights, write_core_model
from neuroamp_host.evaluation.cases import (
    SAMPLE_RATE_HZ,
    Case,
    Setting,
    cases,
    music,
    soft_clean_speech,
)
from neuroamp_host.evaluation.metrics.fast import ReferenceEar
from neuroamp_host.evaluation.systems import through
from neuroamp_host.prescription.fit import make_fitting
from neuroamp_host.training import checkpoint

MIXTURE_LISTENERS = ("N3", "S2")
CONDITIONS = ("pairs", "mixtures", "soft clean speech", "music")
Scores = tuple[float, ...]
"""HASPI and HASQI, or of music HAAQI; then the output's level, dB SPL."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A checkpoint with a gain range, dB, and the core's file made of them."""

    path: Path
    low_db: float
    high_db: float
    model: Path

    @property
    def name(self) -> str:
        return f"{self.path.parent.name} {self.low_db:+g}..{self.high_db:+g} dB"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="root of the evaluation data")
    parser.add_argument("--pairs", type=int, default=6, help="dev pairs at most")
    parser.add_argument("--mixtures", type=int, default=12, help="dev mixtures")
    parser.add_argument("--music", type=int, default=16, help="clips of dev music")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    parser.add_argument("candidates", nargs="+", metavar="RUN:MIN:MAX")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        candidates = [
            _candidate(text, Path(folder, f"{index}.nam"))
            for index, text in enumerate(options.candidates)
        ]
        setting = Setting(options.data, "dev", None, "native", pairs=options.pairs, mixtures=0)
        mixed = dataclasses.replace(
            setting, pairs=0, mixtures=options.mixtures, listeners=MIXTURE_LISTENERS
        )
        played = dataclasses.replace(setting, mixtures=options.music)
        try:
            sounds = cases(setting) + cases(mixed) + soft_clean_speech(setting) + music(played)
        except NeuroampError as error:
            raise SystemExit(str(error)) from None
        score = functools.partial(_differences, [c.model for c in candidates])
        with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(score, sounds))
    print(f"| run | {' | '.join(CONDITIONS)} | config |\n|{'---|' * (len(CONDITIONS) + 2)}")
    for index, candidate in enumerate(candidates):
        columns = [
            _column(
                [
                    row[index]
                    for row, case in zip(rows, sounds, strict=True)
                    if case.condition == condition
                ]
            )
            for condition in CONDITIONS
        ]
        config = _config_difference(candidates[0].path, candidate.path)
        print(f"| {candidate.name} | {' | '.join(columns)} | {config} |")


def _candidate(text: str, model: Path) -> Candidate:
    try:
        path, low, high = text.rsplit(":", 2)
        low_db, high_db = float(low), float(high)
    except ValueError:
        raise SystemExit(f"{text} is not RUN:MIN:MAX, for example runs/wear:-14:4.") from None
    found = Path(path, "best.pt") if Path(path).is_dir() else Path(path)
    try:
        net = checkpoint.load_net(found)
    except NeuroampError as error:
        raise SystemExit(str(error)) from None
    profile = Profile.from_dict(
        {**net.profile.to_dict(), "gain_min_db": low_db, "gain_max_db": high_db}
    )
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    write_core_model(
        model, "candidate", "candidate", profile, FloatWeights.from_state_dict(weights)
    )
    return Candidate(found, low_db, high_db, model)


def _differences(models: list[Path], case: Case) -> list[Scores]:
    """The scores of each model's output, each minus NAL-R+WDRC's."""
    ear = ReferenceEar(case.reference_pa, SAMPLE_RATE_HZ, case.audiogram.six_point())
    fitting = make_fitting(case.audiogram, Ear.LEFT, "nal-r")
    scores = []
    for model, strength in [(models[0], 0.0), *((model, 1.0) for model in models)]:
        chain = NativeChain(model, fitting.replace(noise_reduction=strength))
        output = through(chain, chain.profile, case.noisy_pa)
        results = [ear.haaqi(output)] if case.is_music else ear.haspi_hasqi(output)
        scores.append(np.array([*(result.score for result in results), level_db_spl(output)]))
    prescribed, *rest = scores
    return [tuple(float(value) for value in row - prescribed) for row in rest]


def _column(differences: list[Scores]) -> str:
    if not differences:
        return ""
    *metrics, level = np.mean(differences, axis=0)
    return " / ".join(f"{value:+.3f}" for value in metrics) + f" / {level:+.1f} dB"


def _config_difference(first: Path, other: Path) -> str:
    """What of the second's config is not the first's."""
    configs = [checkpoint.load(path)["config"] for path in (first, other)]
    changed: Iterator[str] = (
        f"{key} {json.dumps(configs[1][key])}"
        for key in configs[1]
        if configs[0].get(key) != configs[1][key]
    )
    return ", ".join(changed)


if __name__ == "__main__":
    main()

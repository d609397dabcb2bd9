"""Scores of the paper's nets beside NAL-R+WDRC, and of Denoising NeuroAMP beside the two stages.

Both write rows of JSON that an interrupted run goes on from and that every table and figure of
the same sounds and models shares.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from neuroamp.errors import NeuroampError
from neuroamp.released import find_model

from neuroamp_host.enhancement.enhance import load_enhancer
from neuroamp_host.evaluation.cases import SAMPLE_RATE_HZ, Case, Setting, cases
from neuroamp_host.evaluation.metrics.fast import ReferenceEar
from neuroamp_host.evaluation.paper.published import ARCHITECTURES
from neuroamp_host.evaluation.paper.sounds import Place, Sounds, make_sound
from neuroamp_host.evaluation.rows import Progress, Row, score_all
from neuroamp_host.evaluation.systems import (
    NAL_R,
    NAL_R_WDRC,
    NEUROAMP,
    UNPROCESSED,
    Sound,
    System,
    systems,
)

ENGINE = "onnx"
DENOISING = "Denoising NeuroAMP"
DENOISING_AT_ONE = "Denoising NeuroAMP, noise reduction 1"
WEARABLE = "wearable NeuroAMP (4 ms)"
TWO_STAGES = {
    "LSTM enhancer, then NAL-R+WDRC": "enhancer-lstm",
    "FCN enhancer, then NAL-R+WDRC": "enhancer-fcn",
}
DENOISING_STRENGTH = 0.7
"""Noise reduction of the denoising net, chosen on the dev split among 0.25, 0.4, 0.55, 0.7 and 1 by
the mean of HASPI and HASQI over pairs and mixtures."""


@dataclasses.dataclass(frozen=True)
class Run:
    """How scores are computed.

    Attributes:
        sounds: the test sounds.
        folder: of the rows.
        processes, cluster: see `rows.score_all`.
        progress: told what is being scored, how many rows there are, and of how many.
    """

    sounds: Sounds
    folder: Path
    processes: int = 2
    cluster: str | None = None
    progress: Progress | None = None


def net_name(architecture: str, basic: bool) -> str:
    """Name of the released net of an architecture."""
    return f"paper-{architecture.lower()}{'-basic' if basic else ''}"


def released(basic: bool) -> dict[str, Path]:
    """Model files by architecture, of those that are there."""
    found = {}
    for architecture in ARCHITECTURES:
        try:
            found[architecture] = find_model(net_name(architecture, basic), ENGINE)
        except NeuroampError:
            continue
    return found


def fidelity_rows(run: Run, name: str, models: Mapping[str, Path]) -> list[Row]:
    """Scores of NAL-R+WDRC and of each architecture on every sound of one of the paper's sets."""
    if not models:
        return []
    files = tuple(sorted(models.items()))
    key = _key({"sounds": dataclasses.asdict(run.sounds), "set": name}, dict(files))
    return score_all(
        run.folder / f"{name.lower()}-{key}.jsonl",
        run.sounds.places(name),
        functools.partial(_score_place, run.sounds, files),
        lambda place, rows: any(
            (row["condition"], row["index"]) == (place.condition, place.index) for row in rows
        ),
        run.processes,
        run.cluster,
        run.progress,
    )


def denoising_rows(run: Run) -> list[Row]:
    """Scores of the systems of Table VI on the noisy pairs, for four standard listeners.

    Raises:
        NeuroampError: the data have no pairs, or the denoising net is not released.
    """
    root = dict(run.sounds.sets).get("VCTK", run.sounds.data)
    setting = Setting(root, run.sounds.split, find_model("paper", ENGINE), ENGINE, mixtures=0)
    pairs = cases(setting)
    if not pairs:
        raise NeuroampError(
            f"{root} has no pairs of noisy and clean speech in the split {setting.split!r}; give "
            "VoiceBank+DEMAND with --sets VCTK=FOLDER."
        )
    assert setting.model is not None
    wearable = find_model("wear", "native")
    key = _key({"pairs": str(root), "split": setting.split}, {"p": setting.model, "w": wearable})
    return score_all(
        run.folder / f"denoising-{key}.jsonl",
        pairs,
        functools.partial(_score_pair, setting.model, wearable),
        lambda case, rows: any((row["listener"], row["clip"]) == case.key[1:] for row in rows),
        run.processes,
        run.cluster,
        run.progress,
    )


def _key(content: dict[str, object], models: Mapping[str, Path]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    for name, path in models.items():
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _score_place(sounds: Sounds, models: tuple[tuple[str, Path], ...], place: Place) -> Row:
    case, snr_db = make_sound(sounds, place)
    nets = _nets(models)
    heard = {name: nets[name](case.noisy_pa, case.audiogram) for name in nets}
    return {
        "condition": place.condition,
        "index": place.index,
        "listener": case.listener,
        "snr_db": snr_db,
        "scores": _scores(case, heard),
    }


def _score_pair(denoising: Path, wearable: Path, case: Case) -> Row:
    table = _denoising_systems(denoising, wearable)
    heard = {name: system(case.noisy_pa, case.audiogram) for name, system in table.items()}
    return {"clip": case.name, "listener": case.listener, "scores": _scores(case, heard)}


def _scores(case: Case, heard: Mapping[str, Sound]) -> dict[str, dict[str, float]]:
    ear = ReferenceEar(case.reference_pa, SAMPLE_RATE_HZ, case.audiogram.six_point())
    scores: dict[str, dict[str, float]] = {}
    for name, sound in heard.items():
        if case.is_music:
            scores[name] = {"HAAQI": ear.haaqi(sound).score}
        else:
            haspi, hasqi = ear.haspi_hasqi(sound)
            scores[name] = {"HASPI": haspi.score, "HASQI": hasqi.score}
    return scores


@functools.lru_cache(maxsize=2)
def _nets(models: tuple[tuple[str, Path], ...]) -> dict[str, System]:
    """The prescription in the paper's profile, and the nets."""
    table: dict[str, System] = {}
    for name, path in models:
        own = systems(path, ENGINE)
        table.setdefault(NAL_R_WDRC, own[NAL_R_WDRC])
        table[name] = own[NEUROAMP]
    return table


@functools.lru_cache(maxsize=1)
def _denoising_systems(denoising: Path, wearable: Path) -> dict[str, System]:
    whole = systems(denoising, ENGINE)
    prescription = whole[NAL_R_WDRC]
    table = {name: whole[name] for name in (UNPROCESSED, NAL_R, NAL_R_WDRC)}
    for name, enhancer in TWO_STAGES.items():
        table[name] = _two_stage(enhancer, prescription)
    table[DENOISING] = systems(denoising, ENGINE, DENOISING_STRENGTH)[NEUROAMP]
    table[DENOISING_AT_ONE] = whole[NEUROAMP]
    table[WEARABLE] = systems(wearable, "native")[NEUROAMP]
    return table


def _two_stage(enhancer: str, prescription: System) -> System:
    stage = load_enhancer(enhancer)
    return lambda sound_pa, audiogram: prescription(stage.enhance(sound_pa), audiogram)

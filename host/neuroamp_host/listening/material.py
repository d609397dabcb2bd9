"""The sounds of a listening test: each through two systems, then through a hearing loss."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from neuroamp.audiogram import BISGAARD
from neuroamp.errors import NeuroampError
from neuroamp.units import db_spl_from_pascal
from numpy.typing import NDArray

from neuroamp_host.evaluation.cases import SAMPLE_RATE_HZ
from neuroamp_host.evaluation.paper.sounds import Place, Sounds, make_sound
from neuroamp_host.evaluation.systems import NAL_R_WDRC, NEUROAMP, systems
from neuroamp_host.listening import hearing_loss

PLAN = "test.json"
PAIRS = (
    ("clean speech", "VCTK", "clean", 10),
    ("noisy speech", "VCTK", "noisy", 10),
    ("speech enhanced (FCN)", "VCTK", "enhanced (FCN)", 10),
    ("speech enhanced (LSTM)", "VCTK", "enhanced (LSTM)", 10),
    ("clean music", "MUSDB18-HQ", "clean", 5),
    ("noisy music", "MUSDB18-HQ", "noisy", 5),
)
"""Category, set, condition and number of pairs (the paper, IV-D)."""

COMPARED = (NAL_R_WDRC, NEUROAMP)
PEAK = 0.9


@dataclasses.dataclass(frozen=True)
class Pair:
    """One sound through both systems.

    Attributes:
        category: of `PAIRS`.
        clip: its name.
        files: of each system's sound in the test's folder; their names say nothing.
    """

    category: str
    clip: str
    files: dict[str, str]


def prepare(
    folder: Path,
    sounds: Sounds,
    model: Path,
    engine: str,
    listener: str,
    share: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Pair]:
    """Makes a test's sounds; all have one gain, so that differences in level are kept.

    Args:
        folder: new or empty, for the test.
        sounds: where the clips come from.
        model: exported net.
        engine: that runs it.
        listener: standard audiogram whose loss is simulated.
        share: of the paper's number of pairs, at least one of each category.
        progress: told how many pairs of how many are made.

    Raises:
        NeuroampError: the folder holds something, the listener is unknown, data are missing.
    """
    if folder.exists() and any(folder.iterdir()):
        raise NeuroampError(f"the folder {folder} is not empty; give a new one for a new test.")
    if listener not in BISGAARD:
        raise NeuroampError(
            f"there is no standard audiogram {listener!r}; choose from {', '.join(BISGAARD)}."
        )
    audiogram = BISGAARD[listener]
    table = systems(model, engine)
    made: list[tuple[Pair, dict[str, NDArray[np.float64]]]] = []
    wanted = [
        (category, place)
        for category, name, condition, count in PAIRS
        for place in _places(sounds, name, condition, max(1, round(share * count)))
    ]
    for category, place in wanted:
        case, _ = make_sound(sounds, place)
        heard = {
            system: hearing_loss.simulate_hearing_loss(
                table[system](case.noisy_pa, audiogram), SAMPLE_RATE_HZ, audiogram
            )
            for system in COMPARED
        }
        files = {system: f"{secrets.token_hex(8)}.wav" for system in COMPARED}
        made.append((Pair(category, f"{place.name} {case.name}", files), heard))
        if progress is not None:
            progress(len(made), len(wanted))
    loudest = max(float(np.abs(sound).max()) for _, heard in made for sound in heard.values())
    folder.mkdir(parents=True, exist_ok=True)
    for pair, heard in made:
        for system, sound in heard.items():
            soundfile.write(
                folder / pair.files[system], sound * PEAK / loudest, hearing_loss.SAMPLE_RATE_HZ
            )
    content = {
        "listener": listener,
        "model": model.name,
        # A sine of full scale has this level at the simulated listener's place.
        "full_scale_db_spl": round(float(db_spl_from_pascal(loudest / PEAK / np.sqrt(2.0))), 1),
        "pairs": [dataclasses.asdict(pair) for pair, _ in made],
    }
    (folder / PLAN).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return [pair for pair, _ in made]


def load(folder: Path) -> list[Pair]:
    """The pairs of a test that was made.

    Raises:
        NeuroampError: the folder holds no whole test.
    """
    try:
        content = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        pairs = [Pair(p["category"], p["clip"], dict(p["files"])) for p in content["pairs"]]
    except (OSError, ValueError, KeyError, TypeError):
        pairs = []
    whole = all(
        set(pair.files) == set(COMPARED)
        and all((folder / Path(name).name).is_file() for name in pair.files.values())
        for pair in pairs
    )
    if not pairs or not whole:
        raise NeuroampError(
            f"{folder} holds no whole listening test; make one with `neuroamp listening prepare`."
        )
    return pairs


def _places(sounds: Sounds, name: str, condition: str, count: int) -> list[Place]:
    found = [place for place in sounds.places(name) if place.condition == condition]
    return found[:count]

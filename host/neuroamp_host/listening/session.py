"""One person's test: a random order of pairs and of sides, and the answers, kept as they come."""

from __future__ import annotations

import csv
import re
import secrets
import threading
from pathlib import Path

import numpy as np
from neuroamp.errors import NeuroampError

from neuroamp_host.listening.material import COMPARED, Pair, load

RESULTS = "results.csv"
COLUMNS = ("participant", "trial", "category", "clip", "a", "b", "answer", "preferred")
ANSWERS = ("a", "b", "similar")
_NAME = re.compile(r"[\w .-]{1,40}")


class ListeningTest:
    """The test in a folder, for any number of participants, one after another or at once.

    Double blind: neither the page nor who watches over the test learns what a sound is. Sides and
    order are drawn anew for each participant; the sounds' addresses are random.
    """

    def __init__(self, folder: Path, seed: int | None = None) -> None:
        """Opens the test; `seed` repeats the draws, for tests.

        Raises:
            NeuroampError: see `material.load`; or the results are not this test's.
        """
        self._folder = folder
        self._pairs = load(folder)
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._sounds: dict[str, Path] = {}
        if not (folder / RESULTS).exists():
            with (folder / RESULTS).open("x", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(COLUMNS)

    def begin(self, participant: str) -> str:
        """Begins a participant's test; returns the session's key.

        Raises:
            NeuroampError: the name is unfit, or was there before.
        """
        name = participant.strip()
        if not _NAME.fullmatch(name):
            raise NeuroampError(
                "the participant's code must have 1 to 40 letters, digits, spaces, dots or hyphens;"
                " correct it."
            )
        with self._lock:
            if any(name == own.participant for own in self._sessions.values()) or any(
                row["participant"] == name for row in read_results(self._folder)
            ):
                raise NeuroampError(f"the code {name!r} was used before; choose another.")
            key = secrets.token_urlsafe(16)
            order = self._rng.permutation(len(self._pairs))
            trials = [
                _Trial(self._pairs[index], tuple(self._rng.permutation(COMPARED)))
                for index in order
            ]
            for trial in trials:
                for side, system in zip("ab", trial.sides, strict=True):
                    trial.keys[side] = secrets.token_urlsafe(12)
                    self._sounds[trial.keys[side]] = self._folder / trial.pair.files[system]
            self._sessions[key] = _Session(name, trials)
            return key

    def trial(self, key: str) -> dict[str, object]:
        """What the page shows next: number, of how many, the keys of both sounds; or 'done'.

        Raises:
            NeuroampError: there is no such session.
        """
        with self._lock:
            session = self._session(key)
            total = len(session.trials)
            if session.answered == total:
                return {"done": True, "total": total}
            return {
                "done": False,
                "number": session.answered + 1,
                "total": total,
                **session.trials[session.answered].keys,
            }

    def answer(self, key: str, number: int, answer: str) -> None:
        """Keeps an answer; one that was given before, sent again, changes nothing.

        Raises:
            NeuroampError: there is no such session or answer, or it is another trial's turn.
        """
        if answer not in ANSWERS:
            raise NeuroampError(f"the answer is {answer!r} but must be a, b or similar.")
        with self._lock:
            session = self._session(key)
            if number <= session.answered:
                return
            if number != session.answered + 1 or number > len(session.trials):
                raise NeuroampError(
                    f"an answer came for pair {number} but it is the turn of pair "
                    f"{session.answered + 1}; load the page again."
                )
            trial = session.trials[session.answered]
            sides = dict(zip("ab", trial.sides, strict=True))
            with (self._folder / RESULTS).open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(
                    [
                        session.participant,
                        number,
                        trial.pair.category,
                        trial.pair.clip,
                        sides["a"],
                        sides["b"],
                        answer,
                        sides.get(answer, "similar"),
                    ]
                )
            session.answered += 1

    def sound(self, key: str) -> Path:
        """The file of a sound that a trial names.

        Raises:
            NeuroampError: there is no such sound.
        """
        if key not in self._sounds:
            raise NeuroampError("there is no such sound; load the page again.")
        return self._sounds[key]

    def _session(self, key: str) -> _Session:
        if key not in self._sessions:
            raise NeuroampError("this test is not under way any more; load the page again.")
        return self._sessions[key]


class _Trial:
    def __init__(self, pair: Pair, sides: tuple[str, ...]) -> None:
        self.pair = pair
        self.sides = sides
        self.keys: dict[str, str] = {}


class _Session:
    def __init__(self, participant: str, trials: list[_Trial]) -> None:
        self.participant = participant
        self.trials = trials
        self.answered = 0


def read_results(folder: Path) -> list[dict[str, str]]:
    """Every answer so far.

    Raises:
        NeuroampError: there are no results, or the file has other columns.
    """
    path = folder / RESULTS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = tuple(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error):
        columns, rows = (), []
    if columns != COLUMNS:
        raise NeuroampError(
            f"{path} is missing or has other columns than {', '.join(COLUMNS)}; give the folder "
            "of a listening test that was served."
        )
    return rows

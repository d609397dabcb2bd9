"""What a device keeps: wherever the power goes, whole settings are read, the old or the new."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import ModelState, Refusal, Status
from neuroamp.link.dispatcher import unfitted
from neuroamp.link.models import ModelSlots
from neuroamp.link.records import Calibration, FittingRecord
from neuroamp.link.settings import (
    FolderStorage,
    MemoryStorage,
    Settings,
    StoreFailedError,
    StoreName,
)


def record(ear: Ear, gain_db: float) -> bytes:
    return FittingRecord(unfitted(ear).replace(gain_65_db=(gain_db,) * 11)).encode()


def calibration(ear: Ear, ceiling: float) -> bytes:
    return Calibration(ear, 120.0, 115.0, ceiling).encode()


OLD = {Ear.LEFT: record(Ear.LEFT, 10.0), Ear.RIGHT: record(Ear.RIGHT, 20.0)}
NEW = {Ear.LEFT: record(Ear.LEFT, 30.0), Ear.RIGHT: record(Ear.RIGHT, 40.0)}


class PowerCut(BaseException):
    """The power goes: nothing after it happens."""


class Power:
    """Cuts the power in the middle of what goes to the disk: after so many bytes and steps."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left = 10**9
        self._write, self._fsync, self._replace = os.write, os.fsync, Path.replace
        patch.setattr(os, "write", self.write)
        patch.setattr(os, "fsync", lambda file: self._step(self._fsync, file))
        patch.setattr(Path, "replace", lambda path, to: self._step(self._replace, path, to))

    def write(self, file: int, data: bytes) -> int:
        written = self._write(file, data[: self.left])
        self._use(len(data))
        return written

    def _step(self, action: Callable[..., Any], *arguments: Any) -> Any:
        self._use(1)
        return action(*arguments)

    def _use(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise PowerCut


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for thousands of writes: they are counted, but no disk has to turn for them."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def stored(settings: Settings) -> dict[Ear, bytes | None]:
    return {ear: settings.fitting(ear) for ear in Ear}


@pytest.fixture
def old(folder: Path) -> Path:
    settings = Settings(FolderStorage(folder))
    settings.store_fittings(OLD)
    settings.store_calibration(Ear.LEFT, calibration(Ear.LEFT, 100.0))
    return folder


def lengths() -> Iterator[int]:
    """Bytes and steps that are done before the power goes."""
    return itertools.count()


def test_a_fitting_s_write_cut_anywhere_leaves_whole_settings(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set()
    for done in lengths():
        for path in old.iterdir():  # each cut finds the same memory
            path.unlink()
        Settings(FolderStorage(old)).store_fittings(OLD)
        settings = Settings(FolderStorage(old))
        with monkeypatch.context() as patch:
            power = Power(patch)
            power.left = done
            try:
                settings.store_fittings(NEW)
                finished = True
            except PowerCut:
                finished = False
        after = Settings(FolderStorage(old))
        assert stored(after) in (OLD, NEW), f"cut after {done}"
        assert after.damaged == []
        outcomes.add(stored(after) == NEW)
        if finished:
            assert stored(after) == NEW
            break
        # And the next write works, whatever was left behind.
        after.store_fittings({Ear.LEFT: NEW[Ear.LEFT]})
        assert stored(Settings(FolderStorage(old)))[Ear.LEFT] == NEW[Ear.LEFT]
    assert outcomes == {False, True}
    assert done > 640


def test_a_calibration_s_write_cut_anywhere_leaves_whole_settings(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = calibration(Ear.LEFT, 90.0)
    for done in lengths():
        before = Settings(FolderStorage(old)).calibration(Ear.LEFT)
        settings = Settings(FolderStorage(old))
        with monkeypatch.context() as patch:
            power = Power(patch)
            power.left = done
            try:
                settings.store_calibration(Ear.LEFT, new)
                finished = True
            except PowerCut:
                finished = False
        after = Settings(FolderStorage(old))
        assert after.calibration(Ear.LEFT) in (before, new)
        assert stored(after) == OLD
        if finished:
            break
    assert done > 128


@pytest.mark.parametrize("damage", ["cut", "flipped", "zeros"])
def test_a_torn_slot_never_counts(old: Path, damage: str) -> None:
    """Even where a disk loses bytes of the newest slot after its write, the older one is there."""
    Settings(FolderStorage(old)).store_fittings(NEW)
    newest = max(old.glob("fittings.*"), key=lambda path: path.read_bytes()[8:12])
    whole = newest.read_bytes()
    for at in range(len(whole)):
        if damage == "cut":
            newest.write_bytes(whole[:at])
        elif damage == "flipped":
            newest.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        else:
            newest.write_bytes(whole[:at] + bytes(len(whole) - at))
        after = Settings(FolderStorage(old))
        if newest.read_bytes() == whole:
            continue
        assert stored(after) == OLD, at
        assert after.damaged == [StoreName.FITTINGS]


def test_the_newer_slot_counts_also_where_the_number_starts_again(folder: Path) -> None:
    storage = FolderStorage(folder)
    settings = Settings(storage)
    settings._fittings.number = 2**32 - 2
    for gain in (1.0, 2.0, 3.0):
        settings.store_fittings({Ear.LEFT: record(Ear.LEFT, gain)})
        again = Settings(storage)
        assert again.fitting(Ear.LEFT) == record(Ear.LEFT, gain)
    assert again.number == 1


def test_ears_calibration_and_model_are_kept_apart(folder: Path) -> None:
    settings = Settings(FolderStorage(folder))
    settings.store_fittings({Ear.RIGHT: OLD[Ear.RIGHT]})
    settings.store_model_slot(1)
    settings.store_calibration(Ear.RIGHT, calibration(Ear.RIGHT, 99.0))
    settings.store_fittings({Ear.LEFT: OLD[Ear.LEFT]})
    again = Settings(FolderStorage(folder))
    assert (stored(again), again.model_slot, again.number) == (OLD, 1, 3)
    again.forget(StoreName.FITTINGS)
    assert stored(again) == dict.fromkeys(Ear)
    assert again.model_slot == 0
    assert again.calibration(Ear.RIGHT) == calibration(Ear.RIGHT, 99.0)
    again.forget(StoreName.CALIBRATION)
    assert Settings(FolderStorage(folder)).calibration(Ear.RIGHT) is None


def test_a_record_in_the_other_ear_s_place_is_not_read(folder: Path) -> None:
    settings = Settings(FolderStorage(folder))
    settings.store_fittings({Ear.LEFT: OLD[Ear.RIGHT]})
    assert settings.fitting(Ear.LEFT) is None


@pytest.mark.parametrize("fault", ["full", "lost"])
def test_a_write_that_fails_changes_nothing_and_is_told(
    old: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    settings = Settings(FolderStorage(old))
    if fault == "full":

        def full(file: int, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
    else:
        read = FolderStorage.read
        monkeypatch.setattr(FolderStorage, "read", lambda s, n: (read(s, n) or b"")[:-1])
    with pytest.raises(StoreFailedError):
        settings.store_fittings(NEW)
    assert stored(settings) == OLD
    monkeypatch.undo()
    assert stored(Settings(FolderStorage(old))) == OLD
    assert not list(old.glob(".*"))


def test_a_folder_that_cannot_be_used_is_refused(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(NeuroampError, match=r"settings folder .* cannot be used"):
        FolderStorage(folder / "file")


def test_files_that_are_something_else_are_no_settings(folder: Path) -> None:
    for index in range(2):
        (folder / f"fittings.{index}").write_bytes(os.urandom(640))
        (folder / f"calibration.{index}").write_bytes(b"")
    settings = Settings(FolderStorage(folder))
    assert stored(settings) == dict.fromkeys(Ear)
    assert settings.damaged == [StoreName.FITTINGS, StoreName.CALIBRATION]
    settings.store_fittings(OLD)
    assert stored(Settings(FolderStorage(folder))) == OLD


def test_a_model_goes_into_the_slot_that_is_not_in_use() -> None:
    slots = ModelSlots(MemoryStorage(), 1000)
    slots.active = 0
    assert slots.begin(100, bytes(32)) == (1, 0, True)
    slots.write(0, bytes(96))
    assert slots.begin(100, bytes(32)) == (1, 96, False)
    assert slots.info(1).state is ModelState.UPLOADING
    assert slots.begin(100, bytes(31) + b"x") == (1, 0, True)
    with pytest.raises(Refusal) as refusal:
        slots.begin(1001, bytes(32))
    assert refusal.value.status is Status.BAD_MODEL

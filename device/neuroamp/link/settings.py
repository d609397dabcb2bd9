"""What a device keeps: two stores, fittings and calibration, each in two slots.

A write goes into the slot that does not count, becomes whole before it has its name, and is read
back; at the start the newer whole slot counts. Wherever the power goes, what is read afterwards is
the old settings or the new ones. The bytes of a slot are those of docs/serial-protocol.md, the same
on a microcontroller's flash as in the files of a Raspberry Pi.
"""

from __future__ import annotations

import contextlib
import enum
import os
import struct
import zlib
from pathlib import Path
from typing import Protocol

from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import CALIBRATION_BYTES, FITTING_BYTES, Refusal
from neuroamp.link.records import Calibration, FittingRecord

MAGIC = b"NAst"
FORMAT = 1
HEADER = struct.Struct("<4sHHII12xI")
SEALED_HEADER_BYTES = HEADER.size - 4
SLOTS = (0, 1)
ORDER = (Ear.LEFT, Ear.RIGHT)
FITTINGS_TAIL_BYTES = 16


class StoreName(enum.IntEnum):
    """The stores; they are never written together."""

    FITTINGS = 0
    CALIBRATION = 1


class StoreFailedError(Exception):
    """The memory did not take a write; what was stored before is still there."""


class Storage(Protocol):
    """Where named pieces of bytes are kept."""

    lasting: bool
    """Whether they outlast a restart."""

    def read(self, name: str) -> bytes | None:
        """The bytes of that name; None if there are none, or they cannot be read."""

    def write(self, name: str, data: bytes) -> None:
        """Puts bytes under a name: all of them, or those before stay.

        Raises:
            OSError: it did not work.
        """

    def remove(self, name: str) -> None:
        """Takes a name away; one that is not there is no mistake.

        Raises:
            OSError: it did not work.
        """


class MemoryStorage:
    """Kept until the program ends; for trying a device out, and for tests."""

    lasting = False

    def __init__(self) -> None:
        self._pieces: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self._pieces.get(name)

    def write(self, name: str, data: bytes) -> None:
        self._pieces[name] = data

    def remove(self, name: str) -> None:
        self._pieces.pop(name, None)


class FolderStorage:
    """Files in a folder, each replaced in one step and on the disk before a write returns."""

    lasting = True

    def __init__(self, folder: str | Path) -> None:
        """Makes the folder if need be.

        Raises:
            NeuroampError: it cannot be made, or not be written to.
        """
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sync_folder()
            writable = os.access(self._folder, os.W_OK)
        except OSError as error:
            raise NeuroampError(
                f"the settings folder {folder} cannot be used ({error.strerror}); give another."
            ) from None
        if not writable:
            raise NeuroampError(
                f"the settings folder {folder} cannot be written to; give another or change its "
                "permissions."
            )

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, data: bytes) -> None:
        part = self._folder / f".{name}.part"
        try:
            file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                left = data
                while left:
                    left = left[os.write(file, left) :]
                # On the disk before it has its name, and the name before the write counts.
                os.fsync(file)
            finally:
                os.close(file)
            part.replace(self._folder / name)
            self._sync_folder()
        finally:
            with contextlib.suppress(OSError):
                part.unlink()

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        self._sync_folder()

    def _sync_folder(self) -> None:
        if os.name != "posix":  # elsewhere a folder cannot be opened, and need not be
            return
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Store:
    """One store in its two slots.

    Attributes:
        number: of the slot that counts; 0 if there is none.
        payload: of that slot; None if there is none.
        damaged: whether a slot was found that is not whole.
    """

    def __init__(self, storage: Storage, name: StoreName, payload_bytes: int) -> None:
        self._storage = storage
        self._name = name
        self._payload_bytes = payload_bytes
        self.number = 0
        self.payload: bytes | None = None
        self.damaged = False
        self._slot = SLOTS[1]
        for slot in SLOTS:
            data = storage.read(self._file(slot))
            if data is None:
                continue
            found = self._unpack(data)
            if found is None:
                self.damaged = True
                continue
            number, payload = found
            # Counted modulo 2^32: the newer one is less than half of it ahead.
            if self.payload is None or (number - self.number) % 2**32 < 2**31:
                self.number, self.payload, self._slot = number, payload, slot

    def write(self, payload: bytes) -> None:
        """Stores a payload in the other slot and reads it back.

        Raises:
            StoreFailedError: it is not there; what was stored before is.
        """
        number = (self.number + 1) % 2**32
        slot = SLOTS[1 - self._slot]
        head = HEADER.pack(MAGIC, FORMAT, self._name, number, len(payload), 0)
        head = head[:SEALED_HEADER_BYTES]
        data = head + struct.pack("<I", zlib.crc32(head + payload)) + payload
        try:
            self._storage.write(self._file(slot), data)
        except OSError as error:
            self._take_back(slot)
            raise StoreFailedError(str(error)) from None
        if self._storage.read(self._file(slot)) != data:
            self._take_back(slot)
            raise StoreFailedError("read back differently")
        self.number, self.payload, self._slot = number, payload, slot

    def _take_back(self, slot: int) -> None:
        # A write that was reported as failed must not count after a restart.
        with contextlib.suppress(OSError):
            self._storage.remove(self._file(slot))

    def _file(self, slot: int) -> str:
        return f"{self._name.name.lower()}.{slot}"

    def _unpack(self, data: bytes) -> tuple[int, bytes] | None:
        if len(data) != HEADER.size + self._payload_bytes:
            return None
        magic, form, name, number, length, crc = HEADER.unpack_from(data)
        payload = data[HEADER.size :]
        good = (magic, form, name, length) == (
            MAGIC,
            FORMAT,
            self._name,
            self._payload_bytes,
        ) and zlib.crc32(payload, zlib.crc32(data[:SEALED_HEADER_BYTES])) == crc
        return (number, payload) if good else None


class Settings:
    """The fittings, the choice of the model and the calibration of a device."""

    def __init__(self, storage: Storage) -> None:
        self.lasting = storage.lasting
        self._fittings = Store(storage, StoreName.FITTINGS, 2 * FITTING_BYTES + FITTINGS_TAIL_BYTES)
        self._calibration = Store(storage, StoreName.CALIBRATION, 2 * CALIBRATION_BYTES)

    @property
    def number(self) -> int:
        """Number of the fittings, one more with every write."""
        return self._fittings.number

    @property
    def damaged(self) -> list[StoreName]:
        """Stores of which a slot was not whole when they were opened."""
        found = {
            StoreName.FITTINGS: self._fittings.damaged,
            StoreName.CALIBRATION: self._calibration.damaged,
        }
        return [name for name, damaged in found.items() if damaged]

    @property
    def model_slot(self) -> int:
        """The model slot that was chosen; the first where none was."""
        payload = self._fittings.payload
        return 1 if payload is not None and payload[2 * FITTING_BYTES] == 1 else 0

    def fitting(self, ear: Ear) -> bytes | None:
        """The stored fitting record of an ear; None: there is none valid and its own."""
        record = _part(self._fittings.payload, ear, FITTING_BYTES)
        try:
            whole = FittingRecord.decode(record).fitting.ear is ear
        except Refusal:
            return None
        return record if whole else None

    def calibration(self, ear: Ear) -> bytes | None:
        """The stored calibration record of an ear; None: there is none valid and its own."""
        record = _part(self._calibration.payload, ear, CALIBRATION_BYTES)
        try:
            whole = Calibration.decode(record).ear is ear
        except Refusal:
            return None
        return record if whole else None

    def store_fittings(self, records: dict[Ear, bytes]) -> None:
        """Stores the records of one ear or both in one write; the other ear's stays.

        Raises:
            StoreFailedError: nothing was changed.
        """
        self._write_fittings(
            {ear: records.get(ear, self.fitting(ear)) for ear in ORDER}, self.model_slot
        )

    def store_calibration(self, ear: Ear, record: bytes) -> None:
        """Stores the calibration of one ear; the other ear's stays.

        Raises:
            StoreFailedError: nothing was changed.
        """
        parts = [record if each is ear else self.calibration(each) for each in ORDER]
        self._calibration.write(b"".join(part or bytes(CALIBRATION_BYTES) for part in parts))

    def store_model_slot(self, slot: int) -> None:
        """Stores the choice of the model.

        Raises:
            StoreFailedError: nothing was changed.
        """
        self._write_fittings({ear: self.fitting(ear) for ear in ORDER}, slot)

    def forget(self, name: StoreName) -> None:
        """Forgets a store: the fittings and the choice of the model, or the calibration.

        Raises:
            StoreFailedError: nothing was changed.
        """
        if name is StoreName.FITTINGS:
            self._write_fittings({}, SLOTS[0])
        else:
            self._calibration.write(bytes(2 * CALIBRATION_BYTES))

    def _write_fittings(self, records: dict[Ear, bytes | None], slot: int) -> None:
        parts = [records.get(ear) or bytes(FITTING_BYTES) for ear in ORDER]
        tail = bytes([slot]).ljust(FITTINGS_TAIL_BYTES, b"\0")
        self._fittings.write(b"".join(parts) + tail)


def _part(payload: bytes | None, ear: Ear, size: int) -> bytes:
    start = ORDER.index(ear) * size
    return b"" if payload is None else payload[start : start + size]

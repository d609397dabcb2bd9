"""Two slots for models: one is in use, the other takes an upload, used once it is whole."""

from __future__ import annotations

import hashlib

from neuroamp.core_file import HEADER, read_sections
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import MODEL_BYTES, NO_MODEL, ModelState, Refusal, Status
from neuroamp.link.messages import ModelInfo
from neuroamp.link.settings import Storage

NO_HASH = bytes(32)
HASHED_FROM = HEADER.size


class ModelSlots:
    """The models that a device keeps.

    Attributes:
        active: slot of the model in use; 255: none of them.
    """

    def __init__(self, storage: Storage, slot_bytes: int) -> None:
        """Opens the slots.

        Args:
            storage: where the models are kept.
            slot_bytes: most bytes of a model; 0: none can be uploaded.
        """
        self._storage = storage
        self.slot_bytes = slot_bytes
        self.active = NO_MODEL
        self._upload: bytearray | None = None
        self._upload_slot = 0
        self._upload_bytes = 0
        self._upload_name = NO_HASH

    def data(self, slot: int) -> bytes | None:
        """The model in a slot; None if there is none, or it is damaged."""
        data = self._storage.read(self.file(slot))
        return data if data is not None and _is_model(data) else None

    def is_damaged(self, slot: int) -> bool:
        """Whether there is something in a slot that is no model."""
        return self._storage.read(self.file(slot)) is not None and self.data(slot) is None

    def info(self, slot: int) -> ModelInfo:
        """What is in a slot."""
        if self._upload is not None and slot == self._upload_slot:
            there = len(self._upload)
            return ModelInfo(ModelState.UPLOADING, self._upload_bytes, there, self._upload_name)
        data = self.data(slot)
        if data is None:
            return ModelInfo(ModelState.EMPTY, 0, 0, NO_HASH)
        state = ModelState.ACTIVE if slot == self.active else ModelState.WHOLE
        return ModelInfo(state, len(data), len(data), _name(data))

    def begin(self, length: int, name: bytes) -> tuple[int, int, bool]:
        """Begins or resumes an upload: its slot, the bytes that are there, whether it is new.

        Raises:
            Refusal: the model is larger than a slot.
        """
        if length > self.slot_bytes:
            raise Refusal(Status.BAD_MODEL)
        same = (self._upload_bytes, self._upload_name) == (length, name)
        if self._upload is not None and same:
            return self._upload_slot, len(self._upload), False
        self._upload = bytearray()
        self._upload_slot = 1 if self.active == 0 else 0
        self._upload_bytes, self._upload_name = length, name
        return self._upload_slot, 0, True

    def write(self, offset: int, data: bytes) -> int:
        """Takes the next part of the upload; returns the bytes that are there.

        Raises:
            Refusal: none is under way, the part is another than the next one, or the memory did
                not take it.
        """
        upload = self._upload
        if upload is None:
            raise Refusal(Status.NOT_NOW)
        if offset != len(upload):
            raise Refusal(Status.BAD_OFFSET)
        if len(data) != min(MODEL_BYTES, self._upload_bytes - len(upload)):
            raise Refusal(Status.BAD_LENGTH)
        upload += data
        try:
            if offset == 0:
                self._storage.remove(self.file(self._upload_slot))
            if len(upload) == self._upload_bytes:
                self._upload = None
                self._storage.write(self.file(self._upload_slot), bytes(upload))
        except OSError:
            self._upload = None
            raise Refusal(Status.STORE_FAILED) from None
        return len(upload)

    def verified(self, slot: int, name: bytes) -> bytes:
        """The model in a slot, if it is whole and has that SHA-256.

        Raises:
            Refusal: its upload is not complete, it has another SHA-256, or it is no model.
        """
        if self._upload is not None and slot == self._upload_slot:
            raise Refusal(Status.NOT_NOW)
        data = self._storage.read(self.file(slot))
        if data is None or len(data) < HASHED_FROM:
            raise Refusal(Status.BAD_HASH)
        if not _name(data) == hashlib.sha256(data[HASHED_FROM:]).digest() == name:
            raise Refusal(Status.BAD_HASH)
        if not _is_model(data):
            raise Refusal(Status.BAD_MODEL)
        return data

    @staticmethod
    def file(slot: int) -> str:
        """Name of a slot's model in the storage."""
        return f"model.{slot}.nam"


def _name(data: bytes) -> bytes:
    return bytes(HEADER.unpack_from(data)[5])


def _is_model(data: bytes) -> bool:
    try:
        read_sections(data, "the model")
    except NeuroampError:
        return False
    return True

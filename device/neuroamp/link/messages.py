"""Payloads of requests and answers as dataclasses, in the field order of docs/serial-protocol.md.

A message declares its fields with their layout on the line:

    @dataclasses.dataclass(frozen=True)
    class Volume(Message):
        ears: Annotated[Ears, EarSet(1)]
        volume_db: Annotated[float, Float(Field.VOLUME, VOLUME_RANGE_DB)]

and `encode` and `decode` follow from that. A wrong length is refused before a wrong value, and of
several wrong values the first one.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Self, TypeVar, get_type_hints

from neuroamp.audiogram import Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.fitting import STRENGTH_RANGE
from neuroamp.link.codes import (
    CALIBRATION_BYTES,
    CONFIRM_CALIBRATION,
    CONFIRM_RESET,
    LEAST_MODEL_BYTES,
    LONGEST_PAYLOAD,
    MODEL_BYTES,
    READ_BYTES,
    TRY_RANGE_S,
    VOLUME_RANGE_DB,
    WRITE_BYTES,
    Command,
    Field,
    ModelState,
    ObjectKind,
    Output,
    Program,
    Refusal,
    Source,
    Status,
)
from neuroamp.link.records import EAR_NUMBERS, EARS_BY_NUMBER, shortest, text_of
from neuroamp.times import Stage

Ears = frozenset[Ear]
BOTH_EARS: Ears = frozenset(Ear)
REPLY_HEAD = struct.Struct("<BB")
MOST_EVENTS = 8


def ears_of(number: int) -> Ears:
    """The set of ears of a number: 1 left, 2 right, 3 both; other bits count for nothing."""
    return frozenset(ear for ear, bit in EAR_NUMBERS.items() if number & bit)


def number_of(ears: Ears) -> int:
    """The number of a set of ears."""
    return sum(EAR_NUMBERS[ear] for ear in ears)


class Layout:
    """How one field lies on the line."""

    @property
    def size(self) -> int | None:
        """Its bytes; None for the last field of a message that takes the rest."""
        raise NotImplementedError

    def pack(self, value: Any) -> bytes:
        """The field's bytes."""
        raise NotImplementedError

    def unpack(self, data: bytes) -> Any:
        """The field's value.

        Raises:
            Refusal: it is out of range.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Integer(Layout):
    """A u8, u16, u32 or u64, by struct's letter."""

    letter: str
    field: Field = Field.NONE
    allowed: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return struct.calcsize(f"<{self.letter}")

    def pack(self, value: int) -> bytes:
        return struct.pack(f"<{self.letter}", value)

    def unpack(self, data: bytes) -> int:
        value = int(struct.unpack(f"<{self.letter}", data)[0])
        if self.allowed is not None and not self.allowed[0] <= value <= self.allowed[1]:
            raise Refusal(Status.BAD_VALUE, self.field)
        return value


@dataclasses.dataclass(frozen=True)
class Choice(Layout):
    """A u8 that is one of an enumeration's numbers."""

    kind: Any
    field: Field
    size = 1

    def pack(self, value: Any) -> bytes:
        return bytes([value.value])

    def unpack(self, data: bytes) -> Any:
        try:
            return self.kind(data[0])
        except ValueError:
            raise Refusal(Status.BAD_VALUE, self.field) from None


class OneEar(Layout):
    """A u8: 1 left, 2 right."""

    size = 1

    def pack(self, value: Ear) -> bytes:
        return bytes([EAR_NUMBERS[value]])

    def unpack(self, data: bytes) -> Ear:
        if data[0] not in EARS_BY_NUMBER:
            raise Refusal(Status.BAD_VALUE, Field.EAR)
        return EARS_BY_NUMBER[data[0]]


@dataclasses.dataclass(frozen=True)
class EarSet(Layout):
    """A u8: a set of ears, of at least so many."""

    least: int = 0
    size = 1

    def pack(self, value: Ears) -> bytes:
        return bytes([number_of(value)])

    def unpack(self, data: bytes) -> Ears:
        if not self.least <= data[0] <= 3:
            raise Refusal(Status.BAD_VALUE, Field.EAR)
        return ears_of(data[0])


@dataclasses.dataclass(frozen=True)
class Flag(Layout):
    """A u8: 0 or 1."""

    size = 1

    def pack(self, value: bool) -> bytes:
        return bytes([value])

    def unpack(self, data: bytes) -> bool:
        if data[0] > 1:
            raise Refusal(Status.BAD_VALUE, Field.ON_OR_OFF)
        return data[0] == 1


@dataclasses.dataclass(frozen=True)
class Float(Layout):
    """An f32."""

    field: Field = Field.NONE
    allowed: tuple[float, float] | None = None
    size = 4

    def pack(self, value: float) -> bytes:
        return struct.pack("<f", value)

    def unpack(self, data: bytes) -> float:
        value = shortest(struct.unpack("<f", data)[0])
        if self.allowed is not None and not self.allowed[0] <= value <= self.allowed[1]:
            raise Refusal(Status.BAD_VALUE, self.field)
        return value


@dataclasses.dataclass(frozen=True)
class Row(Layout):
    """An f32[count]."""

    count: int

    @property
    def size(self) -> int:
        return 4 * self.count

    def pack(self, value: Sequence[float]) -> bytes:
        return struct.pack(f"<{self.count}f", *value)

    def unpack(self, data: bytes) -> tuple[float, ...]:
        return tuple(map(shortest, struct.unpack(f"<{self.count}f", data)))


@dataclasses.dataclass(frozen=True)
class Text(Layout):
    """A char[length]."""

    length: int

    @property
    def size(self) -> int:
        return self.length

    def pack(self, value: str) -> bytes:
        shown = "".join(c if " " <= c <= "~" else "?" for c in value)[: self.length]
        return shown.encode("ascii").ljust(self.length, b"\0")

    def unpack(self, data: bytes) -> str:
        return text_of(data, Field.NONE)


@dataclasses.dataclass(frozen=True)
class Letters(Layout):
    """A u32 that has to be this one, so that no stray request does what it guards."""

    expected: int
    size = 4

    def pack(self, value: int) -> bytes:
        return struct.pack("<I", value)

    def unpack(self, data: bytes) -> int:
        if data != self.pack(self.expected):
            raise Refusal(Status.BAD_VALUE, Field.LETTERS)
        return self.expected


@dataclasses.dataclass(frozen=True)
class Bytes(Layout):
    """So many bytes."""

    length: int

    @property
    def size(self) -> int:
        return self.length

    def pack(self, value: bytes) -> bytes:
        return value

    def unpack(self, data: bytes) -> bytes:
        return data


@dataclasses.dataclass(frozen=True)
class Rest(Layout):
    """All that is left, from `least` to `most` bytes."""

    least: int
    most: int
    size = None

    def pack(self, value: bytes) -> bytes:
        return value

    def unpack(self, data: bytes) -> bytes:
        return data


@dataclasses.dataclass(frozen=True)
class Message:
    """A payload."""

    @classmethod
    def layouts(cls) -> list[tuple[str, Layout]]:
        """Names and layouts of the fields, in their order."""
        return _layouts(cls)  # type: ignore[arg-type]

    def encode(self) -> bytes:
        """The payload's bytes."""
        return b"".join(layout.pack(getattr(self, name)) for name, layout in self.layouts())

    @classmethod
    def decode(cls, payload: bytes, there: Ears = BOTH_EARS) -> Self:
        """The message of a payload, for a device that has the ears `there`.

        Raises:
            Refusal: the length is wrong, or a value, or it is about an ear that is not there.
        """
        layouts = cls.layouts()
        fixed = sum(layout.size for _, layout in layouts if layout.size is not None)
        rests = [layout for _, layout in layouts if isinstance(layout, Rest)]
        rest = rests[0] if rests else Rest(0, 0)
        if not rest.least <= len(payload) - fixed <= rest.most:
            raise Refusal(Status.BAD_LENGTH)
        values, offset = {}, 0
        for name, layout in layouts:
            size = len(payload) - offset if layout.size is None else layout.size
            value = layout.unpack(payload[offset : offset + size])
            about = {value} if isinstance(value, Ear) else value
            if isinstance(about, (set, frozenset)) and not about <= there:
                raise Refusal(Status.NO_SUCH_EAR)
            values[name] = value
            offset += size
        return cls(**values)


@functools.cache
def _layouts(kind: Any) -> list[tuple[str, Layout]]:
    hints = get_type_hints(kind, include_extras=True)
    return [(field.name, hints[field.name].__metadata__[0]) for field in dataclasses.fields(kind)]


U8, U16, U32, U64 = (Integer(letter) for letter in "BHIQ")


@dataclasses.dataclass(frozen=True)
class Empty(Message):
    """Nothing."""


@dataclasses.dataclass(frozen=True)
class Hello(Message):
    """Protocol versions that the host speaks."""

    lowest: Annotated[int, U8]
    highest: Annotated[int, U8]


@dataclasses.dataclass(frozen=True)
class Greeting(Message):
    """What was agreed on, and what the device has."""

    version: Annotated[int, U8]
    ears: Annotated[Ears, EarSet()]
    longest_frame: Annotated[int, U16]
    capabilities: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class Identity(Message):
    """Who the device is, and the state of its ears."""

    serial: Annotated[str, Text(16)]
    name: Annotated[str, Text(24)]
    firmware: Annotated[str, Text(16)]
    profile: Annotated[str, Text(16)]
    sample_rate_hz: Annotated[int, U32]
    hop: Annotated[int, U16]
    delay_samples: Annotated[int, U16]
    fitted: Annotated[Ears, EarSet()]
    on_trial: Annotated[Ears, EarSet()]
    calibrated: Annotated[Ears, EarSet()]
    output: Annotated[Output, Choice(Output, Field.NONE)]
    active_model_slot: Annotated[int, U8]


@dataclasses.dataclass(frozen=True)
class Read(Message):
    """A part of an object; `stage` is 0 but for times."""

    object: Annotated[ObjectKind, Choice(ObjectKind, Field.OBJECT)]
    ear: Annotated[Ear, OneEar()]
    stage: Annotated[Stage, Choice(Stage, Field.STAGE)]
    offset: Annotated[int, U16]


@dataclasses.dataclass(frozen=True)
class Part(Message):
    """A part of an object that is `length` bytes long."""

    length: Annotated[int, U16]
    data: Annotated[bytes, Rest(0, READ_BYTES)]


@dataclasses.dataclass(frozen=True)
class Write(Message):
    """A part of the staged fitting."""

    ear: Annotated[Ear, OneEar()]
    offset: Annotated[int, U16]
    data: Annotated[bytes, Rest(1, WRITE_BYTES)]


@dataclasses.dataclass(frozen=True)
class Written(Message):
    """Bytes of the staged fitting that are there."""

    received: Annotated[int, U16]


@dataclasses.dataclass(frozen=True)
class Try(Message):
    """Play what is staged, by the CRC-32 of what was read back, for some seconds."""

    ears: Annotated[Ears, EarSet(1)]
    seconds: Annotated[int, Integer("H", Field.SECONDS, TRY_RANGE_S)]
    crc_left: Annotated[int, U32]
    crc_right: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class Commit(Message):
    """Store what is staged, by the CRC-32 of what was read back."""

    ears: Annotated[Ears, EarSet(1)]
    crc_left: Annotated[int, U32]
    crc_right: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class Committed(Message):
    """Number of the settings."""

    number: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class Revert(Message):
    """End the trials of these ears."""

    ears: Annotated[Ears, EarSet(1)]


@dataclasses.dataclass(frozen=True)
class Reverted(Message):
    """Ears whose trial was ended."""

    ended: Annotated[Ears, EarSet()]


@dataclasses.dataclass(frozen=True)
class OfEar(Message):
    """A question about one ear."""

    ear: Annotated[Ear, OneEar()]


@dataclasses.dataclass(frozen=True)
class Applied(Message):
    """What is in force at an ear; gains in dB, for speech of 65 dB SPL, volume included."""

    source: Annotated[Source, Choice(Source, Field.NONE)]
    program: Annotated[Program, Choice(Program, Field.NONE)]
    output: Annotated[Output, Choice(Output, Field.NONE)]
    calibrated: Annotated[bool, Flag()]
    crc: Annotated[int, U32]
    trial_left_ms: Annotated[int, U32]
    volume_db: Annotated[float, Float()]
    noise_reduction: Annotated[float, Float()]
    mpo_db_spl: Annotated[float, Float()]
    gain_65_db: Annotated[tuple[float, ...], Row(len(CHANNEL_FREQUENCIES_HZ))]


@dataclasses.dataclass(frozen=True)
class Levels(Message):
    """RMS levels of about the last 125 ms, dB SPL, and the loudest output sample since the start,
    dB SPL of a sine with that peak."""

    input_db_spl: Annotated[float, Float()]
    output_db_spl: Annotated[float, Float()]
    output_peak_db_spl: Annotated[float, Float()]


@dataclasses.dataclass(frozen=True)
class Counts(Message):
    """Counters since the device started."""

    steps: Annotated[int, U64]
    missed_steps: Annotated[int, U64]
    non_finite_samples: Annotated[int, U64]
    hops: Annotated[int, U64]
    late_hops: Annotated[int, U64]
    uptime_ms: Annotated[int, U32]
    good_frames: Annotated[int, U32]
    dropped_frames: Annotated[int, U32]
    repeats: Annotated[int, U32]
    settings_number: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class Events(Message):
    """Events from that number on."""

    first: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class Event(Message):
    """One event: when, what (`EventCode`, or a device's own from 256 on), about which ears."""

    ms: Annotated[int, U32]
    code: Annotated[int, U16]
    ears: Annotated[Ears, EarSet()]
    zero: Annotated[int, Integer("B", Field.NONE, (0, 0))]
    argument: Annotated[int, U32]


EVENT_BYTES = 12


@dataclasses.dataclass(frozen=True)
class EventList(Message):
    """Events in their order, packed."""

    oldest: Annotated[int, U32]
    next: Annotated[int, U32]
    packed: Annotated[bytes, Rest(0, MOST_EVENTS * EVENT_BYTES)]

    def events(self) -> list[Event]:
        """The events.

        Raises:
            Refusal: they are not whole.
        """
        starts = range(0, len(self.packed), EVENT_BYTES)
        return [Event.decode(self.packed[start : start + EVENT_BYTES]) for start in starts]


@dataclasses.dataclass(frozen=True)
class Mute(Message):
    """Mute the device, or let it sound again."""

    on: Annotated[bool, Flag()]


@dataclasses.dataclass(frozen=True)
class Volume(Message):
    """Volume of these ears, dB."""

    ears: Annotated[Ears, EarSet(1)]
    volume_db: Annotated[float, Float(Field.VOLUME, VOLUME_RANGE_DB)]


@dataclasses.dataclass(frozen=True)
class ChooseProgram(Message):
    """Program of these ears."""

    ears: Annotated[Ears, EarSet(1)]
    program: Annotated[Program, Choice(Program, Field.PROGRAM)]


@dataclasses.dataclass(frozen=True)
class NoiseReduction(Message):
    """Strength of the net at these ears, 0 to 1."""

    ears: Annotated[Ears, EarSet(1)]
    noise_reduction: Annotated[float, Float(Field.NOISE_REDUCTION, STRENGTH_RANGE)]


@dataclasses.dataclass(frozen=True)
class CalibrationAnswer(Message):
    """A calibration record."""

    record: Annotated[bytes, Bytes(CALIBRATION_BYTES)]


@dataclasses.dataclass(frozen=True)
class WriteCalibration(Message):
    """Store a calibration record."""

    confirm: Annotated[int, Letters(CONFIRM_CALIBRATION)]
    record: Annotated[bytes, Bytes(CALIBRATION_BYTES)]


@dataclasses.dataclass(frozen=True)
class OfSlot(Message):
    """A question about a model slot."""

    slot: Annotated[int, Integer("B", Field.SLOT, (0, 1))]


@dataclasses.dataclass(frozen=True)
class ModelInfo(Message):
    """What is in a model slot."""

    state: Annotated[ModelState, Choice(ModelState, Field.NONE)]
    length: Annotated[int, U32]
    received: Annotated[int, U32]
    sha256: Annotated[bytes, Bytes(32)]


@dataclasses.dataclass(frozen=True)
class ModelBegin(Message):
    """Begin or resume an upload."""

    length: Annotated[int, Integer("I", Field.LENGTH, (LEAST_MODEL_BYTES, 2**32 - 1))]
    sha256: Annotated[bytes, Bytes(32)]


@dataclasses.dataclass(frozen=True)
class ModelBegun(Message):
    """The slot it goes into, and the bytes that are there."""

    slot: Annotated[int, U8]
    received: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class ModelWrite(Message):
    """A part of the model."""

    offset: Annotated[int, U32]
    data: Annotated[bytes, Rest(1, MODEL_BYTES)]


@dataclasses.dataclass(frozen=True)
class ModelWritten(Message):
    """Bytes of the model that are there."""

    received: Annotated[int, U32]


@dataclasses.dataclass(frozen=True)
class ModelActivate(Message):
    """Verify a slot and make it the active one."""

    slot: Annotated[int, Integer("B", Field.SLOT, (0, 1))]
    sha256: Annotated[bytes, Bytes(32)]


@dataclasses.dataclass(frozen=True)
class ModelActivated(Message):
    """Whether it takes effect at the next start, or already has."""

    after_restart: Annotated[bool, Flag()]


@dataclasses.dataclass(frozen=True)
class FactoryReset(Message):
    """Forget: 1 fittings and the choice of the model, 2 calibration, 3 both."""

    what: Annotated[int, Integer("B", Field.WHAT_TO_FORGET, (1, 3))]
    confirm: Annotated[int, Letters(CONFIRM_RESET)] = CONFIRM_RESET


@dataclasses.dataclass(frozen=True)
class Forgotten(Message):
    """What was forgotten."""

    what: Annotated[int, U8]


MESSAGES: dict[Command, tuple[type[Message], type[Message]]] = {
    Command.HELLO: (Hello, Greeting),
    Command.IDENTIFY: (Empty, Identity),
    Command.READ: (Read, Part),
    Command.WRITE: (Write, Written),
    Command.TRY: (Try, Empty),
    Command.COMMIT: (Commit, Committed),
    Command.REVERT: (Revert, Reverted),
    Command.APPLIED: (OfEar, Applied),
    Command.LEVELS: (OfEar, Levels),
    Command.COUNTS: (OfEar, Counts),
    Command.EVENTS: (Events, EventList),
    Command.MUTE: (Mute, Empty),
    Command.PANIC: (Empty, Empty),
    Command.VOLUME: (Volume, Empty),
    Command.PROGRAM: (ChooseProgram, Empty),
    Command.NOISE_REDUCTION: (NoiseReduction, Empty),
    Command.READ_CALIBRATION: (OfEar, CalibrationAnswer),
    Command.WRITE_CALIBRATION: (WriteCalibration, Empty),
    Command.MODEL_INFO: (OfSlot, ModelInfo),
    Command.MODEL_BEGIN: (ModelBegin, ModelBegun),
    Command.MODEL_WRITE: (ModelWrite, ModelWritten),
    Command.MODEL_ACTIVATE: (ModelActivate, ModelActivated),
    Command.FACTORY_RESET: (FactoryReset, Forgotten),
}
"""Request and answer of every command."""

AnyMessage = TypeVar("AnyMessage", bound=Message)


def encode_reply(answer: Message) -> bytes:
    """Payload of a reply whose command was carried out."""
    return REPLY_HEAD.pack(Status.OK, 0) + answer.encode()


def encode_refusal(refusal: Refusal) -> bytes:
    """Payload of a reply whose command was not carried out."""
    return REPLY_HEAD.pack(refusal.status, refusal.field) + bytes([refusal.index])


def decode_reply(payload: bytes, answer: type[AnyMessage]) -> AnyMessage:
    """The answer in a reply's payload.

    Raises:
        Refusal: the device's own; or BAD_LENGTH or BAD_VALUE with the field 0, if the reply makes
            no sense.
    """
    if not REPLY_HEAD.size <= len(payload) <= LONGEST_PAYLOAD:
        raise Refusal(Status.BAD_LENGTH)
    status, field = REPLY_HEAD.unpack_from(payload)
    inside = payload[REPLY_HEAD.size :]
    if status == Status.OK:
        return answer.decode(inside)
    if status not in list(Status) or len(inside) != 1:
        raise Refusal(Status.BAD_LENGTH)
    raise Refusal(Status(status), field, inside[0])

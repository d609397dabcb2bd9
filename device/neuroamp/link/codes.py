"""Numbers of the fitting link: commands, statuses, fields, events (docs/serial-protocol.md)."""

from __future__ import annotations

import enum

PROTOCOL_VERSION = 1
LONGEST_FRAME = 128
LONGEST_PAYLOAD = 113
FITTING_BYTES = 296
CALIBRATION_BYTES = 48
TIMES_BYTES = 1064
READ_BYTES = 109
"""Most bytes of an object in one answer of `READ`."""

WRITE_BYTES = 110
"""Most bytes of a record in one `WRITE`."""

MODEL_BYTES = 96
"""Bytes of a model in one `MODEL_WRITE`; only the last may have fewer."""

LEAST_MODEL_BYTES = 64
CONFIRM_CALIBRATION = 0x424C4143
CONFIRM_RESET = 0x54455352
NO_MODEL = 255

VOLUME_RANGE_DB = (-40.0, 10.0)
TRY_RANGE_S = (1, 600)


class Command(enum.IntEnum):
    """What a request asks for."""

    HELLO = 0x01
    IDENTIFY = 0x02
    READ = 0x03
    WRITE = 0x04
    TRY = 0x05
    COMMIT = 0x06
    REVERT = 0x07
    APPLIED = 0x08
    LEVELS = 0x09
    COUNTS = 0x0A
    EVENTS = 0x0B
    MUTE = 0x10
    PANIC = 0x11
    VOLUME = 0x12
    PROGRAM = 0x13
    NOISE_REDUCTION = 0x14
    READ_CALIBRATION = 0x20
    WRITE_CALIBRATION = 0x21
    MODEL_INFO = 0x30
    MODEL_BEGIN = 0x31
    MODEL_WRITE = 0x32
    MODEL_ACTIVATE = 0x33
    FACTORY_RESET = 0x3F


class Status(enum.IntEnum):
    """First byte of a reply."""

    OK = 0
    UNKNOWN_COMMAND = 1
    BAD_LENGTH = 2
    BAD_VALUE = 3
    NO_SESSION = 4
    NO_SUCH_EAR = 5
    BAD_OFFSET = 6
    BAD_CRC = 7
    NOTHING_THERE = 8
    NOT_NOW = 9
    STORE_FAILED = 10
    BAD_HASH = 11
    BAD_MODEL = 12
    WRONG_VERSION = 13
    REFUSED = 14


class Field(enum.IntEnum):
    """Which value `BAD_VALUE` means."""

    NONE = 0
    FORMAT = 1
    RECORD_EAR = 2
    RECORD_PROGRAM = 3
    POINTS = 4
    TIME = 5
    RULE = 6
    AUDIOGRAM_NAME = 7
    THRESHOLDS = 8
    GAIN_65 = 9
    COMPRESSION_RATIO = 10
    KNEE = 11
    ATTACK = 12
    RELEASE = 13
    MPO = 14
    RECORD_NOISE_REDUCTION = 15
    AUDIOGRAM = 16
    EAR = 32
    SECONDS = 33
    VOLUME = 34
    PROGRAM = 35
    NOISE_REDUCTION = 36
    ON_OR_OFF = 37
    STAGE = 38
    OBJECT = 39
    SLOT = 40
    LENGTH = 41
    LETTERS = 42
    VERSION = 43
    SEQUENCE_OR_SESSION = 44
    WHAT_TO_FORGET = 45
    CALIBRATION_FORMAT = 48
    CALIBRATION_EAR = 49
    CALIBRATION_ZERO = 50
    MICROPHONE = 51
    RECEIVER = 52
    CEILING = 53
    CALIBRATION_TIME = 54
    CALIBRATED_BY = 55


class ObjectKind(enum.IntEnum):
    """What `READ` reads."""

    STORED = 1
    STAGED = 2
    ACTIVE = 3
    TIMES = 4


class Source(enum.IntEnum):
    """Which fitting is in force."""

    UNFITTED = 0
    STORED = 1
    TRIAL = 2


class Output(enum.IntEnum):
    """What comes out of the device."""

    SOUNDS = 0
    MUTED = 1
    SILENT = 2
    """By `PANIC`."""


class Program(enum.IntEnum):
    """Listening programs; they differ by the noise reduction."""

    EVERYDAY = 0
    NOISE = 1
    MUSIC = 2


class Capability(enum.IntFlag):
    """What a device says that it has."""

    NET = 1
    CALIBRATION = 2
    MODEL_UPLOAD = 4
    TIMES = 8
    LASTING_SETTINGS = 16


class ModelState(enum.IntEnum):
    """What is in a model slot."""

    EMPTY = 0
    UPLOADING = 1
    WHOLE = 2
    ACTIVE = 3


class EventCode(enum.IntEnum):
    """What the event log holds."""

    STARTED = 1
    FITTING_STORED = 2
    TRIAL_BEGAN = 3
    TRIAL_RAN_OUT = 4
    TRIAL_ENDED = 5
    MUTED = 6
    SOUNDS_AGAIN = 7
    PANIC = 8
    CALIBRATION_STORED = 9
    MODEL_UPLOAD_BEGAN = 10
    MODEL_ACTIVATED = 11
    FACTORY_RESET = 12
    DAMAGED_SLOT = 13
    WATCHDOG_RESTART = 14
    LATE_FRAME = 15
    AUDIO_STOPPED = 16
    AUDIO_RESUMED = 17
    PART_REFUSED = 18
    MODEL_UNUSABLE = 19


class Refusal(Exception):  # noqa: N818  an answer, not a failure
    """A request or record that is refused, as the reply says it.

    Attributes:
        status: why.
        field: number of the value that is wrong (`Field`), 0 where that is not the reason.
        index: entry of that value's row.
    """

    def __init__(self, status: Status, field: int = 0, index: int = 0) -> None:
        super().__init__(f"{status.name}, field {field}, index {index}")
        self.status = status
        self.field = field
        self.index = index

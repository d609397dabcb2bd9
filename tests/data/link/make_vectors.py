"""Writes the vectors of docs/serial-protocol.md: `python tests/data/link/make_vectors.py`.

Independent of both implementations: struct, zlib and the cobs package, and expectations by hand.

- frames.json: fields of a frame and its bytes; streams of bytes and the frames they hold.
- payloads.json: requests and answers, their fields by name and their bytes.
- records.json: fittings, calibrations and times, and records that are refused.
- conversations.json: whole conversations with `DEVICE`: what is sent, what must come back, and
  what is stored and in force at the end.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

from cobs import cobs

HERE = Path(__file__).parent

REQUEST, REPLY = 0x51, 0x52
COMMANDS = {
    "HELLO": 0x01,
    "IDENTIFY": 0x02,
    "READ": 0x03,
    "WRITE": 0x04,
    "TRY": 0x05,
    "COMMIT": 0x06,
    "REVERT": 0x07,
    "APPLIED": 0x08,
    "LEVELS": 0x09,
    "COUNTS": 0x0A,
    "EVENTS": 0x0B,
    "MUTE": 0x10,
    "PANIC": 0x11,
    "VOLUME": 0x12,
    "PROGRAM": 0x13,
    "NOISE_REDUCTION": 0x14,
    "READ_CALIBRATION": 0x20,
    "WRITE_CALIBRATION": 0x21,
    "MODEL_INFO": 0x30,
    "MODEL_BEGIN": 0x31,
    "MODEL_WRITE": 0x32,
    "MODEL_ACTIVATE": 0x33,
    "FACTORY_RESET": 0x3F,
}
STATUS = {
    name: number
    for number, name in enumerate(
        (
            "OK",
            "UNKNOWN_COMMAND",
            "BAD_LENGTH",
            "BAD_VALUE",
            "NO_SESSION",
            "NO_SUCH_EAR",
            "BAD_OFFSET",
            "BAD_CRC",
            "NOTHING_THERE",
            "NOT_NOW",
            "STORE_FAILED",
            "BAD_HASH",
            "BAD_MODEL",
            "WRONG_VERSION",
            "REFUSED",
        )
    )
}
LEFT, RIGHT, BOTH = 1, 2, 3
STORED, STAGED, ACTIVE, TIMES = 1, 2, 3, 4
MUTED, SILENT = 1, 2
CALIBRATE, RESET = 0x424C4143, 0x54455352
MEASURED, NO_RESPONSE, NOT_MEASURED = 0, 1, 2

DEVICE: dict[str, Any] = {
    "serial": "NA-0001",
    "name": "bench device",
    "firmware": "1.2.3",
    "profile": "wear",
    "sample_rate_hz": 16000,
    "hop": 32,
    "delay_samples": 64,
    "ears": BOTH,
    "capabilities": 0b11111,
    "uncalibrated_ceiling_db_spl": 85.0,
    "levels_db_spl": [61.5, 78.25, 90.5],
    "counts": [123456789012, 42, 7, 246913578024, 3],
    "ticks_per_second": 1000000000,
    "times": {
        "count": 1000,
        "total": 250000000,
        "max": 900000,
        "deadline_misses": 3,
        "histogram": {"0": 1, "100": 990, "255": 9},
    },
    "model_slot_bytes": 4096,
    "active_model_slot": 255,
}
"""The device of the conversations, at its start: both ears there, uncalibrated, nothing stored, no
model, the clock at 0 ms, its start event logged. Its audio part applies what it is told at once;
LEVELS, the first five counters and the times are always these."""


def crc(data: bytes) -> int:
    return zlib.crc32(data)


def body(kind: int, command: int, sequence: int, session: int, payload: bytes) -> bytes:
    head = struct.pack("<BBHI", kind, command, sequence, session) + payload
    return head + struct.pack("<I", crc(head))


def wire(of: bytes) -> bytes:
    return b"\0" + cobs.encode(of) + b"\0"


def text(value: str, size: int) -> bytes:
    return value.encode("ascii").ljust(size, b"\0")


# Records


def fitting(**changes: Any) -> dict[str, Any]:
    """A moderate sloping loss, N3, left ear."""
    fields: dict[str, Any] = {
        "format": 1,
        "ear": LEFT,
        "program": 0,
        "version": 1,
        "time": 1764000000,
        "rule": "nal-r",
        "audiogram_name": "N3",
        "thresholds_db_hl": [35.0, 35.0, 40.0, 50.0, 60.0, 65.0],
        "gain_65_db": [0.0, 0.0, 5.75, 11.5, 16.25, 17.0, 18.5, 20.0, 21.25, 22.5, 22.5],
        "compression_ratio": [1.35, 1.35, 1.35, 1.35, 1.4, 1.45, 1.5, 1.55, 1.6, 1.65, 1.65],
        "knee_db_spl": 50.0,
        "attack_s": 0.005,
        "release_s": 0.3,
        "mpo_db_spl": 110.0,
        "noise_reduction": 1.0,
        "audiogram": [
            [250, 35.0, MEASURED],
            [375, 35.0, MEASURED],
            [500, 35.0, MEASURED],
            [750, 35.0, MEASURED],
            [1000, 40.0, MEASURED],
            [1500, 45.0, MEASURED],
            [2000, 50.0, MEASURED],
            [3000, 55.0, MEASURED],
            [4000, 60.0, MEASURED],
            [6000, 65.0, MEASURED],
        ],
    }
    return fields | changes


def unsealed_fitting(fields: dict[str, Any], points: int | None = None) -> bytes:
    audiogram = b"".join(
        struct.pack("<HhB", hz, round(100 * db), mark) for hz, db, mark in fields["audiogram"]
    )
    return (
        struct.pack(
            "<BBBBIq",
            fields["format"],
            fields["ear"],
            fields["program"],
            len(fields["audiogram"]) if points is None else points,
            fields["version"],
            fields["time"],
        )
        + text(fields["rule"], 40)
        + text(fields["audiogram_name"], 24)
        + struct.pack(
            "<33f",
            *fields["thresholds_db_hl"],
            *fields["gain_65_db"],
            *fields["compression_ratio"],
            fields["knee_db_spl"],
            fields["attack_s"],
            fields["release_s"],
            fields["mpo_db_spl"],
            fields["noise_reduction"],
        )
        + audiogram.ljust(80, b"\0")
    )


def sealed(record: bytes) -> bytes:
    return record + struct.pack("<I", crc(record))


def fitting_record(fields: dict[str, Any]) -> bytes:
    record = sealed(unsealed_fitting(fields))
    assert len(record) == 296
    return record


def calibration(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "format": 1,
        "ear": LEFT,
        "zero": 0,
        "microphone_full_scale_db_spl": 120.5,
        "receiver_full_scale_db_spl": 117.25,
        "ceiling_db_spl": 115.0,
        "version": 2,
        "time": 1763000000,
        "by": "711 coupler",
    }
    return fields | changes


def calibration_record(fields: dict[str, Any]) -> bytes:
    record = sealed(
        struct.pack(
            "<BBHfffIq16s",
            fields["format"],
            fields["ear"],
            fields["zero"],
            fields["microphone_full_scale_db_spl"],
            fields["receiver_full_scale_db_spl"],
            fields["ceiling_db_spl"],
            fields["version"],
            fields["time"],
            text(fields["by"], 16),
        )
    )
    assert len(record) == 48
    return record


def times_record(ticks_per_second: int, times: dict[str, Any]) -> bytes:
    histogram = [0] * 256
    for bucket, count in times["histogram"].items():
        histogram[int(bucket)] = count
    record = struct.pack(
        "<IIQQQQ256I",
        ticks_per_second,
        0,
        times["count"],
        times["total"],
        times["max"],
        times["deadline_misses"],
        *histogram,
    )
    assert len(record) == 1064
    return record


RIGHT_FITTING = fitting(
    ear=RIGHT,
    program=2,
    version=4294967295,
    time=0,
    rule="a gain table with a name of 40 characters",
    audiogram_name="",
    gain_65_db=[70.0] * 11,
    compression_ratio=[4.0] * 11,
    thresholds_db_hl=[-10.0, 120.0, 0.0, 37.5, 67.5, 92.5],
    knee_db_spl=20.0,
    attack_s=0.1,
    release_s=0.01,
    mpo_db_spl=60.0,
    noise_reduction=0.1,
    audiogram=[
        [125, 0.0, NOT_MEASURED],
        [250, -10.0, MEASURED],
        [500, 22.5, MEASURED],
        [1000, 37.25, MEASURED],
        [2000, 0.0, NOT_MEASURED],
        [4000, 120.0, NO_RESPONSE],
        [8000, 110.0, NO_RESPONSE],
    ],
)
RIGHT_FITTING["rule"] = RIGHT_FITTING["rule"][:40]
WIDEST = fitting(
    rule="",
    audiogram=[[125 + 500 * i, 7.5 * i, MEASURED] for i in range(16)],
    attack_s=0.001,
    release_s=3.0,
    knee_db_spl=80.0,
    mpo_db_spl=120.0,
    noise_reduction=0.0,
    program=1,
    time=2**53,
)
WITHOUT_AUDIOGRAM = fitting(audiogram=[], audiogram_name="")


def changed(record: bytes, at: int, data: bytes) -> bytes:
    """A fitting or calibration record with some bytes changed and its CRC made right."""
    inside = record[:-4]
    return sealed(inside[:at] + data + inside[at + len(data) :])


def refused_fittings() -> list[dict[str, Any]]:
    base = fitting_record(fitting())
    rows: list[tuple[str, int, bytes, int, int]] = [
        # name, offset, bytes, field, index
        ("format 0", 0, b"\x00", 1, 0),
        ("format 2", 0, b"\x02", 1, 0),
        ("no ear", 1, b"\x00", 2, 0),
        ("both ears", 1, b"\x03", 2, 0),
        ("program 3", 2, b"\x03", 3, 0),
        ("17 points", 3, b"\x11", 4, 0),
        ("a time before 1970", 8, struct.pack("<q", -1), 5, 0),
        ("a time beyond 2^53", 8, struct.pack("<q", 2**53 + 1), 5, 0),
        ("a control character in the rule", 18, b"\n", 6, 2),
        ("a rule that goes on after its end", 30, b"x", 6, 14),
        ("a rule in another alphabet", 16, "é".encode(), 6, 0),
        ("DEL in the name", 57, b"\x7f", 7, 1),
    ]
    for offset, count, field, low, high in (
        (80, 6, 8, -10.0, 120.0),
        (104, 11, 9, 0.0, 70.0),
        (148, 11, 10, 1.0, 4.0),
        (192, 1, 11, 20.0, 80.0),
        (196, 1, 12, 0.001, 0.1),
        (200, 1, 13, 0.01, 3.0),
        (204, 1, 14, 60.0, 120.0),
        (208, 1, 15, 0.0, 1.0),
    ):
        for index in sorted({0, count - 1}):
            at = offset + 4 * index
            low_bits, high_bits = struct.pack("<f", low), struct.pack("<f", high)
            below = struct.unpack("<I", low_bits)[0]
            below = 0x80000001 if low == 0.0 else below + (1 if low < 0.0 else -1)
            above = struct.unpack("<I", high_bits)[0] + 1
            for name, bits in (
                ("just below", below),
                ("just above", above),
                ("not a number", 0x7FC00000),
                ("infinite", 0x7F800000),
                ("minus infinity", 0xFF800000),
            ):
                label = f"field {field}[{index}] {name}"
                rows.append((label, at, struct.pack("<I", bits), field, index))
    point = 212
    rows += [
        ("a frequency below 125 Hz", point, struct.pack("<H", 124), 16, 0),
        ("a frequency above 8 kHz", point + 9 * 5, struct.pack("<H", 8001), 16, 9),
        ("frequencies that do not ascend", point + 5, struct.pack("<H", 250), 16, 1),
        ("a threshold below -10 dB HL", point + 2, struct.pack("<h", -1001), 16, 0),
        ("a threshold above 120 dB HL", point + 12, struct.pack("<h", 12001), 16, 2),
        ("an unknown mark", point + 4, b"\x03", 16, 0),
        ("a threshold that was not measured", point + 4, b"\x02", 16, 0),
        ("bytes beyond the points", point + 79, b"\x01", 16, 15),
    ]
    found = [
        {
            "name": name,
            "record": changed(base, at, data).hex(),
            "status": STATUS["BAD_VALUE"],
            "field": field,
            "index": index,
        }
        for name, at, data, field, index in rows
    ]
    nothing = fitting(audiogram=[[250, 0.0, NOT_MEASURED], [500, 0.0, NOT_MEASURED]])
    found.append(
        {
            "name": "nothing measured",
            "record": fitting_record(nothing).hex(),
            "status": STATUS["BAD_VALUE"],
            "field": 16,
            "index": 0,
        }
    )
    several = changed(changed(base, 204, struct.pack("<f", 130.0)), 124, struct.pack("<f", 71.0))
    found.append(
        {
            "name": "the first of several wrong fields is named",
            "record": several.hex(),
            "status": STATUS["BAD_VALUE"],
            "field": 9,
            "index": 5,
        }
    )
    damaged = bytearray(base)
    damaged[100] ^= 4
    found.append(
        {
            "name": "a wrong CRC",
            "record": damaged.hex(),
            "status": STATUS["BAD_CRC"],
            "field": 0,
            "index": 0,
        }
    )
    return found


def refused_calibrations() -> list[dict[str, Any]]:
    base = calibration_record(calibration())
    rows = [
        ("format 2", 0, b"\x02", 48, 0),
        ("both ears", 1, b"\x03", 49, 0),
        ("not zero", 3, b"\x01", 50, 0),
        ("a deaf microphone", 4, struct.pack("<f", 150.5), 51, 0),
        ("a microphone that is not a number", 4, struct.pack("<f", float("nan")), 51, 0),
        ("a weak receiver", 8, struct.pack("<f", 79.5), 52, 0),
        ("an infinite receiver", 8, struct.pack("<f", float("inf")), 52, 0),
        ("a ceiling above the limiter's range", 12, struct.pack("<f", 120.5), 53, 0),
        ("a time before 1970", 20, struct.pack("<q", -5), 54, 0),
        ("a zero within the text", 30, b"\x00", 55, 3),
    ]
    return [
        {
            "name": name,
            "record": changed(base, at, data).hex(),
            "status": STATUS["BAD_VALUE"],
            "field": field,
            "index": index,
        }
        for name, at, data, field, index in rows
    ]


def records() -> dict[str, Any]:
    fittings = {
        "N3 left": fitting(),
        "extremes, right": RIGHT_FITTING,
        "16 points": WIDEST,
        "no audiogram": WITHOUT_AUDIOGRAM,
    }
    calibrations = {
        "a coupler": calibration(),
        "edges": calibration(
            ear=RIGHT,
            microphone_full_scale_db_spl=80.0,
            receiver_full_scale_db_spl=150.0,
            ceiling_db_spl=60.0,
            time=0,
            by="",
        ),
    }
    return {
        "fittings": [
            {"name": name, "fields": fields, "record": fitting_record(fields).hex()}
            for name, fields in fittings.items()
        ],
        "refused_fittings": refused_fittings(),
        "calibrations": [
            {"name": name, "fields": fields, "record": calibration_record(fields).hex()}
            for name, fields in calibrations.items()
        ],
        "refused_calibrations": refused_calibrations(),
        "times": [
            {
                "name": "the device of the conversations",
                "ticks_per_second": DEVICE["ticks_per_second"],
                "times": DEVICE["times"],
                "record": times_record(DEVICE["ticks_per_second"], DEVICE["times"]).hex(),
            }
        ],
    }


# Frames


def frames() -> dict[str, Any]:
    samples = [
        ("a greeting", REQUEST, 0x01, 0, 0x7F3A09C1, b"\x01\x01"),
        ("no payload", REQUEST, 0x02, 1, 1, b""),
        ("zeros", REPLY, 0x03, 0x100, 0x01000000, bytes(113)),
        ("the longest", REQUEST, 0x04, 0xFFFF, 0xFFFFFFFF, bytes(range(1, 114))),
        ("the longest with zeros", REPLY, 0x32, 0x0100, 0x00FF00FF, bytes(range(113))),
        ("an unknown command", REQUEST, 0xEE, 7, 8, b"\xff\x00\xff"),
    ]
    valid = []
    for name, kind, command, sequence, session, payload in samples:
        inside = body(kind, command, sequence, session, payload)
        assert len(wire(inside)) <= 128
        valid.append(
            {
                "name": name,
                "kind": kind,
                "command": command,
                "sequence": sequence,
                "session": session,
                "payload": payload.hex(),
                "body": inside.hex(),
                "wire": wire(inside).hex(),
            }
        )
    good = body(REQUEST, 0x02, 1, 1, b"")
    other = body(REQUEST, 0x09, 2, 1, b"\x01")
    flipped = bytearray(good)
    flipped[3] ^= 0x10
    foreign_kind = body(0x53, 0x02, 1, 1, b"")
    too_long = body(REQUEST, 0x04, 3, 1, bytes(114))
    encoded = cobs.encode(good)

    def stream(name: str, data: bytes, bodies: list[bytes], dropped: int) -> dict[str, Any]:
        found = [inside.hex() for inside in bodies]
        return {"name": name, "bytes": data.hex(), "bodies": found, "dropped": dropped}

    streams = [
        stream("nothing", b"", [], 0),
        stream("zeros", bytes(300), [], 0),
        stream("one", wire(good), [good], 0),
        stream("without the zero before", wire(good)[1:], [good], 0),
        stream("one zero between two", wire(good) + wire(other)[1:], [good, other], 0),
        stream("noise before", b"\x11\x22\x33" + wire(good), [good], 1),
        stream("not ended", wire(good)[:-1], [], 0),
        stream("a flipped bit", wire(bytes(flipped)) + wire(good), [good], 1),
        stream("cut short", wire(good)[:-4] + wire(other), [other], 1),
        stream("a byte lost", b"\0" + encoded[:6] + encoded[7:] + b"\0" + wire(other), [other], 1),
        stream("a code beyond the end", b"\0\x0d\x01\0" + wire(good), [good], 1),
        stream("a single byte", b"\0\x01\0" + wire(good), [good], 1),
        stream("11 bytes", wire(good[:7] + struct.pack("<I", crc(good[:7]))), [], 1),
        stream("126 bytes", wire(too_long) + wire(good), [good], 1),
        stream("a long run of noise", b"\0" + b"\x55" * 1000 + b"\0" + wire(good), [good], 1),
        stream("another kind", wire(foreign_kind) + wire(good), [good], 1),
        stream("twice", wire(good) * 2, [good, good], 0),
    ]
    return {"valid": valid, "streams": streams}


# Conversations


def words(*ears_and_crcs: int) -> bytes:
    return struct.pack(f"<{len(ears_and_crcs)}I", *ears_and_crcs)


class Conversation:
    """Steps of a conversation, and the answers that are expected."""

    def __init__(self, name: str, session: int = 0x7F3A09C1, **device: Any) -> None:
        self.name = name
        self.session = session
        self.sequence = 0
        self.steps: list[dict[str, Any]] = []
        self.device = device
        self.good = 0
        self.dropped = 0
        self.repeats = 0

    def raw(self, sent: bytes, received: bytes, note: str = "") -> None:
        step = {"send": sent.hex(), "receive": received.hex()}
        self.steps.append(step | ({"note": note} if note else {}))

    def exchange(
        self, command: str | int, sequence: int, session: int, payload: bytes, reply: bytes | None
    ) -> tuple[bytes, bytes]:
        """The bytes of a request and of its reply; None is no reply."""
        code = COMMANDS[command] if isinstance(command, str) else command
        sent = wire(body(REQUEST, code, sequence, session, payload))
        received = b"" if reply is None else wire(body(REPLY, code, sequence, session, reply))
        return sent, received

    def ask(
        self,
        command: str | int,
        payload: bytes = b"",
        answer: bytes = b"",
        status: str = "OK",
        field: int = 0,
        index: int = 0,
        note: str = "",
    ) -> None:
        """The next request and its reply."""
        inside = answer if status == "OK" else bytes([index])
        reply = bytes([STATUS[status], field]) + inside
        assert len(reply) <= 113
        sent, received = self.exchange(command, self.sequence, self.session, payload, reply)
        self.raw(sent, received, note)
        self.sequence += 1
        self.good += 1

    def again(self, note: str = "the same once more") -> None:
        last = next(step for step in reversed(self.steps) if "send" in step)
        self.raw(bytes.fromhex(last["send"]), bytes.fromhex(last["receive"]), note)
        self.good += 1
        self.repeats += 1

    def hello(self, session: int | None = None) -> None:
        self.session = self.session if session is None else session
        self.sequence = 0
        answer = struct.pack("<BBHI", 1, DEVICE["ears"], 128, DEVICE["capabilities"])
        self.ask("HELLO", b"\x01\x01", answer)

    def advance(self, milliseconds: int) -> None:
        self.steps.append({"advance_ms": milliseconds})

    def stage(self, record: bytes) -> None:
        """Writes the staged record and reads it back."""
        ear = record[1]
        for at in range(0, len(record), 110):
            part = record[at : at + 110]
            payload = struct.pack("<BH", ear, at) + part
            self.ask("WRITE", payload, struct.pack("<H", at + len(part)))
        self.read(STAGED, record)

    def read(self, what: int, record: bytes, ear: int | None = None, stage: int = 0) -> None:
        for at in range(0, len(record), 109):
            payload = struct.pack("<BBBH", what, record[1] if ear is None else ear, stage, at)
            self.ask("READ", payload, struct.pack("<H", len(record)) + record[at : at + 109])

    def applied(
        self,
        fields: dict[str, Any] | None,
        ear: int = LEFT,
        source: int = 1,
        program: int | None = None,
        output: int = 0,
        calibrated: int = 0,
        left_ms: int = 0,
        volume_db: float = 0.0,
        noise_reduction: float | None = None,
    ) -> None:
        crc_in_force = 0 if fields is None else crc(fitting_record(fields)[:-4])
        shown = UNFITTED if fields is None else fields
        shown_program = shown["program"] if program is None else program
        strength = shown["noise_reduction"] if noise_reduction is None else noise_reduction
        ceiling = DEVICE["uncalibrated_ceiling_db_spl"]
        if calibrated:
            ceiling = calibration()["ceiling_db_spl"]
        answer = struct.pack(
            "<BBBBIIfff11f",
            source,
            shown_program,
            output,
            calibrated,
            crc_in_force,
            left_ms,
            volume_db,
            strength,
            min(shown["mpo_db_spl"], ceiling),
            *(gain + volume_db for gain in shown["gain_65_db"]),
        )
        self.ask("APPLIED", bytes([ear]), answer)

    def identify(
        self, fitted: int = 0, trial: int = 0, calibrated: int = 0, output: int = 0
    ) -> None:
        answer = (
            text(DEVICE["serial"], 16)
            + text(DEVICE["name"], 24)
            + text(DEVICE["firmware"], 16)
            + text(DEVICE["profile"], 16)
            + struct.pack(
                "<IHHBBBBB",
                DEVICE["sample_rate_hz"],
                DEVICE["hop"],
                DEVICE["delay_samples"],
                fitted,
                trial,
                calibrated,
                output,
                DEVICE["active_model_slot"],
            )
        )
        self.ask("IDENTIFY", b"", answer)

    def events(self, *events: tuple[int, int, int, int]) -> None:
        """All events so far: milliseconds, code, ears, argument."""
        packed = b"".join(struct.pack("<IHBBI", ms, code, e, 0, a) for ms, code, e, a in events[:8])
        self.ask("EVENTS", struct.pack("<I", 0), struct.pack("<II", 0, len(events)) + packed)

    def end(self, left: bytes | None, right: bytes | None, **more: Any) -> dict[str, Any]:
        stored = {
            "left": None if left is None else left.hex(),
            "right": None if right is None else right.hex(),
        }
        return {
            "name": self.name,
            "device": self.device,
            "steps": self.steps,
            "end": {"stored": stored, **more},
        }


UNFITTED = fitting(
    gain_65_db=[0.0] * 11,
    compression_ratio=[1.0] * 11,
    thresholds_db_hl=[0.0] * 6,
    mpo_db_spl=80.0,
    noise_reduction=0.0,
)


def seal_of(fields: dict[str, Any]) -> int:
    return crc(fitting_record(fields)[:-4])


def conversations() -> list[dict[str, Any]]:
    left, right = fitting(), RIGHT_FITTING
    left_record, right_record = fitting_record(left), fitting_record(right)
    return [
        look_around(),
        push_left(left, left_record),
        push_both(left, left_record, right, right_record),
        trial_that_ends(left, left_record),
        trial_over_a_stored_fitting(left, left_record),
        retries(left, left_record),
        sessions(left, left_record),
        wrong_requests(left, left_record),
        refused_records(left_record),
        wrong_ear(left_record, right_record),
        controls(left, left_record),
        panic(left, left_record),
        calibrating(left, left_record),
        models(),
        forgetting(left, left_record, right, right_record),
        noise_on_the_line(left, left_record),
    ]


def look_around() -> dict[str, Any]:
    talk = Conversation("a device that was never fitted")
    talk.hello()
    talk.identify()
    talk.applied(None, LEFT, source=0)
    talk.applied(None, RIGHT, source=0)
    talk.ask("LEVELS", b"\x01", struct.pack("<3f", *DEVICE["levels_db_spl"]))
    talk.read(TIMES, times_record(DEVICE["ticks_per_second"], DEVICE["times"]), LEFT, 5)
    for what in (STORED, STAGED, ACTIVE):
        talk.ask("READ", bytes([what, 1, 0, 0, 0]), status="NOTHING_THERE")
    talk.ask("READ_CALIBRATION", b"\x01", status="NOTHING_THERE")
    talk.events((0, 1, 0, 0))
    talk.advance(1234)
    counts = struct.pack("<5Q", *DEVICE["counts"])
    counts += struct.pack("<IIIII", 1234, talk.good + 1, 0, 0, 0)
    talk.ask("COUNTS", b"\x02", counts)
    return talk.end(None, None)


def push_left(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("one ear: staged, read back, committed, verified")
    talk.hello()
    talk.identify()
    talk.stage(record)
    talk.applied(None, LEFT, source=0)
    talk.ask("COMMIT", b"\x01" + words(seal_of(fields), 0), words(1))
    talk.applied(fields)
    talk.applied(None, RIGHT, source=0)
    talk.read(STORED, record)
    talk.read(ACTIVE, record)
    talk.ask("READ", bytes([STAGED, 1, 0, 0, 0]), status="NOTHING_THERE")
    talk.identify(fitted=LEFT)
    talk.events((0, 1, 0, 0), (0, 2, LEFT, 1))
    return talk.end(record, None)


def push_both(
    left: dict[str, Any], left_record: bytes, right: dict[str, Any], right_record: bytes
) -> dict[str, Any]:
    talk = Conversation("both ears in one commit")
    talk.hello()
    talk.stage(left_record)
    talk.ask(
        "COMMIT",
        b"\x03" + words(seal_of(left), seal_of(right)),
        status="NOTHING_THERE",
        note="all or none: the right ear is not staged",
    )
    talk.stage(right_record)
    talk.ask(
        "COMMIT",
        b"\x03" + words(seal_of(left), seal_of(right) ^ 1),
        status="BAD_CRC",
        note="all or none: the right ear's CRC is another",
    )
    talk.ask("READ", bytes([STORED, 1, 0, 0, 0]), status="NOTHING_THERE")
    talk.ask("COMMIT", b"\x03" + words(seal_of(left), seal_of(right)), words(1))
    talk.applied(left)
    # The music program: no noise reduction.
    talk.applied(right, RIGHT, noise_reduction=0.0)
    talk.identify(fitted=BOTH)
    return talk.end(left_record, right_record)


def trial_that_ends(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("a trial returns by itself")
    talk.hello()
    talk.stage(record)
    talk.ask("TRY", struct.pack("<BHII", LEFT, 30, seal_of(fields), 0))
    talk.applied(fields, source=2, left_ms=30000)
    talk.advance(29999)
    talk.applied(fields, source=2, left_ms=1)
    talk.identify(trial=LEFT)
    talk.read(ACTIVE, record)
    talk.ask("READ", bytes([STORED, 1, 0, 0, 0]), status="NOTHING_THERE")
    talk.advance(1)
    talk.applied(None, source=0)
    talk.events((0, 1, 0, 0), (0, 3, LEFT, 30), (30000, 4, LEFT, 0))
    return talk.end(None, None)


def trial_over_a_stored_fitting(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("a trial, another one, ended, and one that is committed")
    first = fitting(version=2, gain_65_db=[10.0] * 11)
    second = fitting(version=3, gain_65_db=[20.0] * 11, program=1, noise_reduction=0.25)
    talk.hello()
    talk.stage(record)
    talk.ask("COMMIT", b"\x01" + words(seal_of(fields), 0), words(1))
    talk.stage(fitting_record(first))
    talk.ask("TRY", struct.pack("<BHII", LEFT, 60, seal_of(first), 0))
    talk.stage(fitting_record(second))
    talk.applied(first, source=2, left_ms=60000)
    talk.read(ACTIVE, fitting_record(first))
    talk.advance(5000)
    talk.ask("TRY", struct.pack("<BHII", LEFT, 10, seal_of(second), 0))
    # The noise program: all that the net asks for.
    talk.applied(second, source=2, left_ms=10000, noise_reduction=1.0)
    talk.ask("REVERT", b"\x03", b"\x01")
    talk.applied(fields)
    talk.ask("REVERT", b"\x03", b"\x00", note="there is no trial any more")
    talk.ask("TRY", struct.pack("<BHII", LEFT, 10, seal_of(second), 0))
    talk.ask("COMMIT", b"\x01" + words(seal_of(second), 0), words(2))
    talk.advance(20000)
    talk.applied(second, noise_reduction=1.0)
    return talk.end(fitting_record(second), None)


def retries(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("a request that comes twice is carried out once")
    talk.hello()
    talk.again("a greeting that comes twice")
    talk.stage(record)
    talk.again()
    talk.ask("COMMIT", b"\x01" + words(seal_of(fields), 0), words(1))
    talk.again("stored once: the number of the settings is still 1")
    talk.again()
    stale = bytes.fromhex(talk.steps[1 + 1]["send"])
    talk.raw(stale, b"", "a late copy of an older request")
    talk.good += 1
    talk.raw(bytes.fromhex(talk.steps[0]["send"]), b"", "a late copy of the greeting")
    talk.good += 1
    talk.sequence += 500
    talk.applied(fields)
    talk.again("after a gap in the numbers")
    counts = struct.pack("<5Q", *DEVICE["counts"])
    counts += struct.pack("<IIIII", 0, talk.good + 1, 0, talk.repeats, 1)
    talk.ask("COUNTS", b"\x01", counts)
    return talk.end(record, None)


def sessions(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("sessions: none yet, another, a late greeting of the one before", session=5)
    talk.ask("IDENTIFY", status="NO_SESSION")
    talk.sequence = 0
    talk.ask("HELLO", b"\x02\x09", status="WRONG_VERSION", index=1)
    talk.hello(5)
    first_greeting = bytes.fromhex(talk.steps[-1]["send"])
    talk.stage(record)
    talk.ask("TRY", struct.pack("<BHII", LEFT, 30, seal_of(fields), 0))
    talk.hello(6)
    talk.raw(first_greeting, b"", "the greeting of the session before")
    talk.ask("READ", bytes([STAGED, 1, 0, 0, 0]), status="NOTHING_THERE")
    talk.applied(fields, source=2, left_ms=30000)
    talk.ask(
        "COMMIT",
        b"\x01" + words(seal_of(fields), 0),
        status="NOTHING_THERE",
        note="what was staged went with its session",
    )
    sent, received = talk.exchange("IDENTIFY", 9, 5, b"", bytes([STATUS["NO_SESSION"], 0, 0]))
    talk.raw(sent, received, "the session before")
    talk.ask("HELLO", b"\x01\x01", status="BAD_VALUE", field=44, note="not the first of a session")
    talk.session, talk.sequence = 0, 0
    talk.ask("HELLO", b"\x01\x01", status="BAD_VALUE", field=44, note="session 0")
    talk.sequence = 0
    talk.ask("HELLO", b"\x02\x01", status="BAD_VALUE", field=43)
    talk.session, talk.sequence = 6, 50
    talk.identify(trial=LEFT)
    return talk.end(None, None)


def wrong_requests(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("requests that are refused have no effect")
    talk.hello()
    talk.stage(record)
    talk.ask("COMMIT", b"\x01" + words(seal_of(fields), 0), words(1))
    talk.ask(0xEE, b"\x01", status="UNKNOWN_COMMAND")
    talk.ask(0x00, status="UNKNOWN_COMMAND")
    for command in COMMANDS:
        if command not in ("WRITE", "MODEL_WRITE"):
            talk.ask(command, bytes(90), status="BAD_LENGTH")
    for command in ("WRITE", "MODEL_WRITE", "COMMIT", "READ", "APPLIED"):
        talk.ask(command, b"", status="BAD_LENGTH")
    for command in ("APPLIED", "LEVELS", "COUNTS", "READ_CALIBRATION"):
        for ear in (0, 3, 255):
            talk.ask(command, bytes([ear]), status="BAD_VALUE", field=32)
    for ears in (0, 4, 255):
        talk.ask("REVERT", bytes([ears]), status="BAD_VALUE", field=32)
        talk.ask("VOLUME", struct.pack("<Bf", ears, 0.0), status="BAD_VALUE", field=32)
    talk.ask("MUTE", b"\x02", status="BAD_VALUE", field=37)
    talk.ask("TRY", struct.pack("<BHII", LEFT, 0, 0, 0), status="BAD_VALUE", field=33)
    talk.ask("TRY", struct.pack("<BHII", LEFT, 601, 0, 0), status="BAD_VALUE", field=33)
    talk.ask("TRY", struct.pack("<BHII", LEFT, 30, 0, 0), status="NOTHING_THERE")
    nan, infinity = float("nan"), float("inf")
    for volume in (10.5, -40.5, nan, infinity, -infinity, 1e30):
        talk.ask("VOLUME", struct.pack("<Bf", 3, volume), status="BAD_VALUE", field=34)
    for strength in (-0.5, 1.5, nan, infinity):
        payload = struct.pack("<Bf", 1, strength)
        talk.ask("NOISE_REDUCTION", payload, status="BAD_VALUE", field=36)
    talk.ask("PROGRAM", b"\x01\x03", status="BAD_VALUE", field=35)
    talk.ask("PROGRAM", b"\x03\x01", status="NOTHING_THERE", note="the right ear is unfitted")
    talk.ask("READ", bytes([0, 1, 0, 0, 0]), status="BAD_VALUE", field=39)
    talk.ask("READ", bytes([5, 1, 0, 0, 0]), status="BAD_VALUE", field=39)
    talk.ask("READ", bytes([TIMES, 1, 6, 0, 0]), status="BAD_VALUE", field=38)
    talk.ask("READ", bytes([STORED, 1, 1, 0, 0]), status="BAD_VALUE", field=38)
    talk.ask("READ", struct.pack("<BBBH", STORED, 1, 0, 297), status="BAD_OFFSET")
    talk.ask("READ", struct.pack("<BBBH", STORED, 1, 0, 296), struct.pack("<H", 296))
    talk.ask("READ", struct.pack("<BBBH", TIMES, 1, 5, 109), status="BAD_OFFSET")
    talk.ask("MODEL_INFO", b"\x02", status="BAD_VALUE", field=40)
    talk.ask("WRITE", struct.pack("<BH", 1, 4) + b"abc", status="BAD_OFFSET")
    talk.ask("WRITE", struct.pack("<BH", 1, 0) + record[:100], struct.pack("<H", 100))
    talk.ask("WRITE", struct.pack("<BH", 1, 99) + record[99:120], status="BAD_OFFSET")
    talk.ask("READ", bytes([STAGED, 1, 0, 0, 0]), status="NOTHING_THERE")
    talk.ask("WRITE", struct.pack("<BH", 1, 100) + record[100:210], struct.pack("<H", 210))
    talk.ask("WRITE", struct.pack("<BH", 1, 210) + bytes(90), status="BAD_OFFSET")
    talk.ask("WRITE", struct.pack("<BH", 1, 210) + record[210:], struct.pack("<H", 296))
    talk.ask("WRITE", struct.pack("<BH", 1, 296) + b"a", status="BAD_OFFSET")
    talk.read(STAGED, record)
    talk.applied(fields)
    return talk.end(record, None)


def refused_records(good: bytes) -> dict[str, Any]:
    talk = Conversation("records that are refused are dropped, and the fitting stays")
    talk.hello()
    talk.stage(good)
    stored = struct.unpack("<I", good[-4:])[0]
    talk.ask("COMMIT", b"\x01" + words(stored, 0), words(1))
    too_loud = changed(good, 204, struct.pack("<f", 130.0))
    damaged = good[:150] + bytes([good[150] ^ 1]) + good[151:]
    for bad, status, field in ((too_loud, "BAD_VALUE", 14), (damaged, "BAD_CRC", 0)):
        for at in (0, 110):
            payload = struct.pack("<BH", LEFT, at) + bad[at : at + 110]
            talk.ask("WRITE", payload, struct.pack("<H", at + 110))
        payload = struct.pack("<BH", LEFT, 220) + bad[220:]
        talk.ask("WRITE", payload, status=status, field=field)
        talk.ask("READ", bytes([STAGED, 1, 0, 0, 0]), status="NOTHING_THERE")
        seal = struct.unpack("<I", bad[-4:])[0]
        talk.ask("COMMIT", b"\x01" + words(seal, 0), status="NOTHING_THERE")
        talk.ask("TRY", struct.pack("<BHII", LEFT, 5, seal, 0), status="NOTHING_THERE")
    talk.applied(fitting())
    return talk.end(good, None)


def wrong_ear(left_record: bytes, right_record: bytes) -> dict[str, Any]:
    talk = Conversation("a record of the other ear is refused")
    talk.hello()
    for ear, record in ((RIGHT, left_record), (LEFT, right_record)):
        for at in (0, 110):
            payload = struct.pack("<BH", ear, at) + record[at : at + 110]
            talk.ask("WRITE", payload, struct.pack("<H", at + 110))
        payload = struct.pack("<BH", ear, 220) + record[220:]
        talk.ask("WRITE", payload, status="BAD_VALUE", field=2)
    talk.stage(left_record)
    seal = struct.unpack("<I", left_record[-4:])[0]
    talk.ask("COMMIT", b"\x02" + words(0, seal), status="NOTHING_THERE")
    talk.ask("COMMIT", b"\x01" + words(0, seal), status="BAD_CRC")
    talk.ask("COMMIT", b"\x01" + words(seal, seal), status="BAD_CRC", note="not among the ears: 0")
    return talk.end(None, None)


def controls(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("volume, program, noise reduction, mute")
    half = fields | {"noise_reduction": 0.5}
    half_record = fitting_record(half)
    talk.hello()
    talk.stage(half_record)
    talk.ask("COMMIT", b"\x01" + words(seal_of(half), 0), words(1))
    talk.ask("VOLUME", struct.pack("<Bf", 1, -40.0))
    talk.applied(half, volume_db=-40.0)
    talk.ask("VOLUME", struct.pack("<Bf", 3, 10.0))
    talk.applied(half, volume_db=10.0)
    talk.applied(None, RIGHT, source=0, volume_db=10.0)
    talk.ask("PROGRAM", b"\x01\x01")
    talk.applied(half, volume_db=10.0, program=1, noise_reduction=1.0)
    talk.ask("NOISE_REDUCTION", struct.pack("<Bf", 1, 0.25))
    talk.applied(half, volume_db=10.0, program=1, noise_reduction=0.25)
    talk.ask("PROGRAM", b"\x01\x02")
    talk.applied(half, volume_db=10.0, program=2, noise_reduction=0.0)
    talk.ask("PROGRAM", b"\x01\x00")
    talk.applied(half, volume_db=10.0)
    talk.ask("MUTE", b"\x01")
    talk.identify(fitted=LEFT, output=MUTED)
    talk.applied(half, volume_db=10.0, output=MUTED)
    talk.ask("MUTE", b"\x00")
    talk.applied(half, volume_db=10.0)
    talk.ask("NOISE_REDUCTION", struct.pack("<Bf", 2, 0.25), status="NOTHING_THERE")
    return talk.end(half_record, None)


def panic(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("panic: in any session, again and again")
    reply = bytes([0, 0])
    sent, received = talk.exchange("PANIC", 77, 0xABCDEF01, b"", reply)
    talk.raw(sent, received, "before any session")
    talk.hello()
    talk.identify(output=SILENT)
    talk.ask("MUTE", b"\x00")
    talk.stage(record)
    talk.ask("TRY", struct.pack("<BHII", LEFT, 30, seal_of(fields), 0))
    last = talk.sequence - 1
    sent, received = talk.exchange("PANIC", last, talk.session, b"", reply)
    talk.raw(sent, received, "with the number of the last request")
    talk.raw(sent, received, "again")
    talk.applied(None, source=0, output=SILENT)
    talk.identify(output=SILENT)
    talk.ask("MUTE", b"\x00")
    talk.applied(None, source=0)
    sent, received = talk.exchange("PANIC", 0, 1, b"\x00", bytes([STATUS["BAD_LENGTH"], 0, 0]))
    talk.raw(sent, received)
    talk.identify()
    return talk.end(None, None)


def calibrating(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("calibration: apart from fittings, only while muted")
    stored = calibration_record(calibration())
    confirm = struct.pack("<I", CALIBRATE)
    talk.hello()
    talk.stage(record)
    talk.ask("COMMIT", b"\x01" + words(seal_of(fields), 0), words(1))
    talk.ask("WRITE_CALIBRATION", confirm + stored, status="NOT_NOW")
    talk.ask("MUTE", b"\x01")
    talk.ask("WRITE_CALIBRATION", words(CALIBRATE ^ 1) + stored, status="BAD_VALUE", field=42)
    damaged = stored[:20] + b"\xff" + stored[21:]
    talk.ask("WRITE_CALIBRATION", confirm + damaged, status="BAD_CRC")
    loud = changed(stored, 8, struct.pack("<f", 60.0))
    talk.ask("WRITE_CALIBRATION", confirm + loud, status="BAD_VALUE", field=52)
    talk.ask("WRITE_CALIBRATION", confirm + stored)
    talk.ask("READ_CALIBRATION", b"\x01", stored)
    talk.ask("READ_CALIBRATION", b"\x02", status="NOTHING_THERE")
    talk.ask("MUTE", b"\x00")
    talk.applied(fields, calibrated=1)
    talk.read(STORED, record)
    talk.identify(fitted=LEFT, calibrated=LEFT)
    return talk.end(record, None, calibration={"left": stored.hex(), "right": None})


def models() -> dict[str, Any]:
    talk = Conversation("model upload: resumed, and refused by hash")
    image = bytes((7 * i + 3) % 256 for i in range(250))
    name = bytes(range(32))
    begin = struct.pack("<I", len(image)) + name
    empty = struct.pack("<BII", 0, 0, 0) + bytes(32)
    talk.hello()
    talk.ask("MODEL_INFO", b"\x00", empty)
    talk.ask("MODEL_INFO", b"\x01", empty)
    talk.ask("MODEL_WRITE", words(0) + image[:96], status="NOT_NOW")
    talk.ask("MODEL_ACTIVATE", b"\x00" + name, status="BAD_HASH")
    talk.ask("MODEL_BEGIN", words(4097) + name, status="BAD_MODEL")
    talk.ask("MODEL_BEGIN", words(63) + name, status="BAD_VALUE", field=41)
    talk.ask("MODEL_BEGIN", begin, struct.pack("<BI", 0, 0))
    talk.ask("MODEL_WRITE", words(0) + image[:96], words(96))
    talk.again()
    talk.ask("MODEL_WRITE", words(96) + image[96:191], status="BAD_LENGTH")
    talk.ask("MODEL_WRITE", words(0) + image[:96], status="BAD_OFFSET")
    talk.ask("MODEL_INFO", b"\x00", struct.pack("<BII", 1, 250, 96) + name)
    talk.ask("MODEL_ACTIVATE", b"\x00" + name, status="NOT_NOW")
    talk.hello(99)
    talk.ask("MODEL_BEGIN", begin, struct.pack("<BI", 0, 96), note="resumed in another session")
    talk.ask("MODEL_WRITE", words(96) + image[96:192], words(192))
    talk.ask("MODEL_WRITE", words(192) + image[192:], words(250))
    talk.ask("MODEL_WRITE", words(250) + b"\x00", status="NOT_NOW")
    talk.ask("MODEL_ACTIVATE", b"\x00" + name, status="BAD_HASH")
    talk.ask("MODEL_INFO", b"\x00", empty)
    talk.identify()
    return talk.end(None, None)


def forgetting(
    left: dict[str, Any], left_record: bytes, right: dict[str, Any], right_record: bytes
) -> dict[str, Any]:
    talk = Conversation("factory reset")
    stored = calibration_record(calibration())
    talk.hello()
    talk.stage(left_record)
    talk.stage(right_record)
    talk.ask("COMMIT", b"\x03" + words(seal_of(left), seal_of(right)), words(1))
    talk.ask("MUTE", b"\x01")
    talk.ask("WRITE_CALIBRATION", struct.pack("<I", CALIBRATE) + stored)
    talk.ask("FACTORY_RESET", struct.pack("<BI", 1, RESET ^ 1), status="BAD_VALUE", field=42)
    talk.ask("FACTORY_RESET", struct.pack("<BI", 0, RESET), status="BAD_VALUE", field=45)
    talk.ask("FACTORY_RESET", struct.pack("<BI", 4, RESET), status="BAD_VALUE", field=45)
    talk.ask("FACTORY_RESET", struct.pack("<BI", 1, RESET), b"\x01")
    talk.identify(calibrated=LEFT, output=MUTED)
    talk.applied(None, LEFT, source=0, output=MUTED, calibrated=1)
    talk.ask("READ", bytes([STORED, 2, 0, 0, 0]), status="NOTHING_THERE")
    talk.ask("FACTORY_RESET", struct.pack("<BI", 3, RESET), b"\x03")
    talk.identify(output=MUTED)
    return talk.end(None, None, calibration={"left": None, "right": None})


def noise_on_the_line(fields: dict[str, Any], record: bytes) -> dict[str, Any]:
    talk = Conversation("damaged frames have no effect")
    talk.hello()
    talk.stage(record)
    payload = b"\x01" + words(seal_of(fields), 0)
    sent, _ = talk.exchange("COMMIT", talk.sequence, talk.session, payload, None)
    for at in range(1, len(sent) - 1):
        for flip in (0x01, 0x80):
            damaged = bytearray(sent)
            damaged[at] ^= flip
            talk.raw(bytes(damaged), b"")
    for at in range(1, len(sent) - 1):
        talk.raw(sent[:at] + sent[at + 1 :], b"")
        talk.raw(sent[:at] + b"\0", b"")
    talk.ask("READ", bytes([STORED, 1, 0, 0, 0]), status="NOTHING_THERE")
    talk.ask("COMMIT", payload, words(1))
    return talk.end(record, None)


# Payloads


def payloads() -> list[dict[str, Any]]:
    """One request and one answer of every command, with the fields named."""
    name = bytes(range(32))
    seals = {"crc_left": 0x12345678, "crc_right": 0}
    seal_bytes = words(seals["crc_left"], seals["crc_right"])

    def pair(
        command: str,
        request: dict[str, Any],
        request_bytes: bytes,
        answer: dict[str, Any],
        answer_bytes: bytes,
    ) -> dict[str, Any]:
        return {
            "command": command,
            "code": COMMANDS[command],
            "request": request,
            "request_payload": request_bytes.hex(),
            "answer": answer,
            "reply_payload": (b"\0\0" + answer_bytes).hex(),
        }

    identity = (
        text("NA-0001", 16)
        + text("bench device", 24)
        + text("1.2.3", 16)
        + text("wear", 16)
        + struct.pack("<IHHBBBBB", 16000, 32, 64, 1, 2, 3, 0, 255)
    )
    record = fitting_record(fitting())
    stored = calibration_record(calibration())
    gains = [0.5 * i for i in range(11)]
    event = {"ms": 5, "code": 3, "ears": 1, "argument": 30}
    return [
        pair(
            "HELLO",
            {"lowest": 1, "highest": 1},
            b"\x01\x01",
            {"version": 1, "ears": 3, "longest_frame": 128, "capabilities": 31},
            struct.pack("<BBHI", 1, 3, 128, 31),
        ),
        pair(
            "IDENTIFY",
            {},
            b"",
            {
                "serial": "NA-0001",
                "name": "bench device",
                "firmware": "1.2.3",
                "profile": "wear",
                "sample_rate_hz": 16000,
                "hop": 32,
                "delay_samples": 64,
                "fitted": 1,
                "on_trial": 2,
                "calibrated": 3,
                "output": 0,
                "active_model_slot": 255,
            },
            identity,
        ),
        pair(
            "READ",
            {"object": 1, "ear": 2, "stage": 0, "offset": 109},
            struct.pack("<BBBH", 1, 2, 0, 109),
            {"length": 296, "data": record[109:218].hex()},
            struct.pack("<H", 296) + record[109:218],
        ),
        pair(
            "WRITE",
            {"ear": 1, "offset": 220, "data": record[220:].hex()},
            struct.pack("<BH", 1, 220) + record[220:],
            {"received": 296},
            struct.pack("<H", 296),
        ),
        pair(
            "TRY",
            {"ears": 1, "seconds": 600, **seals},
            struct.pack("<BH", 1, 600) + seal_bytes,
            {},
            b"",
        ),
        pair("COMMIT", {"ears": 1, **seals}, b"\x01" + seal_bytes, {"number": 9}, words(9)),
        pair("REVERT", {"ears": 3}, b"\x03", {"ended": 1}, b"\x01"),
        pair(
            "APPLIED",
            {"ear": 2},
            b"\x02",
            {
                "source": 2,
                "program": 1,
                "output": 0,
                "calibrated": 1,
                "crc": 0x89ABCDEF,
                "trial_left_ms": 1500,
                "volume_db": -2.5,
                "noise_reduction": 0.75,
                "mpo_db_spl": 110.0,
                "gain_65_db": gains,
            },
            struct.pack("<BBBBIIfff11f", 2, 1, 0, 1, 0x89ABCDEF, 1500, -2.5, 0.75, 110.0, *gains),
        ),
        pair(
            "LEVELS",
            {"ear": 1},
            b"\x01",
            {
                "input_db_spl": 61.5,
                "output_db_spl": 78.25,
                "output_peak_db_spl": 90.5,
            },
            struct.pack("<3f", 61.5, 78.25, 90.5),
        ),
        pair(
            "COUNTS",
            {"ear": 1},
            b"\x01",
            {
                "steps": 1 << 40,
                "missed_steps": 42,
                "non_finite_samples": 7,
                "hops": 1 << 41,
                "late_hops": 3,
                "uptime_ms": 1234,
                "good_frames": 5,
                "dropped_frames": 6,
                "repeats": 8,
                "settings_number": 9,
            },
            struct.pack("<5Q5I", 1 << 40, 42, 7, 1 << 41, 3, 1234, 5, 6, 8, 9),
        ),
        pair(
            "EVENTS",
            {"first": 17},
            words(17),
            {"oldest": 10, "next": 18, "events": [event]},
            words(10, 18) + struct.pack("<IHBBI", 5, 3, 1, 0, 30),
        ),
        pair("MUTE", {"on": 1}, b"\x01", {}, b""),
        pair("PANIC", {}, b"", {}, b""),
        pair("VOLUME", {"ears": 2, "volume_db": -6.0}, struct.pack("<Bf", 2, -6.0), {}, b""),
        pair("PROGRAM", {"ears": 1, "program": 2}, b"\x01\x02", {}, b""),
        pair(
            "NOISE_REDUCTION",
            {"ears": 1, "noise_reduction": 0.5},
            struct.pack("<Bf", 1, 0.5),
            {},
            b"",
        ),
        pair("READ_CALIBRATION", {"ear": 1}, b"\x01", {"record": stored.hex()}, stored),
        pair("WRITE_CALIBRATION", {"record": stored.hex()}, words(CALIBRATE) + stored, {}, b""),
        pair(
            "MODEL_INFO",
            {"slot": 1},
            b"\x01",
            {"state": 2, "length": 250000, "received": 250000, "sha256": name.hex()},
            struct.pack("<BII", 2, 250000, 250000) + name,
        ),
        pair(
            "MODEL_BEGIN",
            {"length": 250000, "sha256": name.hex()},
            words(250000) + name,
            {"slot": 1, "received": 96},
            struct.pack("<BI", 1, 96),
        ),
        pair(
            "MODEL_WRITE",
            {"offset": 96, "data": "010203"},
            words(96) + b"\x01\x02\x03",
            {"received": 99},
            words(99),
        ),
        pair(
            "MODEL_ACTIVATE",
            {"slot": 1, "sha256": name.hex()},
            b"\x01" + name,
            {"after_restart": 1},
            b"\x01",
        ),
        pair("FACTORY_RESET", {"what": 3}, struct.pack("<BI", 3, RESET), {"what": 3}, b"\x03"),
    ]


def main() -> None:
    for name, content in (
        ("frames", frames()),
        ("payloads", payloads()),
        ("records", records()),
        ("conversations", {"device": DEVICE, "conversations": conversations()}),
    ):
        path = HERE / f"{name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()

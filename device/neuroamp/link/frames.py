"""Frames: COBS between zeros, a CRC-32, and nothing that raises on any bytes.

wire   00 | COBS( kind, command, sequence, session, payload, CRC-32 ) | 00
"""

from __future__ import annotations

import dataclasses
import enum
import struct
import zlib

HEADER = struct.Struct("<BBHI")
CRC = struct.Struct("<I")
LONGEST_BODY = 125
LONGEST_CODED = LONGEST_BODY + 1
"""COBS adds one byte to a body of up to 254."""


class Kind(enum.IntEnum):
    """Who sent a frame."""

    REQUEST = 0x51
    REPLY = 0x52


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        kind: request or reply.
        command: number of the command, known or not.
        sequence: 0 to 65,535.
        session: 32 bits.
        payload: at most 113 bytes.
    """

    kind: Kind
    command: int
    sequence: int
    session: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """The frame on the wire, at most 128 bytes.

        Raises:
            ValueError: the payload is too long.
        """
        from cobs import cobs

        body = HEADER.pack(self.kind, self.command, self.sequence, self.session) + self.payload
        body += CRC.pack(zlib.crc32(body))
        if len(body) > LONGEST_BODY:
            raise ValueError(f"a payload of {len(self.payload)} bytes")
        return b"\0" + bytes(cobs.encode(body)) + b"\0"

    @classmethod
    def decode(cls, coded: bytes) -> Frame | None:
        """The frame of the bytes between two zeros; None where it is damaged."""
        from cobs import cobs

        try:
            body = bytes(cobs.decode(coded))
        except cobs.DecodeError:
            return None
        if not HEADER.size + CRC.size <= len(body) <= LONGEST_BODY:
            return None
        inside, (seal,) = body[: -CRC.size], CRC.unpack(body[-CRC.size :])
        if zlib.crc32(inside) != seal:
            return None
        kind, command, sequence, session = HEADER.unpack_from(inside)
        if kind not in (Kind.REQUEST, Kind.REPLY):
            return None
        return cls(Kind(kind), command, sequence, session, inside[HEADER.size :])


class FrameReader:
    """Finds the frames of one kind in a stream that may hold anything.

    Attributes:
        good: frames so far.
        dropped: what stood between zeros and was no such frame.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._coded = bytearray()
        self.good = 0
        self.dropped = 0

    def push(self, data: bytes) -> list[Frame]:
        """The frames that end within `data`, the next bytes of the stream."""
        found = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._keep(piece)
            if self._coded:
                frame = Frame.decode(bytes(self._coded))
                if frame is None or frame.kind != self._kind:
                    self.dropped += 1
                else:
                    self.good += 1
                    found.append(frame)
                self._coded.clear()
        self._keep(rest)
        return found

    def reset(self) -> None:
        """Forgets the frame that has begun, as when a line was cut."""
        self._coded.clear()

    def _keep(self, piece: bytes) -> None:
        # One byte more than a frame can have marks it as too long, whatever follows.
        self._coded += piece[: LONGEST_CODED + 1 - len(self._coded)]

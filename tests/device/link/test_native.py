"""The link in C against the link in Python: the same bytes in, the same bytes out."""

from __future__ import annotations

import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neuroamp.audiogram import Ear
from neuroamp.engines.native import library_path
from neuroamp.link.codes import Command, Source
from neuroamp.link.dispatcher import DeviceInfo, Dispatcher
from neuroamp.link.frames import Frame, FrameReader, Kind
from neuroamp.link.messages import BOTH_EARS, Applied, Ears, decode_reply
from neuroamp.link.models import ModelSlots
from neuroamp.link.native import EmulatedFlash, NativeDispatcher
from neuroamp.link.settings import MemoryStorage, Settings

from .test_dispatcher import DEVICE, REQUESTS, part_of_the_vectors

TALKS = json.loads((Path(__file__).parents[2] / "data/link/conversations.json").read_text())[
    "conversations"
]
RECORD = bytes.fromhex(
    next(told for told in TALKS if told["end"]["stored"]["left"])["end"]["stored"]["left"]
)
SESSION = 9

pytestmark = pytest.mark.skipif(library_path() is None, reason="the core was not built")


class Pair:
    """The device of the vectors twice: in Python and in C.

    Attributes:
        passes_ms: how far the clock goes on at every look at it.
    """

    def __init__(self, ears: Ears = BOTH_EARS) -> None:
        self.now_ms = self.passes_ms = 0
        self.parts = (part_of_the_vectors(), part_of_the_vectors())
        info = DeviceInfo(
            **{name: DEVICE[name] for name in ("serial", "name", "firmware", "profile")},
            sample_rate_hz=DEVICE["sample_rate_hz"],
            hop=DEVICE["hop"],
            delay_samples=DEVICE["delay_samples"],
            ears=ears,
            has_net=True,
        )
        storage = MemoryStorage()
        storage.lasting = True
        self.settings = Settings(storage)
        slot_bytes = DEVICE["model_slot_bytes"]
        models = ModelSlots(storage, slot_bytes)

        def now_ms() -> int:
            self.now_ms += self.passes_ms
            return self.now_ms

        self.python = Dispatcher(info, self.parts[0], self.settings, models, now_ms)
        self.native = NativeDispatcher(
            info, self.parts[1], EmulatedFlash(), now_ms, model_slot_bytes=slot_bytes
        )

    def receive(self, data: bytes) -> bytes:
        """Gives both the same bytes; they must answer the same and be the same afterwards."""
        answer = self.python.receive(data)
        assert self.native.receive(data) == answer
        for ear in Ear:
            assert self.native.fitting(ear) == self.settings.fitting(ear)
            assert self.native.calibration(ear) == self.settings.calibration(ear)
            python, native = (part.fittings[ear] for part in self.parts)
            assert native == python.replace(rule="")
        assert self.parts[0].output() == self.parts[1].output()
        assert self.parts[0].volumes == self.parts[1].volumes
        return answer

    def advance(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        self.python.poll()
        self.native.poll()


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk["name"])
def test_a_conversation_goes_as_its_vector(talk: dict[str, Any]) -> None:
    pair = Pair()
    for step in talk["steps"]:
        if "advance_ms" in step:
            pair.advance(step["advance_ms"])
        else:
            assert pair.receive(bytes.fromhex(step["send"])).hex() == step["receive"]


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_mutated_streams_are_taken_alike(seed: int) -> None:
    pair, rng = Pair(), random.Random(seed)
    stream = bytearray(b"".join(rng.choices(REQUESTS, k=30)))
    for _ in range(rng.randrange(12)):
        at, kind = rng.randrange(len(stream)), rng.randrange(3)
        if kind == 0:
            stream[at] ^= rng.randrange(1, 256)
        elif kind == 1:
            del stream[at]
        else:
            stream[at:at] = rng.randbytes(rng.randrange(1, 9))
    while stream:
        count = rng.randrange(1, 400)
        pair.receive(bytes(stream[:count]))
        del stream[:count]
        pair.advance(rng.randrange(3000))


def ask(pair: Pair, command: Command, payload: bytes, sequence: int) -> None:
    pair.receive(Frame(Kind.REQUEST, command, sequence, SESSION, payload).encode())


def begin_trial(pair: Pair, seconds: int) -> int:
    """Tries the left ear's record in a new session; the next sequence number."""
    ask(pair, Command.HELLO, b"\x01\x01", 0)
    offsets = range(0, len(RECORD), 110)
    for number, offset in enumerate(offsets, 1):
        part = RECORD[offset : offset + 110]
        ask(pair, Command.WRITE, b"\x01" + offset.to_bytes(2, "little") + part, number)
    trial = b"\x01" + seconds.to_bytes(2, "little") + RECORD[-4:] + bytes(4)
    ask(pair, Command.TRY, trial, len(offsets) + 1)
    return len(offsets) + 2


def test_a_trial_whose_end_is_refused_goes_on_alike() -> None:
    pair = Pair()
    sequence = begin_trial(pair, 2)
    for milliseconds in (1999, 2, 400, 700, 2500):
        for part in pair.parts:
            part.refuses = milliseconds != 2500
        pair.advance(milliseconds)
        ask(pair, Command.APPLIED, b"\x01", sequence)
        ask(pair, Command.EVENTS, bytes(4), sequence + 1)
        sequence += 2


def test_a_trial_that_ends_between_two_looks_at_the_clock_has_nothing_left_in_c() -> None:
    pair = Pair()
    sequence = begin_trial(pair, 30)
    pair.now_ms, pair.passes_ms = 30_000 - 3, 2
    question = Frame(Kind.REQUEST, Command.APPLIED, sequence, SESSION, b"\x01").encode()
    (reply,) = FrameReader(Kind.REPLY).push(pair.native.receive(question))
    applied = decode_reply(reply.payload, Applied)
    assert (applied.source, applied.trial_left_ms) == (Source.TRIAL, 0)


VALUES = st.one_of(
    st.sampled_from([b"\x00", b"\x01", b"\x02", b"\x03", b"\x04", b"\x6e\x00", b"\xff"]),
    st.sampled_from([b"CALB", b"RSET", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x3f", b"\x00" * 4]),
    st.binary(max_size=8),
)


@settings(max_examples=60)
@given(
    st.sampled_from([BOTH_EARS, frozenset([Ear.LEFT]), frozenset([Ear.RIGHT])]),
    st.lists(st.tuples(st.sampled_from(list(Command)), st.lists(VALUES, max_size=6))),
)
def test_any_payload_is_taken_alike(
    ears: Ears, requests: list[tuple[Command, list[bytes]]]
) -> None:
    pair = Pair(ears)
    pair.receive(Frame(Kind.REQUEST, Command.HELLO, 0, SESSION, b"\x01\x01").encode())
    for sequence, (command, values) in enumerate(requests, 1):
        payload = b"".join(values)[:113]
        pair.receive(Frame(Kind.REQUEST, command, sequence, SESSION, payload).encode())
        pair.advance(400)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_records_with_changed_bytes_are_judged_alike(seed: int) -> None:
    """A fitting in which some bytes are others, its CRC made right, staged and committed."""
    rng, record = random.Random(seed), bytearray(RECORD)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(record) - 4)
        record[at] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xFF, record[at] ^ 1, rng.randrange(256)))
    record[-4:] = struct.pack("<I", zlib.crc32(record[:-4]))
    pair = Pair()
    pair.receive(Frame(Kind.REQUEST, Command.HELLO, 0, SESSION, b"\x01\x01").encode())
    for sequence, at in enumerate((0, 110, 220), 1):
        payload = struct.pack("<BH", 1, at) + record[at : at + 110]
        pair.receive(Frame(Kind.REQUEST, Command.WRITE, sequence, SESSION, payload).encode())
    commit = b"\x01" + record[-4:] + bytes(4)
    pair.receive(Frame(Kind.REQUEST, Command.COMMIT, 4, SESSION, commit).encode())
    pair.receive(Frame(Kind.REQUEST, Command.APPLIED, 5, SESSION, b"\x01").encode())

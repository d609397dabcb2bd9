"""The device's side of the link: the conversations of the vectors, and any bytes at all."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import Command, EventCode, ObjectKind, Source, Status
from neuroamp.link.dispatcher import AudioCounts, DeviceInfo, Dispatcher, unfitted
from neuroamp.link.frames import Frame, FrameReader, Kind
from neuroamp.link.messages import BOTH_EARS, MESSAGES, Levels, decode_reply
from neuroamp.link.models import ModelSlots
from neuroamp.link.records import FittingRecord, TimesRecord
from neuroamp.link.settings import MemoryStorage, Settings
from neuroamp.times import Times
from quiet_device import QuietPart

VECTORS = json.loads((Path(__file__).parents[2] / "data/link/conversations.json").read_text())
DEVICE = VECTORS["device"]


def part_of_the_vectors() -> QuietPart:
    """An audio part whose levels and counts are the vectors'."""
    part, times = QuietPart(), dict(DEVICE["times"])
    histogram = [times["histogram"].get(str(bucket), 0) for bucket in range(256)]
    part.uncalibrated_ceiling_db_spl = DEVICE["uncalibrated_ceiling_db_spl"]
    part.heard = Levels(*DEVICE["levels_db_spl"])
    part.counted = AudioCounts(*DEVICE["counts"])
    part.timed = TimesRecord(
        DEVICE["ticks_per_second"], Times(**(times | {"histogram": histogram}))
    )
    return part


class Bench:
    """The device of the vectors."""

    def __init__(self, ears: frozenset[Ear] = BOTH_EARS) -> None:
        self.now_ms = 0
        self.passes_ms = 0
        self.storage = MemoryStorage()
        self.storage.lasting = True
        self.part = part_of_the_vectors()
        self.ears = ears
        self.start()

    def start(self) -> None:
        self.settings = Settings(self.storage)
        info = DeviceInfo(
            serial=DEVICE["serial"],
            name=DEVICE["name"],
            firmware=DEVICE["firmware"],
            profile=DEVICE["profile"],
            sample_rate_hz=DEVICE["sample_rate_hz"],
            hop=DEVICE["hop"],
            delay_samples=DEVICE["delay_samples"],
            ears=self.ears,
            has_net=True,
        )
        models = ModelSlots(self.storage, DEVICE["model_slot_bytes"])
        self.dispatcher = Dispatcher(info, self.part, self.settings, models, self.look)

    def look(self) -> int:
        """The clock, milliseconds; it goes on by `passes_ms` at every look."""
        self.now_ms += self.passes_ms
        return self.now_ms

    def ask(self, command: Command, payload: bytes, sequence: int, session: int = 9) -> Any:
        """Status, field and index of the reply, or its answer."""
        request = Frame(Kind.REQUEST, command, sequence, session, payload)
        (reply,) = FrameReader(Kind.REPLY).push(self.dispatcher.receive(request.encode()))
        if reply.payload[0] != Status.OK:
            return tuple(reply.payload)
        return decode_reply(reply.payload, MESSAGES[command][1])


@pytest.mark.parametrize("talk", VECTORS["conversations"], ids=lambda t: t["name"])
def test_a_conversation_goes_as_its_vector(talk: dict[str, Any]) -> None:
    bench = Bench()
    for number, step in enumerate(talk["steps"]):
        if "advance_ms" in step:
            bench.now_ms += step["advance_ms"]
            continue
        received = bench.dispatcher.receive(bytes.fromhex(step["send"]))
        assert received.hex() == step["receive"], f"step {number}: {step.get('note', '')}"
    for ear in Ear:
        stored = bench.settings.fitting(ear)
        assert (None if stored is None else stored.hex()) == talk["end"]["stored"][ear.value]
        if "calibration" in talk["end"]:
            kept = bench.settings.calibration(ear)
            expected = talk["end"]["calibration"][ear.value]
            assert (None if kept is None else kept.hex()) == expected


REQUESTS = [
    bytes.fromhex(step["send"])
    for talk in VECTORS["conversations"]
    for step in talk["steps"]
    if "send" in step
]


def state_of(bench: Bench) -> tuple[Any, ...]:
    part = bench.part
    return (
        dict(part.fittings),
        dict(part.volumes),
        part.output(),
        bench.settings.number,
        [bench.settings.fitting(ear) for ear in Ear],
        [bench.settings.calibration(ear) for ear in Ear],
    )


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_random_bytes_have_no_effect_and_raise_nothing(pieces: list[bytes]) -> None:
    bench = Bench()
    before = state_of(bench)
    for piece in pieces:
        assert bench.dispatcher.receive(piece) == b""
    assert state_of(bench) == before


@given(st.data())
def test_mutated_requests_raise_nothing_and_the_limits_hold(data: st.DataObject) -> None:
    bench = Bench()
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    stream = bytearray(b"".join(rng.choices(REQUESTS, k=20)))
    for _ in range(rng.randrange(8)):
        at = rng.randrange(len(stream))
        kind = rng.randrange(3)
        if kind == 0:
            stream[at] ^= rng.randrange(1, 256)
        elif kind == 1:
            del stream[at]
        else:
            stream[at:at] = rng.randbytes(rng.randrange(1, 9))
    for reply in FrameReader(Kind.REPLY).push(bench.dispatcher.receive(bytes(stream))):
        assert reply.payload[0] in list(Status)
    for fitting in bench.part.fittings.values():
        assert 60.0 <= fitting.mpo_db_spl <= 120.0


@given(st.lists(st.tuples(st.sampled_from(list(Command)), st.binary(max_size=113)), max_size=12))
def test_whole_frames_with_any_payload_are_answered(requests: list[tuple[Command, bytes]]) -> None:
    bench = Bench()
    bench.ask(Command.HELLO, b"\x01\x01", 0)
    for sequence, (command, payload) in enumerate(requests, 1):
        if command is not Command.HELLO:
            bench.ask(command, payload, sequence)


def left_record(**changes: Any) -> bytes:
    fitting = unfitted(Ear.LEFT).replace(gain_65_db=(10.0,) * 11, mpo_db_spl=100.0, **changes)
    return FittingRecord(fitting).encode()


def staged(bench: Bench, record: bytes) -> int:
    """Stages a left record in a new session; the next sequence number."""
    bench.ask(Command.HELLO, b"\x01\x01", 0)
    for number, offset in enumerate(range(0, len(record), 110), 1):
        payload = b"\x01" + offset.to_bytes(2, "little") + record[offset : offset + 110]
        bench.ask(Command.WRITE, payload, number)
    return 4


def test_what_is_stored_plays_after_a_restart_and_an_unfitted_ear_has_no_gain() -> None:
    bench, record = Bench(), left_record()
    sequence = staged(bench, record)
    bench.ask(Command.COMMIT, b"\x01" + record[-4:] + bytes(4), sequence)
    bench.part = part_of_the_vectors()
    bench.start()
    assert bench.part.fittings[Ear.LEFT].gain_65_db == (10.0,) * 11
    assert bench.part.fittings[Ear.RIGHT] == unfitted(Ear.RIGHT)


def test_a_store_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, record = Bench(), left_record()
    sequence = staged(bench, record)

    def fail(name: str, data: bytes) -> None:
        raise OSError("full")

    before = state_of(bench)
    monkeypatch.setattr(bench.storage, "write", fail)
    commit = b"\x01" + record[-4:] + bytes(4)
    assert bench.ask(Command.COMMIT, commit, sequence) == (Status.STORE_FAILED, 0, 0)
    assert state_of(bench) == before
    monkeypatch.undo()
    assert bench.ask(Command.COMMIT, commit, sequence + 1).number == 1


def test_an_audio_part_that_refuses_keeps_what_it_had() -> None:
    bench, record = Bench(), left_record()
    sequence = staged(bench, record)
    before = state_of(bench)
    bench.part.refuses = True
    trial = b"\x01\x1e\x00" + record[-4:] + bytes(4)
    assert bench.ask(Command.TRY, trial, sequence) == (Status.REFUSED, 0, 0)
    assert state_of(bench) == before
    assert bench.ask(Command.EVENTS, bytes(4), sequence + 1).events()[-1].code == (
        EventCode.PART_REFUSED
    )


def test_a_trial_that_ends_between_two_looks_at_the_clock_has_nothing_left() -> None:
    bench, record = Bench(), left_record()
    sequence = staged(bench, record)
    trial = b"\x01\x1e\x00" + record[-4:] + bytes(4)
    bench.ask(Command.TRY, trial, sequence)
    bench.now_ms = 30_000 - 3
    bench.passes_ms = 2  # at every look: the trial goes on as the request comes, and is over then
    applied = bench.ask(Command.APPLIED, b"\x01", sequence + 1)
    assert applied.trial_left_ms == 0


def test_the_end_of_a_trial_that_is_refused_is_asked_for_again_a_second_later() -> None:
    bench, record = Bench(), left_record()
    sequence = staged(bench, record)
    trial = b"\x01\x1e\x00" + record[-4:] + bytes(4)
    bench.ask(Command.TRY, trial, sequence)
    bench.part.refuses = True
    bench.now_ms = 30_000
    for _ in range(20):
        bench.dispatcher.poll()
    codes = [event.code for event in bench.ask(Command.EVENTS, bytes(4), sequence + 1).events()]
    assert codes.count(EventCode.PART_REFUSED) == 1
    assert EventCode.TRIAL_RAN_OUT not in codes
    bench.part.refuses = False
    bench.now_ms += 1000
    assert bench.ask(Command.APPLIED, b"\x01", sequence + 2).source is Source.UNFITTED
    assert bench.part.fittings[Ear.LEFT] == unfitted(Ear.LEFT)


def test_an_audio_part_that_cannot_tell_refuses_and_the_link_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.ask(Command.HELLO, b"\x01\x01", 0)

    def busy(*_: object) -> None:
        raise NeuroampError("the audio thread is busy all the time; choose a longer block.")

    times = bytes([ObjectKind.TIMES, 1, 5, 0, 0])
    with monkeypatch.context() as patch:
        patch.setattr(bench.part, "levels", busy)
        patch.setattr(bench.part, "times", busy)
        assert bench.ask(Command.LEVELS, b"\x01", 1) == (Status.REFUSED, 0, 0)
        assert bench.ask(Command.READ, times, 2) == (Status.REFUSED, 0, 0)
    assert bench.ask(Command.READ, times, 3).length > 0


def test_a_device_of_one_ear_has_no_other() -> None:
    bench = Bench(frozenset([Ear.RIGHT]))
    assert bench.ask(Command.HELLO, b"\x01\x01", 0).ears == frozenset([Ear.RIGHT])
    no_such_ear = (Status.NO_SUCH_EAR, 0, 0)
    assert bench.ask(Command.APPLIED, b"\x01", 1) == no_such_ear
    assert bench.ask(Command.REVERT, b"\x03", 2) == no_such_ear
    # The ear comes before the seconds, which are wrong too.
    assert bench.ask(Command.TRY, b"\x01" + bytes(10), 3) == no_such_ear
    assert bench.ask(Command.APPLIED, b"\x02", 4).gain_65_db == (0.0,) * 11


def test_the_event_log_keeps_the_last_ones_with_their_numbers() -> None:
    bench = Bench()
    bench.ask(Command.HELLO, b"\x01\x01", 0)
    for sequence in range(1, 41):
        bench.now_ms = sequence
        bench.ask(Command.MUTE, bytes([sequence % 2]), sequence)
    answer = bench.ask(Command.EVENTS, bytes(4), 41)
    assert (answer.oldest, answer.next, len(answer.events())) == (9, 41, 8)
    late = bench.ask(Command.EVENTS, (39).to_bytes(4, "little"), 42).events()
    assert [event.ms for event in late] == [39, 40]
    assert bench.ask(Command.EVENTS, (50).to_bytes(4, "little"), 43).events() == []


def test_a_cut_line_loses_only_the_frame_that_was_under_way() -> None:
    bench = Bench()
    hello = Frame(Kind.REQUEST, Command.HELLO, 0, 5, b"\x01\x01").encode()
    assert bench.dispatcher.receive(hello[:-3]) == b""
    assert bench.dispatcher.receive(hello) != b""


def test_the_dispatcher_knows_every_command() -> None:
    assert set(Bench().dispatcher._commands) == set(Command)
    assert dataclasses.is_dataclass(MESSAGES[Command.TRY][0])

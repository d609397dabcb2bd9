"""Frames: the vectors, and any bytes at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.link.frames import LONGEST_CODED, Frame, FrameReader, Kind

VECTORS = json.loads((Path(__file__).parents[2] / "data/link/frames.json").read_text())

frames = st.builds(
    Frame,
    st.just(Kind.REQUEST),
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=113),
)


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda v: v["name"])
def test_a_frame_has_the_bytes_of_its_vector(vector: dict[str, Any]) -> None:
    kind = Kind(vector["kind"])
    payload = bytes.fromhex(vector["payload"])
    frame = Frame(kind, vector["command"], vector["sequence"], vector["session"], payload)
    assert frame.encode().hex() == vector["wire"]
    assert FrameReader(kind).push(bytes.fromhex(vector["wire"])) == [frame]


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize("vector", VECTORS["streams"], ids=lambda v: v["name"])
def test_a_stream_holds_the_frames_of_its_vector(vector: dict[str, Any], step: int) -> None:
    reader, data = FrameReader(Kind.REQUEST), bytes.fromhex(vector["bytes"])
    found = []
    for start in range(0, len(data), step):
        found += reader.push(data[start : start + step])
    expected = [FrameReader(Kind.REQUEST).push(frame.encode())[0] for frame in found]
    assert found == expected
    assert [frame.encode() for frame in found] == [
        wire_of(bytes.fromhex(body)) for body in vector["bodies"]
    ]
    assert (reader.good, reader.dropped) == (len(vector["bodies"]), vector["dropped"])


def wire_of(body: bytes) -> bytes:
    from cobs import cobs

    return b"\0" + bytes(cobs.encode(body)) + b"\0"


@given(st.lists(frames, max_size=5), st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"")))
def test_frames_go_through_noise(sent: list[Frame], noise: bytes) -> None:
    reader = FrameReader(Kind.REQUEST)
    stream = b"".join(noise + frame.encode() for frame in sent)
    assert len(stream) <= len(sent) * (len(noise) + 128)
    assert reader.push(stream) == sent
    assert reader.dropped == (len(sent) if noise else 0)


@given(frames, st.data())
def test_a_damaged_frame_is_no_frame(frame: Frame, data: st.DataObject) -> None:
    whole = frame.encode()
    at = data.draw(st.integers(1, len(whole) - 2))
    flip = data.draw(st.integers(1, 255))
    damaged = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    assert FrameReader(Kind.REQUEST).push(damaged) == []


@given(st.lists(st.binary(max_size=400), max_size=8))
def test_any_bytes_are_dropped_quietly_and_in_little_memory(pieces: list[bytes]) -> None:
    reader = FrameReader(Kind.REQUEST)
    for piece in pieces:
        assert reader.push(piece) == []
        assert len(reader._coded) <= LONGEST_CODED + 1


def test_a_cut_frame_is_forgotten_and_a_long_payload_refused() -> None:
    reader, frame = FrameReader(Kind.REPLY), Frame(Kind.REPLY, 1, 2, 3, b"abc")
    reader.push(frame.encode()[:-1])
    reader.reset()
    assert reader.push(frame.encode()) == [frame]
    assert reader.dropped == 0
    with pytest.raises(ValueError, match="114"):
        Frame(Kind.REQUEST, 1, 2, 3, bytes(114)).encode()

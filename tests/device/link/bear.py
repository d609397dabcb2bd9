"""The corpus of tools/fuzz_link.sh and the link in Python.

    python -m tests.device.link.bear frames > FRAMES    requests to mutate, one a line of digits
    python -m tests.device.link.bear bear < CORPUS      pieces of a line: u16 length, bytes
    python -m tests.device.link.bear seeds FOLDER       where libFuzzer begins

Pieces that complete no whole request must have no effect, and nothing may raise.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neuroamp.link.codes import Command
from neuroamp.link.frames import HEADER, FrameReader, Kind

from .test_dispatcher import REQUESTS, VECTORS, Bench, left_record, staged


def pieces(corpus: BinaryIO) -> Iterator[bytes]:
    while head := corpus.read(2):
        (count,) = struct.unpack("<H", head)
        piece = corpus.read(count)
        assert len(piece) == count, "the corpus ends within a piece"
        yield piece


def quick_state(bench: Bench) -> tuple[object, ...]:
    """What is in force, and how often something was stored."""
    part = bench.part
    return (dict(part.fittings), dict(part.volumes), part.output(), bench.settings.number)


def bear(corpus: BinaryIO) -> str:
    """Takes a corpus into a fitted device in a session; what happened, as a sentence."""
    bench, record = Bench(), left_record()
    bench.ask(Command.COMMIT, b"\x01" + record[-4:] + bytes(4), staged(bench, record))
    reader = FrameReader(Kind.REQUEST)
    before = quick_state(bench)
    count = harmless = 0
    for piece in pieces(corpus):
        whole = reader.good
        reader.push(piece)
        reply = bench.dispatcher.receive(piece)
        count += 1
        if reader.good == whole:
            harmless += 1
            assert reply == b"", piece.hex()
            assert quick_state(bench) == before, piece.hex()
        else:
            before = quick_state(bench)
    return (
        f"{count} pieces: {harmless} without a whole request, 0 effects of them; {reader.good} "
        f"whole requests, {reader.dropped} damaged frames"
    )


def write_seeds(folder: Path) -> None:
    """Conversations as the C fuzzer takes them: bytes of the line, and bodies without their CRC."""
    for number, talk in enumerate(VECTORS["conversations"]):
        sends = [bytes.fromhex(step["send"]) for step in talk["steps"] if "send" in step]
        (folder / f"line{number}").write_bytes(b"\x01" + b"".join(sends)[:2000])
        bodies = b""
        for sent in sends:
            for frame in FrameReader(Kind.REQUEST).push(sent):
                body = HEADER.pack(frame.kind, frame.command, frame.sequence, frame.session)
                body += frame.payload
                bodies += bytes([len(body)]) + body
        (folder / f"bodies{number}").write_bytes(b"\x00" + bodies[:2000])


if __name__ == "__main__":
    if sys.argv[1:2] == ["seeds"]:
        write_seeds(Path(sys.argv[2]))
    elif sys.argv[1:] == ["frames"]:
        print("\n".join(dict.fromkeys(request.hex() for request in REQUESTS)))
    else:
        print(bear(sys.stdin.buffer))

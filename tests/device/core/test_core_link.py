"""The fitting link in C: the vectors of docs/serial-protocol.md, power cuts, mutated frames."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import HERE, ROOT, SANITIZERS, compile_c, compiler
from .test_core_build import run

VECTORS = ROOT / "tests" / "data" / "link"
SLOT_BYTES = "65536"


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="ascii"))


CONVERSATIONS = vectors("conversations")
RECORDS = vectors("records")
TOLD = {conversation["name"]: conversation for conversation in CONVERSATIONS["conversations"]}


@pytest.fixture(scope="module")
def link_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/device/core/link_driver.c under the address and undefined-behaviour sanitizers."""
    output = tmp_path_factory.mktemp("link") / "link_driver"
    return compile_c(output, [HERE / "link_driver.c"], "-O1", *SANITIZERS)


def lines(driver: Path, *arguments: str | Path, given: Iterable[str]) -> list[str]:
    text = "".join(f"{line}\n" for line in given)
    return run(driver, *arguments, data=text.encode()).decode().splitlines()


def test_the_vectors_are_what_their_program_writes(tmp_path: Path) -> None:
    shutil.copy(VECTORS / "make_vectors.py", tmp_path)
    runpy.run_path(str(tmp_path / "make_vectors.py"), run_name="__main__")
    for path in sorted(VECTORS.glob("*.json")):
        assert (tmp_path / path.name).read_text() == path.read_text(), path.name


@pytest.mark.parametrize("name", TOLD)
def test_conversation(link_driver: Path, name: str) -> None:
    """Bytes in, bytes out, and what is stored at the end; after a restart it is still there."""
    told = TOLD[name]
    steps = told["steps"]
    asked = [
        f"send {step['send']}" if "send" in step else f"advance {step['advance_ms']}"
        for step in steps
    ]
    slot_bytes = str(CONVERSATIONS["device"]["model_slot_bytes"])
    answers = lines(link_driver, "talk", slot_bytes, given=[*asked, "stored", "restart", "stored"])
    for number, (step, answer) in enumerate(zip(steps, answers, strict=False)):
        assert answer == step.get("receive", ""), f"step {number}: {step}"
    end = told["end"]
    wanted = [end["stored"]["left"], end["stored"]["right"]]
    if "calibration" in end:
        wanted += [end["calibration"]["left"], end["calibration"]["right"]]
    for stored in (answers[-3], answers[-1]):
        found = [None if word == "-" else word for word in stored.split(" ")]
        assert found[: len(wanted)] == wanted


def test_streams_of_bytes(link_driver: Path) -> None:
    streams = vectors("frames")["streams"]
    answers = lines(link_driver, "streams", given=[stream["bytes"] for stream in streams])
    for stream, answer in zip(streams, answers, strict=True):
        assert answer == f"{len(stream['bodies'])} {stream['dropped']}", stream["name"]


def test_valid_frames_are_taken(link_driver: Path) -> None:
    frames = vectors("frames")["valid"]
    answers = lines(link_driver, "streams", given=[frame["wire"] for frame in frames])
    for frame, answer in zip(frames, answers, strict=True):
        assert answer == ("1 0" if frame["kind"] == 0x51 else "0 1"), frame["name"]


def test_fitting_records(link_driver: Path) -> None:
    known = RECORDS["fittings"]
    answers = lines(
        link_driver, "records", given=[f"fitting {record['record']}" for record in known]
    )
    for record, answer in zip(known, answers, strict=True):
        fields = record["fields"]
        state, field, index, ear, program, crc, *values = answer.split()
        assert [state, field, index] == ["0", "0", "0"]
        assert [int(ear), int(program)] == [fields["ear"], fields["program"]]
        assert int(crc, 16) == zlib.crc32(bytes.fromhex(record["record"])[:-4])
        wanted = [
            *fields["thresholds_db_hl"],
            *fields["gain_65_db"],
            *fields["compression_ratio"],
            *(fields[key] for key in ("knee_db_spl", "attack_s", "release_s", "mpo_db_spl")),
            fields["noise_reduction"],
        ]
        assert np.array_equal(np.float32(values), np.float32(wanted))


def test_refused_records(link_driver: Path) -> None:
    state_of_status = {3: 2, 7: 1}  # BAD_VALUE, BAD_CRC
    for kind in ("fitting", "calibration"):
        known = RECORDS[f"refused_{kind}s"]
        answers = lines(
            link_driver, "records", given=[f"{kind} {record['record']}" for record in known]
        )
        for record, answer in zip(known, answers, strict=True):
            wanted = [state_of_status[record["status"]], record["field"], record["index"]]
            assert [int(word) for word in answer.split()] == wanted, record["name"]


def test_calibration_records(link_driver: Path) -> None:
    known = RECORDS["calibrations"]
    answers = lines(
        link_driver, "records", given=[f"calibration {record['record']}" for record in known]
    )
    for record, answer in zip(known, answers, strict=True):
        fields = record["fields"]
        state, _, _, ear, microphone_pa, receiver_per_pa, ceiling = answer.split()
        assert [int(state), int(ear)] == [0, fields["ear"]]
        microphone = 20e-6 * 10 ** (fields["microphone_full_scale_db_spl"] / 20)
        receiver = 20e-6 * 10 ** (fields["receiver_full_scale_db_spl"] / 20)
        assert float(microphone_pa) == pytest.approx(microphone, rel=1e-5)
        assert float(receiver_per_pa) == pytest.approx(1 / receiver, rel=1e-5)
        assert float(ceiling) == fields["ceiling_db_spl"]


@settings(max_examples=20)
@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=20))
def test_sha256_is_hashlibs(link_driver_path: Path, messages: list[bytes]) -> None:
    answers = lines(link_driver_path, "sha256", given=[message.hex() for message in messages])
    assert answers == [hashlib.sha256(message).hexdigest() for message in messages]


@pytest.fixture(scope="module")
def link_driver_path(link_driver: Path) -> Path:
    return link_driver


def request(command: int, sequence: int, payload: bytes = b"", session: int = 1) -> str:
    """A request's bytes on the wire, as hexadecimal digits."""
    body = struct.pack("<BBHI", 0x51, command, sequence, session) + payload
    body += struct.pack("<I", zlib.crc32(body))
    encoded = bytearray()
    for run_of_bytes in body.split(b"\0"):
        encoded += bytes([len(run_of_bytes) + 1]) + run_of_bytes
    return (b"\0" + bytes(encoded) + b"\0").hex()


def payload_of(reply: str) -> bytes:
    """Payload of one reply on the wire, in hexadecimal digits: status, field, answer."""
    return bytes(body_of(bytes.fromhex(reply))[8:-4])


def body_of(wire: bytes) -> bytes:
    encoded, body = wire.strip(b"\0"), b""
    while encoded:
        body += encoded[1 : encoded[0]] + b"\0"
        encoded = encoded[encoded[0] :]
    return body[:-1]


def status_of(reply: str) -> int:
    return payload_of(reply)[0]


def test_a_model_is_uploaded_verified_and_chosen(
    link_driver: Path, model: Callable[[str], Path]
) -> None:
    """A whole model; one with a byte changed, its CRC made right, is refused by its hash."""
    image = model("tiny").read_bytes()
    name = hashlib.sha256(image[64:]).digest()
    damaged = bytearray(image)
    damaged[-1] ^= 1
    damaged[16:20] = struct.pack("<I", zlib.crc32(damaged[20:]))

    def upload(data: bytes, sequence: int) -> tuple[list[str], int]:
        asked = [request(0x31, sequence, struct.pack("<I", len(data)) + name)]
        for at in range(0, len(data), 96):
            payload = struct.pack("<I", at) + data[at : at + 96]
            asked.append(request(0x32, sequence + len(asked), payload))
        asked.append(request(0x33, sequence + len(asked), bytes([0]) + name))
        asked.append(request(0x30, sequence + len(asked), bytes([0])))
        return [f"send {wire}" for wire in asked], sequence + len(asked)

    hello = f"send {request(1, 0, bytes([1, 1]))}"
    wrong, sequence = upload(bytes(damaged), 1)
    right, _ = upload(image, sequence)
    answers = lines(
        link_driver, "talk", SLOT_BYTES, given=[hello, *wrong, "stored", *right, "stored"]
    )
    statuses = [status_of(answer) for answer in answers if "-" not in answer]
    assert statuses[: len(wrong) - 1] == [0] * (len(wrong) - 1)
    assert statuses[len(wrong) - 1] == 11  # BAD_HASH
    assert set(statuses[len(wrong) + 1 :]) == {0}


def test_an_upload_goes_to_the_slot_that_is_not_active(
    link_driver: Path, model: Callable[[str], Path]
) -> None:
    image = model("tiny").read_bytes()
    begin = request(0x31, 1, struct.pack("<I", len(image)) + bytes(32))
    info = request(0x30, 2, bytes([0]))
    hello = request(1, 0, bytes([1, 1]))
    asked = [f"model {image.hex()}", *(f"send {wire}" for wire in (hello, begin, info))]
    *_, begun, known = lines(link_driver, "talk", SLOT_BYTES, given=asked)
    assert payload_of(begun) == struct.pack("<BBBI", 0, 0, 1, 0)
    size = struct.pack("<II", len(image), len(image))
    assert payload_of(known) == b"\0\0\x03" + size + hashlib.sha256(image[64:]).digest()


def test_power_cut_at_every_byte_of_every_write(link_driver: Path, tmp_path: Path) -> None:
    """Once whole settings were stored there are whole settings, the old ones or the new ones."""
    maker = runpy.run_path(str(VECTORS / "make_vectors.py"))
    fitting, right = maker["fitting"], maker["RIGHT_FITTING"]
    records = [
        *(maker["fitting_record"](fitting(version=version)) for version in (1, 2)),
        *(maker["fitting_record"](right | {"version": version}) for version in (1, 2)),
        *(maker["calibration_record"](maker["calibration"](version=version)) for version in (1, 2)),
    ]
    path = tmp_path / "records"
    path.write_text("".join(f"{record.hex()}\n" for record in records))
    report = run(link_driver, "cuts", path).decode()
    tried, old, new = map(int, re.findall(r"\d+", report)[:3])
    assert tried > 20000
    assert old + new == tried
    assert new >= 28


def test_power_cut_in_a_commit(link_driver: Path) -> None:
    """The host is told that nothing was stored, and the fitting before is there and in force."""
    told = TOLD["one ear: staged, read back, committed, verified"]
    before = told["end"]["stored"]["left"]
    maker = runpy.run_path(str(VECTORS / "make_vectors.py"))
    record = maker["fitting_record"](maker["fitting"](version=2))
    writes = [
        struct.pack("<BH", 1, at) + record[at : at + 110] for at in range(0, len(record), 110)
    ]
    requests = [
        request(0x01, 0, bytes([1, 1])),
        *(request(0x04, number, payload) for number, payload in enumerate(writes, 1)),
    ]
    commit = request(0x06, 9, b"\x01" + record[-4:] + bytes(4))
    applied = request(0x08, 1, b"\x01", session=2)
    spent = 3 * 256 + 32 + 608  # three units erased, header and payload programmed
    for cut in (0, 1, 255, 256, 767, 768, 1000, spent - 17, spent - 2, spent):
        asked = [
            *(f"send {step['send']}" for step in told["steps"]),
            *(f"send {wire}" for wire in requests),
            f"cut {cut}",
            f"send {commit}",
            "restart",
            "stored",
            f"send {request(0x01, 0, bytes([1, 1]), session=2)}",
            f"send {applied}",
        ]
        committed, _, stored, _, force = lines(link_driver, "talk", SLOT_BYTES, given=asked)[-5:]
        # With its last byte all is there, but the power is gone before it is read back.
        assert status_of(committed) == 10, cut  # STORE_FAILED
        kept = record.hex() if cut == spent else before
        assert stored.split()[0] == kept, cut
        assert payload_of(force)[6:10].hex() == kept[-8:]


def bear(*arguments: str | Path, data: bytes | None = None) -> bytes:
    """tests/device/link/bear.py, the Python end of the corpus."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.device.link.bear", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        input=data,
        stdout=subprocess.PIPE,
        check=True,
    )
    return result.stdout


def test_mutated_frames_have_no_effect_in_c_and_in_python(
    link_driver: Path, tmp_path: Path
) -> None:
    """The same with 10^6, and libFuzzer for longer: tools/fuzz_link.sh."""
    frames = tmp_path / "frames"
    frames.write_bytes(bear("frames"))
    pieces = run(link_driver, "mutate", frames, "2", "20000")
    report = run(link_driver, "bear", frames, data=pieces)
    tried, harmless = map(int, re.findall(rb"\d+", report)[:2])
    assert tried == 20000
    assert harmless > 15000
    assert bear("bear", data=pieces) == report


def test_the_link_bears_what_libfuzzer_finds(tmp_path: Path) -> None:
    flags = ["-O1", "-g", "-DWITH_LIBFUZZER", "-fsanitize=fuzzer,address,undefined"]
    probe = tmp_path / "probe.c"
    probe.write_text("int LLVMFuzzerTestOneInput(void) { return 0; }")
    probed = [compiler("clang"), *flags, str(probe), "-o", str(tmp_path / "probe")]
    if subprocess.run(probed, capture_output=True).returncode != 0:
        pytest.skip("needs clang's sanitizers and libFuzzer (libclang-rt-dev)")
    fuzzer = compile_c(
        tmp_path / "fuzzer",
        [HERE / "link_driver.c"],
        *flags,
        "-fno-sanitize-recover=all",
        cc="clang",
    )
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    bear("seeds", corpus)
    run(fuzzer, "-runs=4000", "-seed=1", "-max_len=2048", f"-artifact_prefix={tmp_path}/", corpus)

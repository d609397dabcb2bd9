"""The bad line that the link is tested on: it does what it says, and the same for the same seed."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from neuroamp_host.fitting.ports import PortError, PtyPort, SerialPort
from serial_proxy import BadLine, Way

PATIENCE_S = 30.0
SENT = random.Random(7).randbytes(20_000)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PtyPort]:
    port = PtyPort(tmp_path / "device")
    yield port
    port.close()


def harmed(errors: float, seed: int) -> bytes:
    way = Way(random.Random(seed), errors, None)
    way.push(SENT, 0.0)
    return way.due(0.0)


def test_a_good_line_changes_nothing_and_the_seed_decides_what_a_bad_one_does() -> None:
    assert harmed(0.0, 1) == SENT
    assert harmed(1e-3, 1) == harmed(1e-3, 1) != harmed(1e-3, 2)


def test_each_harm_comes_with_its_probability() -> None:
    way = Way(random.Random(1), 0.01, None)
    way.push(bytes(100_000), 0.0)
    # Four kinds of 1 % each; a swapped pair counts once for two bytes.
    assert 0.035 < way.harmed / way.passed < 0.044
    assert len(way.due(0.0)) != 100_000


def test_a_byte_takes_its_time_on_a_line_of_so_many_baud() -> None:
    way = Way(random.Random(1), 0.0, 1000)
    way.push(b"abc", 5.0)
    assert way.due(5.0) == b""
    assert way.wait_s(5.0) == pytest.approx(0.01)
    assert way.due(5.0101) == b"a"
    way.push(b"d", 5.0101)
    assert way.due(5.0401) == b"bcd"
    assert way.wait_s(6.0) is None


def test_bytes_go_through_both_ways(device: PtyPort, tmp_path: Path) -> None:
    with BadLine(device.name, tmp_path / "line") as line:
        host = SerialPort(str(tmp_path / "line"))
        for source, target in ((host, device), (device, host)):
            source.write(SENT[:1000])
            got, deadline = b"", time.monotonic() + PATIENCE_S
            while len(got) < 1000 and time.monotonic() < deadline:
                got += target.read(0.1)
            assert got == SENT[:1000]
        assert (line.passed, line.harmed, line.cuts) == (2000, 0, 0)
        host.close()


def test_a_cut_takes_the_port_away_and_gives_it_back(device: PtyPort, tmp_path: Path) -> None:
    with BadLine(device.name, tmp_path / "line") as line:
        host = SerialPort(str(tmp_path / "line"))
        line.cut()
        with pytest.raises(PortError, match="went away"):
            host.read(PATIENCE_S)
        host.reopen(PATIENCE_S)
        host.write(b"again")
        assert device.read(PATIENCE_S)[:1] == b"a"
        assert line.cuts == 1
        host.close()


def test_cuts_come_at_random_after_about_so_many_bytes(device: PtyPort, tmp_path: Path) -> None:
    with BadLine(device.name, tmp_path / "line", cut_every=2000, seed=3) as line:
        host, deadline = SerialPort(str(tmp_path / "line")), time.monotonic() + PATIENCE_S
        while line.cuts < 3 and time.monotonic() < deadline:
            try:
                host.write(bytes(100))
                device.read(0.01)
            except PortError:
                host.reopen(PATIENCE_S)
        assert line.cuts >= 3
        host.close()

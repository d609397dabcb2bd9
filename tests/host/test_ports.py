"""Serial ports on pseudo-terminals: what is read, what is refused, what is lost and found again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from neuroamp_host.fitting import ports
from neuroamp_host.fitting.ports import PortError, PortInfo, PtyPort, SerialPort, list_ports

PATIENCE_S = 30.0


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PtyPort]:
    port = PtyPort(tmp_path / "device")
    yield port
    port.close()


def read_all(port: SerialPort | PtyPort, count: int) -> bytes:
    data, deadline = b"", time.monotonic() + PATIENCE_S
    while len(data) < count and time.monotonic() < deadline:
        data += port.read(0.1)
    return data


def test_bytes_of_every_value_go_both_ways(device: PtyPort) -> None:
    every = bytes(range(256)) * 4
    host = SerialPort(device.name)
    host.write(every)
    assert read_all(device, len(every)) == every
    device.write(every)
    assert read_all(host, len(every)) == every
    host.close()
    host.close()


def test_a_read_returns_what_is_there_and_nothing_after_its_time(device: PtyPort) -> None:
    host = SerialPort(device.name)
    assert host.read(0.0) == host.read(0.01) == b""
    timer = threading.Timer(0.05, device.write, [b"abc"])
    timer.start()
    # One byte would do: a read that waited for more would take all of its time.
    assert host.read(PATIENCE_S) in (b"a", b"ab", b"abc")
    timer.join()
    host.close()


def test_a_port_is_opened_once(device: PtyPort) -> None:
    host = SerialPort(device.name)
    with pytest.raises(PortError, match="in use by another program; close that program"):
        SerialPort(device.name)
    host.close()
    SerialPort(device.name).close()


def test_what_is_no_port_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PortError, match=r"the port .*nowhere is not there; plug the device in"):
        SerialPort(str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("text")
    with pytest.raises(PortError, match="is no serial port"):
        SerialPort(str(tmp_path / "file"))
    with pytest.raises(PortError, match="is no serial port"):
        SerialPort(os.devnull)


def test_a_port_that_may_not_be_opened_says_who_may(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PortError, match=r"may not be opened by this user; add the user.*dialout"):
        SerialPort("/dev/ttyACM0")


def test_unplugging_is_noticed_by_read_and_write_and_the_port_comes_back(
    device: PtyPort, tmp_path: Path
) -> None:
    host = SerialPort(device.name)
    device.close()
    with pytest.raises(PortError, match="went away; plug the device in again"):
        host.read(PATIENCE_S)
    with pytest.raises(PortError, match="went away"):
        host.write(b"x")
    with pytest.raises(PortError, match="went away"):
        host.discard_input()
    with pytest.raises(PortError, match="is not there"):
        host.reopen(0.0)
    again: list[PtyPort] = []
    timer = threading.Timer(0.1, lambda: again.append(PtyPort(tmp_path / "device")))
    timer.start()
    host.reopen(PATIENCE_S)
    timer.join()
    host.write(b"back")
    assert read_all(again[0], 4) == b"back"
    host.close()
    again[0].close()


def test_a_usb_device_is_found_under_its_new_name(
    device: PtyPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware = (0x2E8A, 0x000A, "E660")
    plugged = [PortInfo(device.name, "aid", hardware)]
    monkeypatch.setattr(ports, "list_ports", lambda: plugged)
    host = SerialPort(device.name)
    device.close()
    moved = PtyPort(tmp_path / "other")
    plugged[:] = [PortInfo("elsewhere"), PortInfo(moved.name, "aid", hardware)]
    host.reopen(0.0)
    assert host.name == moved.name
    host.close()
    moved.close()


def test_a_device_does_not_wait_for_a_host_that_does_not_read(device: PtyPort) -> None:
    for _ in range(64):
        device.write(bytes(4096))
    assert device.read(0.0) == b""


def test_a_host_gives_up_on_a_device_that_takes_nothing(
    device: PtyPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "WRITE_TIMEOUT_S", 0.05)
    host = SerialPort(device.name)
    with pytest.raises(PortError, match="took no bytes"):
        host.write(bytes(1 << 20))
    host.close()


def test_a_link_never_replaces_a_file_and_goes_with_its_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(PortError, match="cannot be made"):
        PtyPort(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"
    first = PtyPort(tmp_path / "link")
    second = PtyPort(tmp_path / "link")
    first.close()
    assert (tmp_path / "link").is_symlink()  # it is the second one's by now
    second.close()
    second.close()
    assert not (tmp_path / "link").is_symlink()


def test_ports_are_listed_usb_first() -> None:
    found = list_ports()
    assert found == sorted(found, key=lambda info: (info.hardware is None, info.name))

"""Serial ports: opening, reading, writing and losing them, with errors that a person can act on.

pyserial does the work; this module holds what every user of a port has to know about it. A port is
opened exclusively (two programs on one line would take each other's bytes), reads return what is
there instead of waiting for a count, a disconnect is noticed although `is_open` stays true, and a
device that was unplugged is found again by its USB serial number even where it comes back under
another name.

`SerialPort` is the host's end of a line, or a device's end of a real one; `PtyPort` is a device's
end of a pseudo-terminal.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import select
import time
from pathlib import Path
from typing import Any, Protocol

from neuroamp.errors import NeuroampError

DEFAULT_BAUD = 115_200
WRITE_TIMEOUT_S = 2.0
REOPEN_EVERY_S = 0.1
READ_AT_MOST = 4096
PTY = "pty"


class LinkError(NeuroampError):
    """Something went wrong between this computer and a device.

    Attributes:
        port: name of the port.
        what: what happened, the predicate of a sentence about the device or the port.
        advice: what to try.
    """

    def __init__(self, port: str, what: str, advice: str, subject: str = "the device at") -> None:
        super().__init__(f"{subject} {port} {what}; {advice}.")
        self.port = port
        self.what = what
        self.advice = advice


class PortError(LinkError):
    """The port itself: it cannot be opened, or it went away."""

    def __init__(self, port: str, what: str, advice: str) -> None:
        super().__init__(port, what, advice, subject="the port")


@dataclasses.dataclass(frozen=True)
class PortInfo:
    """A serial port of this computer.

    Attributes:
        name: what `--port` takes, such as '/dev/ttyACM0' or 'COM3'.
        description: the operating system's words for what is plugged in; may be empty.
        hardware: USB vendor, product and serial number; None where the port is no USB device.
    """

    name: str
    description: str = ""
    hardware: tuple[int, int, str] | None = None


class Port(Protocol):
    """Either end of a line."""

    name: str

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting for the first byte at most `timeout_s`; b'' if none came."""

    def write(self, data: bytes) -> None:
        """Sends all of `data`."""

    def close(self) -> None:
        """Gives the port back; a second time does nothing."""


def list_ports() -> list[PortInfo]:
    """The serial ports of this computer, USB devices first."""
    from serial.tools import list_ports as system

    found = []
    for port in system.comports():
        hardware = None
        if port.vid is not None and port.pid is not None:
            hardware = (int(port.vid), int(port.pid), str(port.serial_number or ""))
        text = "" if port.description in (None, "n/a") else str(port.description)
        found.append(PortInfo(port.device, text, hardware))
    return sorted(found, key=lambda info: (info.hardware is None, info.name))


class SerialPort:
    """A serial port, opened exclusively."""

    def __init__(self, name: str, baud: int = DEFAULT_BAUD) -> None:
        """Opens the port.

        Args:
            name: such as '/dev/ttyACM0', 'COM3' or the path of a pseudo-terminal.
            baud: bits a second; a USB device that has no UART in it ignores it.

        Raises:
            PortError: there is no such port, another program has it, this user may not open it,
                or it is no serial port.
        """
        self.name = name
        self._baud = baud
        self._hardware = _hardware_of(name)
        self._serial: Any = _open(name, baud)

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting for the first byte at most `timeout_s`; b'' if none came.

        Raises:
            PortError: the port went away.
        """
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                # More than what waits would hold the answer back until the time is over.
                self._serial.timeout = max(0.0, deadline - time.monotonic())
                data = bytes(self._serial.read(max(1, self._serial.in_waiting)))
                if data or time.monotonic() >= deadline:
                    return data
        except _lost_errors() as error:
            raise self._lost(error) from None

    def write(self, data: bytes) -> None:
        """Sends all of `data`.

        Raises:
            PortError: the port went away, or nothing took the bytes for two seconds.
        """
        import serial

        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            raise PortError(
                self.name,
                f"took no bytes for {WRITE_TIMEOUT_S:g} s",
                "check that the device runs, then unplug it and plug it in again",
            ) from None
        except _lost_errors() as error:
            raise self._lost(error) from None

    def discard_input(self) -> None:
        """Forgets what has arrived.

        Raises:
            PortError: the port went away.
        """
        try:
            self._serial.reset_input_buffer()
        except _lost_errors() as error:
            raise self._lost(error) from None

    def close(self) -> None:
        """Gives the port back; a second time does nothing."""
        with contextlib.suppress(Exception):
            self._serial.close()

    def reopen(self, wait_s: float) -> None:
        """Opens the port again after it was lost, for as long as `wait_s` if need be.

        A USB device is looked for by its serial number, so that it may come back under another
        name; `name` then changes.

        Raises:
            PortError: it did not come back.
        """
        self.close()
        deadline = time.monotonic() + wait_s
        while True:
            name = _name_of(self._hardware) or self.name
            try:
                self._serial = _open(name, self._baud)
            except PortError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(REOPEN_EVERY_S)
            else:
                self.name = name
                return

    def _lost(self, error: Exception) -> PortError:
        self.close()
        del error  # pyserial's words differ by system and tell a person nothing more.
        return PortError(
            self.name,
            "went away",
            "plug the device in again, or start it again, and repeat the command",
        )


class PtyPort:
    """The device's end of a pseudo-terminal, for devices that are a program on this computer.

    The other end's path is `name`; with `link`, a symbolic link to it, which stays where it is
    when the device is started again. What the other end does not read is dropped: a device must
    not wait for a host.
    """

    def __init__(self, link: str | Path | None = None) -> None:
        """Makes a pseudo-terminal, and the link to it.

        Raises:
            PortError: the system has no pseudo-terminals, or the link cannot be made.
        """
        self.name = PTY if link is None else str(link)
        self._link = None if link is None else Path(link)
        try:
            import pty
            import tty

            # The far end stays open here as well: without it the near end fails to read while no
            # host has the port open.
            self._near, self._far = pty.openpty()
            tty.setraw(self._far)
            os.set_blocking(self._near, False)
            path = os.ttyname(self._far)
            if self._link is not None:
                point_link(self._link, path)
        except ImportError:
            raise PortError(
                PTY, "is not there on this system", "give the name of a serial port"
            ) from None
        except OSError as error:
            raise PortError(
                self.name, f"cannot be made ({error.strerror})", "give another path"
            ) from None
        if link is None:
            self.name = path

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting for the first byte at most `timeout_s`; b'' if none came."""
        ready, _, _ = select.select([self._near], [], [], timeout_s)
        if not ready:
            return b""
        try:
            return os.read(self._near, READ_AT_MOST)
        except OSError:  # a host that left at this moment
            return b""

    def write(self, data: bytes) -> None:
        """Sends `data`, or as much of it as the other end has room for."""
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._near, data) :]

    def close(self) -> None:
        """Takes the pseudo-terminal away; a second time does nothing."""
        if self._near < 0:
            return
        if self._link is not None and self._link.is_symlink():
            with contextlib.suppress(OSError):
                if os.readlink(self._link) == os.ttyname(self._far):
                    self._link.unlink()
        os.close(self._far)
        os.close(self._near)
        self._near = self._far = -1


def point_link(link: Path, target: str) -> None:
    """Makes the symbolic link `link` point to `target`, in one step; no file is ever replaced.

    Raises:
        OSError: there is something else than a link, or the folder does not let it.
    """
    if link.exists() and not link.is_symlink():
        raise FileExistsError(errno.EEXIST, "there is a file", str(link))
    part = link.with_name(f".{link.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(target)
    part.replace(link)


def _open(name: str, baud: int) -> Any:
    import serial

    try:
        return serial.Serial(name, baud, timeout=0, write_timeout=WRITE_TIMEOUT_S, exclusive=True)
    except Exception as error:  # termios.error is neither an OSError nor a ValueError
        raise _cannot_open(name, baud, error) from None


def _cannot_open(name: str, baud: int, error: Exception) -> PortError:
    code = getattr(error, "errno", None)
    text = str(error).lower()
    # Windows gives no errno but its own words.
    if code in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or "filenotfound" in text:
        what, advice = "is not there", "plug the device in, and see `neuroamp fit --list`"
    elif code == errno.EACCES or "permission" in text or "access is denied" in text:
        what = "may not be opened by this user"
        advice = "add the user to the group that owns it (often dialout), and log in again"
    elif code in (errno.EBUSY, errno.EAGAIN) or "lock" in text:
        what, advice = "is in use by another program", "close that program"
    elif isinstance(error, (ValueError, OverflowError)):
        what, advice = f"does not take {baud} baud", f"leave it at {DEFAULT_BAUD}"
    else:
        what = "is no serial port"
        advice = "give one that `neuroamp fit --list` shows"
    return PortError(name, what, advice)


def _lost_errors() -> tuple[type[Exception], ...]:
    """What pyserial raises when a port went away, which differs by system and by moment."""
    import serial

    lost: tuple[type[Exception], ...] = (serial.SerialException, OSError, TypeError)
    with contextlib.suppress(ImportError):
        import termios

        lost += (termios.error,)
    return lost


def _hardware_of(name: str) -> tuple[int, int, str] | None:
    """USB identity of a port; None for one that has none, or no serial number to tell it by."""
    try:
        real = os.path.realpath(name)
    except (OSError, ValueError):
        return None
    for info in list_ports():
        if info.hardware and info.hardware[2] and info.name in (name, real):
            return info.hardware
    return None


def _name_of(hardware: tuple[int, int, str] | None) -> str | None:
    if hardware is None:
        return None
    return next((info.name for info in list_ports() if info.hardware == hardware), None)

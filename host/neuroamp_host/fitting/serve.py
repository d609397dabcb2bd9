"""A device's end of the line, for devices that are a program: a port and what answers on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from neuroamp_host.fitting.ports import Port, PortError, SerialPort

POLL_S = 0.05
"""Longest wait for bytes: a trial ends at most so much too late, and a stop is noticed."""

REOPEN_S = 1.0


class Receiver(Protocol):
    """What takes the bytes: `neuroamp.link.dispatcher.Dispatcher` or the core's."""

    def receive(self, data: bytes) -> bytes:
        """Takes bytes; returns those to send."""

    def poll(self) -> None:
        """Does what is due by time."""


def serve(
    receiver: Receiver,
    port: Port,
    stop: threading.Event,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Answers what comes over the port until `stop` is set; a port that is lost is reopened.

    Args:
        receiver: what answers.
        port: open; closed at the end.
        stop: ends it within `POLL_S`, or `REOPEN_S` while the port is away.
        say: is told, once each, that the port went away and that it is back.
    """
    try:
        while not stop.is_set():
            try:
                data = port.read(POLL_S)
                if data:
                    reply = receiver.receive(data)
                    if reply:
                        port.write(reply)
                else:
                    receiver.poll()
            except PortError as error:
                say(f"{error.what}: waiting for the port {error.port}")
                _reopen(receiver, port, stop)
                if not stop.is_set():
                    say(f"the port {port.name} is back")
    finally:
        port.close()


def _reopen(receiver: Receiver, port: Port, stop: threading.Event) -> None:
    assert isinstance(port, SerialPort)  # a pseudo-terminal's near end is never lost
    while not stop.is_set():
        receiver.poll()
        try:
            port.reopen(0.0)
            return
        except PortError:
            stop.wait(REOPEN_S)

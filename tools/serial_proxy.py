"""A bad line: a pseudo-terminal in front of a device's port that harms what goes through it.

    python tools/serial_proxy.py DEVICE_PORT --path /tmp/bad-line --errors 1e-3 --cut-every 20000

Each byte, in both directions, may be dropped, corrupted, sent twice or swapped with the next one,
with the probability `--errors` of each. `--baud` lets bytes through no faster than a UART would,
which a pseudo-terminal by itself does not do. `--cut-every` takes the host's port away after about
so many bytes, with all that is on its way, and gives it back a moment later. The same seed harms
the same bytes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import pty
import random
import select
import threading
import time
import tty
from pathlib import Path

from neuroamp_host.fitting.ports import point_link

BITS_PER_BYTE = 10
"""On a UART: start bit, eight bits, stop bit."""

READ_AT_MOST = 4096
STEP_S = 0.001
"""Bytes leave in steps of this time, as they do on USB."""

IDLE_S = 0.02
GONE_S = (0.02, 0.2)
"""How long the port is away after a cut, seconds: least and most."""


class Way:
    """One direction of the line: bytes in, harmed bytes out, each when its time has come."""

    def __init__(self, rng: random.Random, errors: float, baud: int | None) -> None:
        self._rng = rng
        self._errors = errors
        self._byte_s = 0.0 if baud is None else BITS_PER_BYTE / baud
        self._held: int | None = None
        self._queue: collections.deque[tuple[float, int]] = collections.deque()
        self._free_at = 0.0
        self.harmed = 0
        self.passed = 0

    def push(self, data: bytes, now: float) -> None:
        """Takes the bytes that arrived at the time `now`, seconds."""
        for byte in data:
            self.passed += 1
            for out in self._harm(byte):
                self._free_at = max(self._free_at, now) + self._byte_s
                self._queue.append((self._free_at, out))

    def due(self, now: float) -> bytes:
        """The bytes that leave the line up to the time `now`."""
        out = bytearray()
        while self._queue and self._queue[0][0] <= now:
            out.append(self._queue.popleft()[1])
        return bytes(out)

    def wait_s(self, now: float) -> float | None:
        """Seconds until the next byte leaves; None if there is none."""
        return max(0.0, self._queue[0][0] - now) if self._queue else None

    def forget(self) -> None:
        """Loses all that is on its way."""
        self._queue.clear()
        self._held = None

    def _harm(self, byte: int) -> list[int]:
        if self._held is not None:
            held, self._held = self._held, None
            return [byte, held]
        if self._errors == 0.0:
            return [byte]
        kind = self._rng.random() / self._errors
        if kind >= 4.0:
            return [byte]
        self.harmed += 1
        if kind < 1.0:
            return []
        if kind < 2.0:
            return [byte ^ self._rng.randrange(1, 256)]
        if kind < 3.0:
            return [byte, byte]
        self._held = byte
        return []


class BadLine:
    """The line, running in a thread of its own from `start` (or `with`) to `stop`."""

    def __init__(
        self,
        device: str,
        path: str | Path,
        errors: float = 0.0,
        baud: int | None = None,
        cut_every: int | None = None,
        seed: int = 0,
    ) -> None:
        """Opens the device's port.

        Args:
            device: path of the device's end, a pseudo-terminal.
            path: where the host's end shall be; a symbolic link is made there.
            errors: probability a byte of each of the four harms.
            baud: bits a second that the line lets through; None: as fast as it goes.
            cut_every: mean number of bytes from one cut to the next; None: no cuts.
            seed: of the harms.
        """
        self.path = Path(path)
        self.cuts = 0
        self._rng = random.Random(seed)
        self._ways = [Way(random.Random(f"{seed}-{way}"), errors, baud) for way in range(2)]
        self._cut_every = cut_every
        self._bytes_to_cut = self._next_cut()
        self._device = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._device)
        self._near = self._far = -1
        self._stop, self._cut = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="bad line", daemon=True)
        self._plug_in()

    def __enter__(self) -> BadLine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def harmed(self) -> int:
        """Bytes dropped, corrupted, doubled or swapped so far."""
        return sum(way.harmed for way in self._ways)

    @property
    def passed(self) -> int:
        """Bytes that went in at either end so far."""
        return sum(way.passed for way in self._ways)

    def start(self) -> None:
        """Lets bytes through from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and takes the host's port away."""
        self._stop.set()
        self._thread.join()
        self._unplug()
        os.close(self._device)

    def cut(self) -> None:
        """Cuts the line now; it comes back by itself. Returns when the port is gone."""
        self._cut.set()
        while not self._stop.is_set() and self._cut.is_set():
            time.sleep(0.001)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._cut.is_set() or self._bytes_to_cut <= 0:
                self._unplug()
                self.cuts += 1
                self._bytes_to_cut = self._next_cut()
                self._cut.clear()
                self._stop.wait(self._rng.uniform(*GONE_S))
                self._read(self._device)
                self._plug_in()
            self._pass_on()

    def _pass_on(self) -> None:
        now = time.monotonic()
        waits = [wait for way in self._ways if (wait := way.wait_s(now)) is not None]
        ends = [self._near, self._device]
        ready, _, _ = select.select(ends, [], [], max(STEP_S, min([IDLE_S, *waits])))
        now = time.monotonic()
        for way, source, target in zip(self._ways, ends, reversed(ends), strict=True):
            if source in ready:
                data = self._read(source)
                self._bytes_to_cut -= len(data)
                way.push(data, now)
            out = way.due(now)
            with contextlib.suppress(OSError):  # an end that takes no more loses the rest
                while out:
                    out = out[os.write(target, out) :]

    def _read(self, end: int) -> bytes:
        try:
            return os.read(end, READ_AT_MOST)
        except BlockingIOError:
            return b""
        except OSError:  # the device is gone: nothing will come any more
            self._stop.wait(0.02)
            return b""

    def _next_cut(self) -> float:
        if self._cut_every is None:
            return float("inf")
        return self._rng.expovariate(1.0 / self._cut_every)

    def _plug_in(self) -> None:
        self._near, self._far = pty.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        point_link(self.path, os.ttyname(self._far))

    def _unplug(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
        os.close(self._far)
        os.close(self._near)
        for way in self._ways:
            way.forget()


def main() -> None:
    parser = argparse.ArgumentParser(description="A bad line in front of a device's port.")
    parser.add_argument("device", help="port of the device, a pseudo-terminal")
    parser.add_argument("--path", required=True, help="where the host's end shall be")
    parser.add_argument(
        "--errors", type=float, default=0.0, help="probability of each harm, per byte"
    )
    parser.add_argument("--baud", type=int, help="bits a second (default: no limit)")
    parser.add_argument("--cut-every", type=int, help="mean bytes from cut to cut (default: none)")
    parser.add_argument("--seed", type=int, default=0, help="of the harms (default: 0)")
    options = parser.parse_args()
    with BadLine(
        options.device,
        options.path,
        options.errors,
        options.baud,
        options.cut_every,
        options.seed,
    ) as line:
        print(f"the line is at {line.path}; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        print(f"{line.passed} bytes, {line.harmed} harmed, {line.cuts} cuts")


if __name__ == "__main__":
    main()

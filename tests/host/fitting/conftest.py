"""A device without a wire, and the page's server in front of it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from neuroamp.audiogram import Ear
from neuroamp.link.codes import EventCode, ObjectKind, Output, Program, Source
from neuroamp.link.messages import Applied, Ears, Event, Greeting, Identity, Levels
from neuroamp.link.records import FittingRecord, TimesRecord, seal_of
from neuroamp.times import Stage, Times
from neuroamp_host.fitting.client import NoAnswerError, PortError
from neuroamp_host.fitting.page.server import make_app
from neuroamp_host.fitting.page.session import DeviceSession

PORT = "/dev/fake"
BASE = "http://127.0.0.1:8642"
WAIT_S = 60.0


class FakeDevice:
    """What a device remembers and does; every connection is a `FakeClient` on it."""

    def __init__(self) -> None:
        self.serial = "A1"
        self.ears: Ears = frozenset(Ear)
        self.stored: dict[Ear, FittingRecord] = {}
        self.staged: dict[Ear, FittingRecord] = {}
        self.trial: dict[Ear, FittingRecord] = {}
        self.trial_ends = 0.0
        self.output = Output.SOUNDS
        self.volume_db = 0.0
        self.plugged = True
        self.calibrated = True
        self.done: list[str] = []
        self.fail_at: str | None = None
        self.gain_error_db = 0.0
        self.log = [Event(0, EventCode.STARTED, frozenset(), 0, 0)]

    def in_force(self, ear: Ear) -> FittingRecord | None:
        """The fitting that the ear hears."""
        if self.trial and time.monotonic() >= self.trial_ends:
            self.trial = {}
        return self.trial.get(ear) or self.stored.get(ear)


class FakeClient:
    """`DeviceClient` by its methods, on a `FakeDevice`."""

    port = PORT

    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self._ask("greet")
        self.greeting = Greeting(1, device.ears, 128, 0)
        # A new connection drops what was staged, as a new session does.
        device.staged = {}

    def _ask(self, what: str) -> None:
        if self.device.fail_at == what:
            self.device.fail_at = None
            self.device.plugged = False
        if not self.device.plugged:
            raise PortError(PORT, "went away", "plug the device in again")

    def identify(self) -> Identity:
        self._ask("identify")
        device = self.device
        return Identity(
            device.serial, "Fake aid", "0.1", "wear", 16000, 32, 64, frozenset(device.stored),
            frozenset(device.trial), device.ears, device.output, 0,
        )  # fmt: skip

    def read_record(self, ear: Ear, which: ObjectKind = ObjectKind.STORED) -> FittingRecord | None:
        self._ask("read_record")
        return self.device.stored.get(ear)

    def stage(self, record: FittingRecord) -> FittingRecord:
        self._ask("stage")
        # Over the line and back: what a device has is what fits into a record.
        held = FittingRecord.decode(record.encode())
        self.device.staged[held.fitting.ear] = held
        return held

    def try_staged(self, ears: Ears, seconds: int) -> None:
        self._ask("try")
        device = self.device
        device.trial = {ear: device.staged[ear] for ear in ears}
        device.trial_ends = time.monotonic() + seconds
        device.done.append("try")

    def commit(self, ears: Ears) -> int:
        self._ask("commit")
        device = self.device
        device.stored |= {ear: device.staged.pop(ear) for ear in ears}
        device.trial = {}
        device.done.append("commit")
        return 1

    def revert(self, ears: Ears) -> Ears:
        self._ask("revert")
        ended = frozenset(self.device.trial) & ears
        self.device.trial = {}
        self.device.done.append("revert")
        return ended

    def applied(self, ear: Ear) -> Applied:
        self._ask("applied")
        device = self.device
        record = device.in_force(ear)
        gains = (0.0,) * 11 if record is None else record.fitting.gain_65_db
        source = Source.TRIAL if ear in device.trial else Source.STORED
        left_s = max(0.0, device.trial_ends - time.monotonic()) if device.trial else 0.0
        return Applied(
            source=Source.UNFITTED if record is None else source,
            program=Program.EVERYDAY,
            output=device.output,
            calibrated=device.calibrated,
            crc=0 if record is None else seal_of(record.encode()),
            trial_left_ms=int(1000 * left_s),
            volume_db=device.volume_db,
            noise_reduction=0.0 if record is None else record.fitting.noise_reduction,
            mpo_db_spl=90.0 if record is None else record.fitting.mpo_db_spl,
            gain_65_db=tuple(gain + device.volume_db + device.gain_error_db for gain in gains),
        )

    def levels(self) -> dict[Ear, Levels]:
        self._ask("levels")
        silence = float("-inf")
        levels = {Ear.LEFT: Levels(62.0, 80.0, 95.0), Ear.RIGHT: Levels(silence, silence, 95.0)}
        return {ear: levels[ear] for ear in self.device.ears}

    def times(self, stage: Stage = Stage.FRAME) -> TimesRecord:
        self._ask("times")
        times = Times()
        for ticks in (200_000, 250_000, 900_000, 2_500_000):
            times.add(ticks, 2_000_000)
        return TimesRecord(1_000_000_000, times)

    def events(self, first: int = 0) -> list[tuple[int, Event]]:
        self._ask("events")
        return list(enumerate(self.device.log))[first:]

    def mute(self, on: bool) -> None:
        self._ask("mute")
        self.device.output = Output.MUTED if on else Output.SOUNDS

    def panic(self) -> None:
        self._ask("panic")
        self.device.output = Output.SILENT
        self.device.trial = {}
        self.device.done.append("panic")

    def volume(self, volume_db: float, ears: Ears) -> None:
        self._ask("volume")
        self.device.volume_db = volume_db

    def close(self) -> None:
        self.device.done.append("close")


@dataclasses.dataclass
class Bench:
    """A fake device, the session with it, and a browser of the page."""

    device: FakeDevice
    session: DeviceSession
    browser: TestClient

    def wait(self, true: Callable[[], bool]) -> None:
        """Waits until `true()`, looking whenever the session tells of a change."""
        changed = threading.Event()
        end = self.session.subscribe(lambda _: changed.set())
        try:
            deadline = time.monotonic() + WAIT_S
            while not true():
                assert changed.wait(max(0.0, deadline - time.monotonic())), "it never came"
                changed.clear()
        finally:
            end()

    def state(self) -> dict:
        return self.browser.get("/api/state").json()

    def post(self, path: str, body: object = None) -> tuple[int, dict]:
        answer = self.browser.post(path, json={} if body is None else body)
        return answer.status_code, answer.json()


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def session(device: FakeDevice) -> Iterator[DeviceSession]:
    def connect(port: str) -> FakeClient:
        if port != PORT:
            raise NoAnswerError(port, "does not answer", "choose another")
        return FakeClient(device)

    session = DeviceSession(connect, PORT)
    yield session
    session.close()


@pytest.fixture
def bench(device: FakeDevice, session: DeviceSession) -> Bench:
    browser = TestClient(make_app(session), base_url=BASE, raise_server_exceptions=True)
    bench = Bench(device, session, browser)
    bench.wait(lambda: session.state.connected)
    return bench

"""The line to the device: one thread owns it, asks the device how it is, and runs commands.

Whatever the browser does, one request after the other goes over the line. When the device is lost
the thread says so at once and goes on trying to reach it; when it is back, all that is shown is
read from it anew. Nothing is remembered of what was under way: the device says what is in force.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import Source
from neuroamp.link.messages import Applied, Event, Greeting, Identity, Levels
from neuroamp.link.records import FittingRecord, TimesRecord
from neuroamp.times import Stage

from neuroamp_host.fitting.client import (
    DeviceClient,
    LinkError,
    RefusedError,
    SessionLostError,
)

LEVELS_EVERY_S = 0.15
STATE_EVERY_S = 0.5
TIMES_EVERY_S = 2.0
REOPEN_EVERY_S = 0.5
ANSWER_WITHIN_S = 60.0
MOST_EVENTS = 50

Result = TypeVar("Result")


@dataclasses.dataclass(order=True)
class Job:
    """Something to do on the line; the urgent first, then in the order they came."""

    rank: int
    number: int
    act: Callable[[Any], Any] = dataclasses.field(compare=False)
    done: Future[Any] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class EarState:
    """What one ear of the device has stored, and what is in force there."""

    stored: FittingRecord | None
    applied: Applied


@dataclasses.dataclass(frozen=True)
class DeviceState:
    """What is known of the device.

    Attributes:
        port: name of the port, '' before one was chosen.
        connected: whether the device answers.
        lost: whether it answered before and no longer does.
        error: why it does not answer, one sentence; '' where it does.
        identity: who it is, or was.
        ears: state of each of its ears; empty while it does not answer.
        trial_ends: when the trial ends, `time.monotonic()` seconds; None without one.
        trial_s: how long the trial is, seconds.
        events: the latest first.
    """

    port: str = ""
    connected: bool = False
    lost: bool = False
    error: str = ""
    identity: Identity | None = None
    ears: Mapping[Ear, EarState] = dataclasses.field(default_factory=dict)
    trial_ends: float | None = None
    trial_s: float = 0.0
    events: tuple[Event, ...] = ()


class DeviceSession:
    """One device, or the wait for it.

    `state`, `levels` and `times` are the latest known; `subscribe` tells of every change. Methods
    may be called from any thread.
    """

    def __init__(self, connect: Callable[[str], DeviceClient], port: str = "") -> None:
        """Begins to look for the device, in a thread of its own.

        Args:
            connect: opens a port and greets the device on it; raises `LinkError`.
            port: name of the port; '' to wait for `choose`.
        """
        self._connect = connect
        self._jobs: queue.PriorityQueue[Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[str], None]] = []
        self._client: DeviceClient | None = None
        self._closing = False
        self.state = DeviceState(port=port)
        self.levels: dict[Ear, Levels] = {}
        self.times: TimesRecord | None = None
        self._greeting: Greeting | None = None
        self._next_event = 0
        self._thread = threading.Thread(target=self._run, name="fitting-link", daemon=True)
        self._thread.start()

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls `listener` with 'state', 'levels' or 'times' whenever that changes.

        Returns:
            What ends it.
        """
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return end

    def call(self, act: Callable[[DeviceClient], Result], urgent: bool = False) -> Result:
        """Runs `act` on the line, an urgent one before all that wait, and returns its result.

        Raises:
            NeuroampError: the device is not connected, or what `act` raises.
        """
        if not self.state.connected:
            raise NeuroampError(self.state.error or "no device is connected; choose its port.")
        done = self._enqueue(act, urgent)
        try:
            return done.result(ANSWER_WITHIN_S)
        except TimeoutError:
            done.cancel()
            raise NeuroampError(
                f"the device did not finish within {ANSWER_WITHIN_S:g} s; look at what it has "
                "stored before you go on."
            ) from None

    def choose(self, port: str) -> None:
        """Leaves the port in use, and looks for a device on another.

        Raises:
            LinkError: nothing answers there; the wait for it goes on.
        """

        def leave(_: DeviceClient | None) -> None:
            self._drop()
            self.times = None
            self._publish(DeviceState(port=port))
            self._reach()

        self._enqueue(leave).result(ANSWER_WITHIN_S)

    def refresh(self, client: DeviceClient) -> None:
        """Reads anew what is shown; for the end of a job, in its thread."""
        self._read_state(client, stored_again=True)

    def close(self) -> None:
        """Gives the port back."""
        self._closing = True
        self._enqueue(lambda _: None, urgent=True)
        self._thread.join(timeout=10.0)
        self._tell("state")

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def _enqueue(self, act: Callable[[Any], Result], urgent: bool = False) -> Future[Result]:
        done: Future[Result] = Future()
        self._jobs.put(Job(0 if urgent else 1, next(self._numbers), act, done))
        return done

    # The rest runs in the thread.

    def _run(self) -> None:
        due = dict.fromkeys(("levels", "state", "times"), 0.0)
        every = {"levels": LEVELS_EVERY_S, "state": STATE_EVERY_S, "times": TIMES_EVERY_S}
        reach_at = 0.0
        while not self._closing:
            now = time.monotonic()
            try:
                if self._client is None and self.state.port and now >= reach_at:
                    reach_at = now + REOPEN_EVERY_S
                    with contextlib.suppress(LinkError):
                        self._reach()
                wait = REOPEN_EVERY_S if self._client is None else max(0.0, min(due.values()) - now)
                with contextlib.suppress(queue.Empty):
                    self._do(self._jobs.get(timeout=wait))
                    continue
                for what in [what for what, when in due.items() if when <= now]:
                    due[what] = now + every[what]
                    self._poll(what)
                    if not self._jobs.empty():
                        break
            except Exception as error:
                # The line must go on being watched, whatever is wrong with what came over it.
                self._lost(f"the device cannot be understood ({error!r}); start it again.")
        self._drop()

    def _do(self, job: Job) -> None:
        if not job.done.set_running_or_notify_cancel():
            return
        try:
            job.done.set_result(job.act(self._client))
        except LinkError as error:
            # Whether the device is lost or only refused is what the next question tells.
            self._poll("state")
            job.done.set_exception(error)
        except Exception as error:
            job.done.set_exception(error)

    def _reach(self) -> None:
        port = self.state.port
        try:
            client = self._connect(port)
        except LinkError as error:
            self._publish(dataclasses.replace(self.state, error=str(error), connected=False))
            raise
        self._client = client
        try:
            self._read_state(client, stored_again=True)
        except LinkError as error:
            self._lost(str(error))
            raise

    def _poll(self, what: str) -> None:
        client = self._client
        if client is None:
            return
        try:
            if what == "levels":
                self.levels = client.levels()
                self._tell("levels")
            elif what == "times":
                self.times = client.times(Stage.FRAME)
                self._tell("times")
            else:
                self._read_state(client, stored_again=False)
        except (RefusedError, SessionLostError):
            # A device need not have everything, and one that started again answers the next time.
            return
        except LinkError as error:
            self._lost(str(error))

    def _read_state(self, client: DeviceClient, stored_again: bool) -> None:
        before = self.state
        if client.greeting is not self._greeting:
            # A new session: perhaps another device, perhaps this one, started again.
            stored_again, self._next_event = True, 0
            before = dataclasses.replace(before, events=(), trial_ends=None)
        identity = client.identify()
        ears = {}
        trial_left_s = 0.0
        for ear in (ear for ear in Ear if ear in client.greeting.ears):
            applied = client.applied(ear)
            known = before.ears.get(ear)
            if stored_again or known is None or known.applied.crc != applied.crc:
                stored = client.read_record(ear)
            else:
                stored = known.stored
            ears[ear] = EarState(stored, dataclasses.replace(applied, trial_left_ms=0))
            trial_left_s = max(trial_left_s, applied.trial_left_ms / 1000.0)
        trial_ends, trial_s = None, 0.0
        if any(state.applied.source is Source.TRIAL for state in ears.values()):
            trial_ends, trial_s = time.monotonic() + trial_left_s, trial_left_s
            # The device's clock and this one's differ by the time that a question takes.
            if before.trial_ends is not None and abs(before.trial_ends - trial_ends) < 1.0:
                trial_ends, trial_s = before.trial_ends, before.trial_s
        state = DeviceState(
            port=before.port,
            connected=True,
            identity=identity,
            ears=ears,
            trial_ends=trial_ends,
            trial_s=trial_s,
            events=self._events(client, before.events),
        )
        self._greeting = client.greeting
        self._publish(state)

    def _events(self, client: DeviceClient, known: tuple[Event, ...]) -> tuple[Event, ...]:
        try:
            latest = client.events(self._next_event)
        except RefusedError:
            return known
        if latest:
            self._next_event = latest[-1][0] + 1
        return (*(event for _, event in reversed(latest)), *known)[:MOST_EVENTS]

    def _lost(self, error: str) -> None:
        self._drop()
        self._publish(
            DeviceState(
                port=self.state.port,
                lost=True,
                error=error,
                identity=self.state.identity,
                events=self.state.events,
            )
        )

    def _drop(self) -> None:
        client, self._client = self._client, None
        self.levels = {}
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def _publish(self, state: DeviceState) -> None:
        changed, self.state = state != self.state, state
        if changed:
            self._tell("state")

    def _tell(self, what: str) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(what)

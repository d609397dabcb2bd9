"""A device on a serial port, as everything that fits one sees it.

    with DeviceClient("/dev/ttyACM0") as device:
        print(device.identify().name)
        device.stage(fitting, audiogram)
        device.try_staged(fitting.ear, seconds=30)
        print(device.applied_gains_db(fitting.ear))
        device.commit(fitting.ear)

A client may be used by several threads; a method holds the line until it has its answer. A cable
that was pulled and put back is noticed by the next call, which greets the device again. Questions
are then simply asked again. A `commit` is looked up: it returns if the device did store the
fitting, and raises if it did not. What was staged is gone with the session, and `try_staged` and
`commit` then say that nothing was changed.

`neuroamp_host.fitting.push` puts these together: staged, read back, verified, committed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from neuroamp.audiogram import Audiogram, Ear
from neuroamp.core_file import read_core_file
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.codes import (
    CONFIRM_CALIBRATION,
    MODEL_BYTES,
    TRY_RANGE_S,
    WRITE_BYTES,
    Command,
    ModelState,
    ObjectKind,
    Program,
    Refusal,
    Status,
)
from neuroamp.link.messages import (
    BOTH_EARS,
    Applied,
    CalibrationAnswer,
    ChooseProgram,
    Commit,
    Committed,
    Counts,
    Ears,
    Empty,
    Event,
    EventList,
    Events,
    FactoryReset,
    Forgotten,
    Greeting,
    Identity,
    Levels,
    Message,
    ModelActivate,
    ModelActivated,
    ModelBegin,
    ModelBegun,
    ModelInfo,
    ModelWrite,
    ModelWritten,
    Mute,
    NoiseReduction,
    OfEar,
    OfSlot,
    Part,
    Read,
    Revert,
    Reverted,
    Try,
    Volume,
    WriteCalibration,
    Written,
)
from neuroamp.link.messages import Write as WritePart
from neuroamp.link.records import Calibration, FittingRecord, TimesRecord, seal_of
from neuroamp.times import Stage, merged

from neuroamp_host.fitting.link import (
    Link,
    LinkError,
    NoAnswerError,
    Patience,
    PortError,
    RefusedError,
    SessionLostError,
)
from neuroamp_host.fitting.ports import DEFAULT_BAUD, SerialPort

RECONNECT_S = 5.0
ATTEMPTS = 5
RENEW_FROM = 60_000
"""A session is renewed before a fitting is staged when its numbers are nearly used up."""

NOT_REPEATED = {
    Command.READ,
    Command.WRITE,
    Command.TRY,
    Command.COMMIT,
    Command.MODEL_BEGIN,
    Command.MODEL_WRITE,
}
"""Commands that stand on what an earlier one of the same session did; all others may be asked
again in a new session, because to do them twice is to do them once."""

Answer = TypeVar("Answer", bound=Message)
Wanted = Ear | Iterable[Ear]
Data = TypeVar("Data")
Result = TypeVar("Result")

__all__ = [
    "DeviceClient",
    "LinkError",
    "NoAnswerError",
    "PortError",
    "RefusedError",
    "SessionLostError",
]


class DeviceClient:
    """One device. Every method raises `LinkError`, whose kinds say what happened:

    - `PortError`: the port cannot be opened, or went away and did not come back;
    - `NoAnswerError`: nothing answers on it;
    - `SessionLostError`: the line was cut or the device started again, and nothing was changed;
    - `RefusedError`: the device refused; nothing was changed.
    """

    def __init__(
        self,
        port: str,
        baud: int = DEFAULT_BAUD,
        patience: Patience | None = None,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        """Opens the port and greets the device.

        Args:
            port: such as '/dev/ttyACM0' or 'COM3'.
            baud: bits a second.
            patience: how long answers are waited for.
            reconnect_s: how long a port that went away is waited for, seconds.

        Raises:
            LinkError: the port cannot be opened, or no device answers.
        """
        self._lock = threading.RLock()
        self._reconnect_s = reconnect_s
        self._staged: dict[Ear, bytes] = {}
        self._port = SerialPort(port, baud)
        self._link = Link(self._port, patience)
        try:
            self._greeting = self._link.greet()
        except BaseException:
            self._port.close()
            raise

    def __enter__(self) -> DeviceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the port back; a second time does nothing."""
        with self._lock:
            self._port.close()

    @property
    def port(self) -> str:
        """Name of the port; another one where the device came back under another."""
        return self._port.name

    @property
    def greeting(self) -> Greeting:
        """The device's ears and capabilities."""
        return self._greeting

    # What the device is and does

    def identify(self) -> Identity:
        """Who the device is, and which ears are fitted, on trial, calibrated."""
        return self._ask(Command.IDENTIFY, Empty(), Identity)

    def applied(self, ear: Ear) -> Applied:
        """What is in force at an ear."""
        return self._ask(Command.APPLIED, OfEar(ear), Applied)

    def applied_gains_db(self, ear: Ear) -> tuple[float, ...]:
        """Insertion gain that an ear now gives speech of 65 dB SPL, dB, shape [11], as the device
        computes it: the fitting's and the volume."""
        return self.applied(ear).gain_65_db

    def levels(self) -> dict[Ear, Levels]:
        """Input and output levels of each ear, dB SPL."""
        return {ear: self._ask(Command.LEVELS, OfEar(ear), Levels) for ear in self._ears_there()}

    def counts(self, ear: Ear) -> Counts:
        """Steps, missed steps, frames of the link since the device started."""
        return self._ask(Command.COUNTS, OfEar(ear), Counts)

    def times(self, stage: Stage = Stage.FRAME, ear: Ear | None = None) -> TimesRecord:
        """Times of a stage with the whole histogram, in ticks of the device's clock.

        Args:
            stage: which.
            ear: of that ear alone; by default of all ears together.
        """
        ears = self._ears_there() if ear is None else [ear]
        parts = []
        for each in ears:
            data = self._read(ObjectKind.TIMES, each, stage)
            if data is not None:
                parts.append(self._decoded(TimesRecord.decode, data))
        if not parts:
            return TimesRecord(0, merged([]))
        return TimesRecord(parts[0].ticks_per_second, merged([part.times for part in parts]))

    def events(self, first: int = 0) -> list[tuple[int, Event]]:
        """The event log from number `first` on: number and event, oldest first."""
        found: list[tuple[int, Event]] = []
        while True:
            answer = self._ask(Command.EVENTS, Events(first), EventList)
            events = self._decoded(EventList.events, answer)
            start = max(first, answer.oldest)
            found += [(start + index, event) for index, event in enumerate(events)]
            first = start + len(events)
            if not events or first >= answer.next:
                return found

    # Fittings

    def read_record(self, ear: Ear, which: ObjectKind = ObjectKind.STORED) -> FittingRecord | None:
        """Stored, staged or active fitting of an ear with its audiogram; None if there is none."""
        data = self._read(which, ear)
        return None if data is None else self._decoded(FittingRecord.decode, data)

    def read_fitting(self, ear: Ear, which: ObjectKind = ObjectKind.STORED) -> Fitting | None:
        """The stored, staged or active fitting of an ear; None: there is none."""
        record = self.read_record(ear, which)
        return None if record is None else record.fitting

    def read_staged(self, ear: Ear) -> Fitting | None:
        """The fitting that was staged, as the device holds it; None: there is none."""
        return self.read_fitting(ear, ObjectKind.STAGED)

    def stage(
        self,
        fitting: Fitting | FittingRecord,
        audiogram: Audiogram | None = None,
        program: Program = Program.EVERYDAY,
        version: int = 0,
        time_s: int = 0,
    ) -> FittingRecord:
        """Sends a fitting for its ear and reads it back; it is not heard yet.

        Args:
            fitting: the fitting, or a whole record, and then the rest is left out.
            audiogram, program, version, time_s: as in `FittingRecord`.

        Returns:
            The record as the device holds it: numbers rounded to 32 bits.

        Raises:
            LinkError: the device refused a value, or holds something else than was sent.
            NeuroampError: it does not fit into a record.
        """
        if isinstance(fitting, FittingRecord):
            record = fitting
        else:
            record = FittingRecord(fitting, audiogram, program, version, time_s)
        data, ear = record.encode(), record.fitting.ear
        with self._lock:
            if self._link.sequence > RENEW_FROM:
                self._greet()
            self._in_one_session(lambda: self._stage(ear, data))
            self._staged[ear] = data
        return self._decoded(FittingRecord.decode, data)

    def try_staged(self, ears: Wanted, seconds: int) -> None:
        """Plays what was staged; after `seconds`, 1 to 600, the device returns by itself.

        Raises:
            LinkError: nothing is staged there by this client, or the device refused.
            NeuroampError: the time is out of range.
        """
        low, high = TRY_RANGE_S
        if not low <= seconds <= high or seconds != int(seconds):
            raise NeuroampError(
                f"a trial of {seconds!r} s was asked for but it must be a whole number from {low} "
                f"to {high} s; choose another time."
            )
        with self._lock:
            wanted = _ears(ears)
            left, right = self._seals(wanted)
            try:
                self._ask(Command.TRY, Try(wanted, int(seconds), left, right), Empty)
            except SessionLostError:
                # It may have begun: what is in force after this must be what was before.
                self.revert(wanted)
                raise self._nothing_changed() from None

    def commit(self, ears: Wanted) -> int:
        """Stores what was staged, all of the ears or none, and plays it.

        Returns:
            Number of the device's settings, one more with every write.

        Raises:
            LinkError: nothing is staged there by this client, the device refused, or the line was
                lost; nothing was changed.
            NoAnswerError: the device no longer answers, and whether it stored the fitting is not
                known.
        """
        with self._lock:
            wanted = _ears(ears)
            left, right = self._seals(wanted)
            staged = {ear: self._staged[ear] for ear in wanted}
            try:
                number = self._ask(Command.COMMIT, Commit(wanted, left, right), Committed).number
            except SessionLostError:
                stored = {ear: self._read(ObjectKind.STORED, ear) for ear in wanted}
                if stored != staged:
                    raise self._nothing_changed() from None
                number = self.counts(next(iter(wanted))).settings_number
            except NoAnswerError as error:
                raise NoAnswerError(
                    self.port,
                    f"{error.what} when it was told to store the fitting",
                    "whether it did is not known: look at it with `neuroamp fit --list`",
                ) from None
            for ear in wanted:
                self._staged.pop(ear, None)
            return number

    def revert(self, ears: Wanted = BOTH_EARS) -> Ears:
        """Ends trials and plays what is stored; returns the ears that had one."""
        return self._ask(Command.REVERT, Revert(_ears(ears)), Reverted).ended

    # Listening

    def mute(self, on: bool) -> None:
        """Fades the device out, or lets it sound again, after a panic too."""
        self._ask(Command.MUTE, Mute(on), Empty)

    def panic(self) -> None:
        """Silence at once, all trials ended; `mute(False)` ends it."""
        self._ask(Command.PANIC, Empty(), Empty)

    def volume(self, volume_db: float, ears: Wanted = BOTH_EARS) -> None:
        """Volume, -40 to 10 dB on top of the fitting and below its limit."""
        self._ask(Command.VOLUME, Volume(_ears(ears), volume_db), Empty)

    def program(self, program: Program | int, ears: Wanted = BOTH_EARS) -> None:
        """Program: 0 everyday, 1 noise, 2 music."""
        self._ask(Command.PROGRAM, ChooseProgram(_ears(ears), Program(program)), Empty)

    def noise_reduction(self, ears: Wanted, strength: float) -> None:
        """Strength of the net, 0 to 1, until the next program, trial or fitting."""
        self._ask(Command.NOISE_REDUCTION, NoiseReduction(_ears(ears), strength), Empty)

    # Calibration, models, reset

    def read_calibration(self, ear: Ear) -> Calibration | None:
        """The calibration of an ear; None: it is not calibrated."""
        with _nothing_there() as nothing:
            answer = self._ask(Command.READ_CALIBRATION, OfEar(ear), CalibrationAnswer)
        return None if nothing else self._decoded(Calibration.decode, answer.record)

    def write_calibration(self, calibration: Calibration) -> None:
        """Stores the calibration of an ear; the device must be muted."""
        request = WriteCalibration(CONFIRM_CALIBRATION, calibration.encode())
        self._ask(Command.WRITE_CALIBRATION, request, Empty)

    def model_info(self, slot: int) -> ModelInfo:
        """What is in model slot 0 or 1."""
        return self._ask(Command.MODEL_INFO, OfSlot(slot), ModelInfo)

    def upload_model(
        self, path: str | Path, progress: Callable[[int, int], None] | None = None
    ) -> bytes:
        """Sends a `.nam` file to the slot that is not in use; an upload that was cut off goes on.

        Args:
            path: the model.
            progress: called with the bytes that are there and the bytes of the whole.

        Returns:
            SHA-256 that names the model, for `activate_model`.
        """
        _, data = read_core_file(path)
        name = data[24:56]
        with self._lock:
            for attempt in range(ATTEMPTS):
                try:
                    self._send_model(data, name, progress)
                    return name
                except SessionLostError:
                    if attempt == ATTEMPTS - 1:
                        raise
        raise AssertionError

    def activate_model(self, name: bytes) -> bool:
        """Makes the model of that SHA-256 the one in use; True: from the next start on.

        Raises:
            LinkError: no slot holds that model, or the device finds it damaged.
        """
        for slot in (0, 1):
            info = self.model_info(slot)
            if info.sha256 == name and info.state is not ModelState.EMPTY:
                request = ModelActivate(slot, name)
                return self._ask(Command.MODEL_ACTIVATE, request, ModelActivated).after_restart
        raise LinkError(self.port, "does not hold that model", "upload it first")

    def factory_reset(self, fittings: bool = True, calibration: bool = False) -> None:
        """Forgets fittings and the choice of the model, or the calibration; the device is mute."""
        what = (1 if fittings else 0) + (2 if calibration else 0)
        if what == 0:
            raise NeuroampError("a reset must forget something; choose fittings or calibration.")
        self._ask(Command.FACTORY_RESET, FactoryReset(what), Forgotten)

    # The line

    def _ask(self, command: Command, request: Message, answer: type[Answer]) -> Answer:
        with self._lock:
            for _ in range(ATTEMPTS):
                try:
                    return self._link.ask(command, request, answer)
                except SessionLostError as error:
                    lost: LinkError = error
                    self._greet()
                except PortError as error:
                    lost = error
                    self._reconnect()
                if command in NOT_REPEATED:
                    break
            if isinstance(lost, SessionLostError):
                raise lost
            raise SessionLostError(lost.port, lost.what, lost.advice)

    def _greet(self) -> None:
        for attempt in range(ATTEMPTS):
            try:
                self._staged.clear()
                self._greeting = self._link.greet()
                return
            except PortError:
                if attempt == ATTEMPTS - 1:
                    raise
                self._port.reopen(self._reconnect_s)

    def _reconnect(self) -> None:
        self._port.reopen(self._reconnect_s)
        self._greet()

    def _in_one_session(self, work: Callable[[], Result]) -> Result:
        """Does what takes several requests, from its beginning again if the session is lost."""
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(SessionLostError):
                return work()
        return work()

    def _stage(self, ear: Ear, data: bytes) -> None:
        """Writes a record and reads it back, in one session."""
        session = self._link.session
        for offset in range(0, len(data), WRITE_BYTES):
            part = WritePart(ear, offset, data[offset : offset + WRITE_BYTES])
            self._ask(Command.WRITE, part, Written)
        back = self._read(ObjectKind.STAGED, ear)
        if self._link.session != session:
            raise self._nothing_changed()
        if back != data:
            raise LinkError(
                self.port,
                "did not keep the fitting that was sent",
                "repeat the command; nothing was changed",
            )

    def _read(self, which: ObjectKind, ear: Ear, stage: Stage = Stage.ANALYSIS) -> bytes | None:
        """A whole object; None if there is none."""

        def read() -> bytes:
            data = b""
            while True:
                part = self._ask(Command.READ, Read(which, ear, stage, len(data)), Part)
                data += part.data
                if not part.data or len(data) >= part.length:
                    return data

        with self._lock, _nothing_there() as nothing:
            data = self._in_one_session(read)
        return None if nothing else data

    def _send_model(
        self, data: bytes, name: bytes, progress: Callable[[int, int], None] | None
    ) -> None:
        there = self._ask(Command.MODEL_BEGIN, ModelBegin(len(data), name), ModelBegun).received
        while there < len(data):
            if progress is not None:
                progress(there, len(data))
            part = ModelWrite(there, data[there : there + MODEL_BYTES])
            there = self._ask(Command.MODEL_WRITE, part, ModelWritten).received
        if progress is not None:
            progress(len(data), len(data))

    def _seals(self, wanted: Ears) -> tuple[int, int]:
        missing = [ear.value for ear in Ear if ear in wanted and ear not in self._staged]
        if missing:
            raise SessionLostError(
                self.port,
                f"has nothing staged for the {' and the '.join(missing)} ear",
                "stage the fitting again; nothing was changed",
            )
        left, right = (
            seal_of(self._staged[ear]) if ear in wanted else 0 for ear in (Ear.LEFT, Ear.RIGHT)
        )
        return left, right

    def _ears_there(self) -> list[Ear]:
        return [ear for ear in Ear if ear in self._greeting.ears]

    def _nothing_changed(self) -> SessionLostError:
        return SessionLostError(
            self.port, "was cut off before it stored the fitting", "repeat the command"
        )

    def _decoded(self, decode: Callable[[Data], Result], data: Data) -> Result:
        try:
            return decode(data)
        except Refusal:
            raise LinkError(
                self.port,
                "sent something that is no record of this version",
                "update neuroamp or its firmware",
            ) from None


@contextlib.contextmanager
def _nothing_there() -> Iterator[list[bool]]:
    """Catches the device's 'nothing there'; the list is not empty if it said so."""
    nothing: list[bool] = []
    try:
        yield nothing
    except RefusedError as error:
        if error.status is not Status.NOTHING_THERE:
            raise
        nothing.append(True)


def _ears(ears: Wanted) -> Ears:
    return frozenset([ears]) if isinstance(ears, Ear) else frozenset(ears)

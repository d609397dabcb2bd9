"""The device's side of the fitting link: bytes of a line in, bytes of the replies out.

    bytes -> frames -> session, kept reply -> command -> settings, models, the audio part

Whatever the bytes are, nothing is raised, a damaged frame has no effect, and a request that comes
twice is carried out once. The same as device/core/src/link.c and commands.c, for devices that run
Python. One thread at a time, never the one that computes sound.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ, Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.codes import (
    FITTING_BYTES,
    LONGEST_FRAME,
    PROTOCOL_VERSION,
    READ_BYTES,
    Capability,
    Command,
    EventCode,
    Field,
    ModelState,
    ObjectKind,
    Output,
    Program,
    Refusal,
    Source,
    Status,
)
from neuroamp.link.frames import Frame, FrameReader, Kind
from neuroamp.link.messages import (
    BOTH_EARS,
    MESSAGES,
    MOST_EVENTS,
    Applied,
    CalibrationAnswer,
    Committed,
    Counts,
    Ears,
    Empty,
    Event,
    EventList,
    Forgotten,
    Greeting,
    Identity,
    Levels,
    Message,
    ModelActivated,
    ModelBegun,
    ModelWritten,
    Part,
    Reverted,
    Written,
    encode_refusal,
    encode_reply,
)
from neuroamp.link.models import ModelSlots
from neuroamp.link.records import Calibration, FittingRecord, TimesRecord, seal_of
from neuroamp.link.settings import Settings, StoreFailedError, StoreName
from neuroamp.times import Stage

KEPT_EVENTS = 32
UNFITTED_MPO_DB_SPL = 80.0
PROGRAM_STRENGTH = {Program.NOISE: 1.0, Program.MUSIC: 0.0}
"""Noise reduction of a program; the everyday one has the fitting's own."""

TRIAL_AGAIN_MS = 1000
"""Where the end of a trial was refused, it is asked for again after so long."""

FORGET_FITTINGS, FORGET_CALIBRATION = 1, 2


@dataclasses.dataclass(frozen=True)
class DeviceInfo:
    """What a device says about itself.

    Attributes:
        serial, name, firmware, profile: printable ASCII; what is longer than on the line is cut.
        sample_rate_hz, hop, delay_samples: of the profile.
        ears: that the device has.
        has_net: whether noise reduction has an effect.
    """

    serial: str
    name: str
    firmware: str
    profile: str
    sample_rate_hz: int
    hop: int
    delay_samples: int
    ears: Ears = BOTH_EARS
    has_net: bool = False


@dataclasses.dataclass(frozen=True)
class AudioCounts:
    """What happened at an ear since the device started."""

    steps: int = 0
    missed_steps: int = 0
    non_finite_samples: int = 0
    hops: int = 0
    late_hops: int = 0


class AudioPart(Protocol):
    """What the link asks of the part of a device that makes the sound."""

    def set_fitting(self, fitting: Fitting) -> None:
        """Fades to a fitting; raises NeuroampError, and keeps the one it has, if it refuses."""

    def set_calibration(self, ear: Ear, calibration: Calibration | None) -> None:
        """Takes a calibration, or None for an ear that has none; may refuse as above."""

    def set_volume(self, ear: Ear, volume_db: float) -> None:
        """Takes a volume, -40 to 10 dB."""

    def set_noise_reduction(self, ear: Ear, strength: float) -> None:
        """Takes a strength of the net, 0 to 1, until the next fitting."""

    def set_output(self, output: Output) -> None:
        """Sounds, mutes or is silent at once."""

    def output(self) -> Output:
        """What was asked for last."""

    def applied_gains_db(self, ear: Ear) -> Sequence[float]:
        """Insertion gain for speech of 65 dB SPL that the chain holds, volume included, [11]."""

    def ceiling_db_spl(self, ear: Ear) -> float:
        """The device's own limit, whatever the fitting, dB SPL of a sine."""

    def levels(self, ear: Ear) -> Levels:
        """Input and output levels."""

    def counts(self, ear: Ear) -> AudioCounts:
        """Counters since the start."""

    def times(self, ear: Ear, stage: Stage) -> TimesRecord:
        """Times of a stage."""

    def take_model(self, data: bytes) -> bool:
        """Whether a whole, sound model is used from the next start on (True) or at once (False);
        raises NeuroampError if the device cannot use it."""


def unfitted(ear: Ear) -> Fitting:
    """What an ear plays that was never fitted: no gain, a low limit, no noise reduction."""
    channels = len(CHANNEL_FREQUENCIES_HZ)
    return Fitting(
        ear=ear,
        thresholds_db_hl=(0.0,) * len(STANDARD_FREQUENCIES_HZ),
        rule="",
        gain_65_db=(0.0,) * channels,
        compression_ratio=(1.0,) * channels,
        mpo_db_spl=UNFITTED_MPO_DB_SPL,
        noise_reduction=0.0,
    )


class EventLog:
    """The last events, numbered from the start of the device; any thread may log."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._events: collections.deque[Event] = collections.deque(maxlen=KEPT_EVENTS)
        self._next = 0

    def log(self, code: int, ears: Iterable[Ear] = (), argument: int = 0) -> None:
        """Adds an event about some ears, or about the device."""
        with self._lock:
            self._events.append(Event(self._now_ms(), code, frozenset(ears), 0, argument % 2**32))
            self._next += 1

    def since(self, first: int) -> EventList:
        """The events from a number on, as many as an answer holds."""
        with self._lock:
            oldest = self._next - len(self._events)
            skipped = max(0, first - oldest)
            found = list(itertools.islice(self._events, skipped, skipped + MOST_EVENTS))
            return EventList(oldest, self._next, b"".join(event.encode() for event in found))


@dataclasses.dataclass
class _Side:
    """One ear: what is staged and on trial, and what is in force."""

    staged: bytes = b""
    trial: bytes = b""
    trial_end_ms: int = 0
    source: Source = Source.UNFITTED
    program: Program = Program.EVERYDAY
    crc: int = 0
    mpo_db_spl: float = UNFITTED_MPO_DB_SPL
    fitted_reduction: float = 0.0
    noise_reduction: float = 0.0
    volume_db: float = 0.0
    is_calibrated: bool = False


class Dispatcher:
    """One device's end of the line."""

    def __init__(
        self,
        info: DeviceInfo,
        part: AudioPart,
        settings: Settings,
        models: ModelSlots,
        now_ms: Callable[[], int],
    ) -> None:
        """Plays what is stored, or the unfitted state.

        Args:
            info: what the device is.
            part: what makes its sound.
            settings: what it keeps.
            models: its model slots, the active one marked.
            now_ms: milliseconds since the start.
        """
        self._info = info
        self._part = part
        self._settings = settings
        self._models = models
        self._clock = now_ms
        self._reader = FrameReader(Kind.REQUEST)
        self._session = self._session_before = 0
        self._last_sequence = 0
        self._kept = b""
        self._repeats = 0
        self._times: tuple[Ear, Stage, bytes] | None = None
        self._sides = {ear: _Side() for ear in Ear if ear in info.ears}
        self.events = EventLog(self._now_ms)
        self._commands: dict[Command, Callable[[Any, Frame], Message]] = {
            Command.HELLO: self._on_hello,
            Command.IDENTIFY: self._on_identify,
            Command.READ: self._on_read,
            Command.WRITE: self._on_write,
            Command.TRY: self._on_try,
            Command.COMMIT: self._on_commit,
            Command.REVERT: self._on_revert,
            Command.APPLIED: self._on_applied,
            Command.LEVELS: self._on_levels,
            Command.COUNTS: self._on_counts,
            Command.EVENTS: self._on_events,
            Command.MUTE: self._on_mute,
            Command.PANIC: self._on_panic,
            Command.VOLUME: self._on_volume,
            Command.PROGRAM: self._on_program,
            Command.NOISE_REDUCTION: self._on_noise_reduction,
            Command.READ_CALIBRATION: self._on_read_calibration,
            Command.WRITE_CALIBRATION: self._on_write_calibration,
            Command.FACTORY_RESET: self._on_factory_reset,
        }
        if models.slot_bytes > 0:
            self._commands |= {
                Command.MODEL_INFO: self._on_model_info,
                Command.MODEL_BEGIN: self._on_model_begin,
                Command.MODEL_WRITE: self._on_model_write,
                Command.MODEL_ACTIVATE: self._on_model_activate,
            }
        self._start()

    def receive(self, data: bytes) -> bytes:
        """Takes bytes from the line, any number; returns those to send."""
        self.poll()
        replies = []
        # One frame after the other: what COUNTS counts is what came before it.
        for piece in _up_to_zeros(data):
            for request in self._reader.push(piece):
                reply = self._take(request)
                if reply is not None:
                    replies.append(reply)
        return b"".join(replies)

    def poll(self) -> None:
        """Ends trials whose time is over; to be called ten times a second or more often."""
        for ear, side in self._sides.items():
            if side.source is not Source.TRIAL or self._left_ms(side) > 0:
                continue
            if self._play(ear, Source.STORED):
                self.events.log(EventCode.TRIAL_RAN_OUT, [ear])
            else:
                side.trial_end_ms += TRIAL_AGAIN_MS

    # Sessions

    def _take(self, request: Frame) -> bytes | None:
        """The reply to a request; None if it gets none."""
        ours = request.session != 0 and request.session == self._session
        if request.command == Command.PANIC:
            return _reply(request, self._run(request)[1])
        if not ours and request.command == Command.HELLO:
            if request.session != 0 and request.session == self._session_before:
                return None  # a late copy
            status, payload = self._run(request)
            reply = _reply(request, payload)
            if status is Status.OK:
                self._begin_session(request.session, reply)
            return reply
        if not ours:
            return _reply(request, encode_refusal(Refusal(Status.NO_SESSION)))
        if request.sequence > self._last_sequence:
            self._kept = _reply(request, self._run(request)[1])
            self._last_sequence = request.sequence
            return self._kept
        if request.sequence == self._last_sequence:
            self._repeats += 1
            return self._kept
        return None  # a late copy of an older request

    def _begin_session(self, session: int, reply: bytes) -> None:
        self._session_before, self._session = self._session, session
        self._last_sequence, self._kept = 0, reply
        self._times = None
        self._drop_staged()

    def _run(self, request: Frame) -> tuple[Status, bytes]:
        """Carries a request out: status and payload of its reply."""
        try:
            if request.command not in self._commands:
                raise Refusal(Status.UNKNOWN_COMMAND)
            command = Command(request.command)
            message = MESSAGES[command][0].decode(request.payload, self._info.ears)
            return Status.OK, encode_reply(self._commands[command](message, request))
        except Refusal as refusal:
            return refusal.status, encode_refusal(refusal)
        except StoreFailedError:
            return Status.STORE_FAILED, encode_refusal(Refusal(Status.STORE_FAILED))
        except NeuroampError:
            # The audio part could not tell, as when its thread gets no time to run in.
            return Status.REFUSED, encode_refusal(Refusal(Status.REFUSED))

    # What is in force

    def _start(self) -> None:
        self.events.log(EventCode.STARTED)
        for name in self._settings.damaged:
            self.events.log(EventCode.DAMAGED_SLOT, argument=name)
        for ear in self._sides:
            self._calibrate(ear)
            self._play(ear, Source.STORED)

    def _now_ms(self) -> int:
        return self._clock() % 2**32

    def _left_ms(self, side: _Side) -> int:
        """Milliseconds that a trial goes on; 0 when it is over, also if that was a moment ago."""
        return max(0, side.trial_end_ms - self._clock())

    def _play(self, ear: Ear, source: Source) -> bool:
        """Plays an ear's trial, or what is stored, or where that is nothing the unfitted state.

        Returns False, and what was in force stays, if the audio part refuses.
        """
        side = self._sides[ear]
        record = side.trial if source is Source.TRIAL else self._settings.fitting(ear)
        fitting, program = unfitted(ear), Program.EVERYDAY
        if record is None:
            source = Source.UNFITTED
        else:
            decoded = FittingRecord.decode(record)
            fitting, program = decoded.fitting, decoded.program
        strength = PROGRAM_STRENGTH.get(program, fitting.noise_reduction)
        try:
            self._part.set_fitting(fitting.replace(noise_reduction=strength))
        except NeuroampError:
            self.events.log(EventCode.PART_REFUSED, [ear])
            return False
        side.source, side.program = source, program
        side.crc = 0 if record is None else seal_of(record)
        side.mpo_db_spl = fitting.mpo_db_spl
        side.fitted_reduction, side.noise_reduction = fitting.noise_reduction, strength
        return True

    def _calibrate(self, ear: Ear) -> None:
        record = self._settings.calibration(ear)
        side = self._sides[ear]
        try:
            self._part.set_calibration(ear, None if record is None else Calibration.decode(record))
            side.is_calibrated = record is not None
        except NeuroampError:
            self._part.set_calibration(ear, None)
            self.events.log(EventCode.PART_REFUSED, [ear], 1)
            side.is_calibrated = False

    def _drop_staged(self) -> None:
        for side in self._sides.values():
            side.staged = b""

    def _end_trials(self, ears: Ears) -> Ears:
        """Ends the trials of some ears; returns which had one."""
        ended = self._with(lambda ear, side: side.source is Source.TRIAL) & ears
        for ear in ended:
            self._play(ear, Source.STORED)
        return ended

    def _with(self, has: Callable[[Ear, _Side], bool]) -> Ears:
        return frozenset(ear for ear, side in self._sides.items() if has(ear, side))

    # Who the device is

    def _on_hello(self, hello: Any, request: Frame) -> Message:
        if hello.lowest > hello.highest:
            raise Refusal(Status.BAD_VALUE, Field.VERSION)
        if request.sequence != 0 or request.session == 0:
            raise Refusal(Status.BAD_VALUE, Field.SEQUENCE_OR_SESSION)
        if not hello.lowest <= PROTOCOL_VERSION <= hello.highest:
            raise Refusal(Status.WRONG_VERSION, 0, PROTOCOL_VERSION)
        has = Capability.CALIBRATION | Capability.TIMES
        if self._info.has_net:
            has |= Capability.NET
        if self._models.slot_bytes > 0:
            has |= Capability.MODEL_UPLOAD
        if self._settings.lasting:
            has |= Capability.LASTING_SETTINGS
        return Greeting(PROTOCOL_VERSION, self._info.ears, LONGEST_FRAME, int(has))

    def _on_identify(self, _: Any, __: Frame) -> Message:
        info = self._info
        return Identity(
            serial=info.serial,
            name=info.name,
            firmware=info.firmware,
            profile=info.profile,
            sample_rate_hz=info.sample_rate_hz,
            hop=info.hop,
            delay_samples=info.delay_samples,
            fitted=self._with(lambda ear, _: self._settings.fitting(ear) is not None),
            on_trial=self._with(lambda _, side: side.source is Source.TRIAL),
            calibrated=self._with(lambda _, side: side.is_calibrated),
            output=self._part.output(),
            active_model_slot=self._models.active,
        )

    # Fittings

    def _on_read(self, read: Any, _: Frame) -> Message:
        if read.object is ObjectKind.TIMES:
            return _part_of(self._times_at(read.ear, read.stage, read.offset), read.offset)
        if read.stage is not Stage.ANALYSIS:
            raise Refusal(Status.BAD_VALUE, Field.STAGE)
        side = self._sides[read.ear]
        if read.object is ObjectKind.STAGED:
            record = side.staged if len(side.staged) == FITTING_BYTES else None
        elif read.object is ObjectKind.ACTIVE and side.source is Source.TRIAL:
            record = side.trial
        else:
            record = self._settings.fitting(read.ear)
        if record is None:
            raise Refusal(Status.NOTHING_THERE)
        return _part_of(record, read.offset)

    def _times_at(self, ear: Ear, stage: Stage, offset: int) -> bytes:
        """The times that are being read: at offset 0 those of now, then on from that copy."""
        if offset == 0:
            self._times = (ear, stage, self._part.times(ear, stage).encode())
        if self._times is None or self._times[:2] != (ear, stage):
            raise Refusal(Status.BAD_OFFSET)
        return self._times[2]

    def _on_write(self, write: Any, _: Frame) -> Message:
        side = self._sides[write.ear]
        end = write.offset + len(write.data)
        if write.offset != 0 and (write.offset != len(side.staged) or end > FITTING_BYTES):
            raise Refusal(Status.BAD_OFFSET)
        side.staged = side.staged[: write.offset] + write.data
        if len(side.staged) == FITTING_BYTES:
            try:
                if FittingRecord.decode(side.staged).fitting.ear is not write.ear:
                    raise Refusal(Status.BAD_VALUE, Field.RECORD_EAR)
            except Refusal:
                side.staged = b""
                raise
        return Written(len(side.staged))

    def _check_staged(self, message: Any) -> None:
        """Whether each of the ears has a complete staged record of its CRC."""
        for ear in message.ears:
            if len(self._sides[ear].staged) != FITTING_BYTES:
                raise Refusal(Status.NOTHING_THERE)
        for ear, crc in ((Ear.LEFT, message.crc_left), (Ear.RIGHT, message.crc_right)):
            expected = seal_of(self._sides[ear].staged) if ear in message.ears else 0
            if crc != expected:
                raise Refusal(Status.BAD_CRC)

    def _on_try(self, trial: Any, _: Frame) -> Message:
        self._check_staged(trial)
        for ear in trial.ears:
            side = self._sides[ear]
            side.trial = side.staged
            side.trial_end_ms = self._clock() + 1000 * trial.seconds
            if not self._play(ear, Source.TRIAL):
                self._end_trials(trial.ears)
                raise Refusal(Status.REFUSED)
        self.events.log(EventCode.TRIAL_BEGAN, trial.ears, trial.seconds)
        return Empty()

    def _on_commit(self, commit: Any, _: Frame) -> Message:
        self._check_staged(commit)
        self._settings.store_fittings({ear: self._sides[ear].staged for ear in commit.ears})
        number = self._settings.number
        self.events.log(EventCode.FITTING_STORED, commit.ears, number)
        refused = False
        for ear in commit.ears:
            self._sides[ear].staged = b""
            refused |= not self._play(ear, Source.STORED)
        if refused:
            raise Refusal(Status.REFUSED)
        return Committed(number)

    def _on_revert(self, revert: Any, _: Frame) -> Message:
        ended = self._end_trials(revert.ears)
        if ended:
            self.events.log(EventCode.TRIAL_ENDED, ended)
        return Reverted(ended)

    # What goes on

    def _on_applied(self, question: Any, _: Frame) -> Message:
        side = self._sides[question.ear]
        ceiling = self._part.ceiling_db_spl(question.ear)
        return Applied(
            source=side.source,
            program=side.program,
            output=self._part.output(),
            calibrated=side.is_calibrated,
            crc=side.crc,
            trial_left_ms=self._left_ms(side) if side.source is Source.TRIAL else 0,
            volume_db=side.volume_db,
            noise_reduction=side.noise_reduction,
            mpo_db_spl=min(side.mpo_db_spl, ceiling),
            gain_65_db=tuple(self._part.applied_gains_db(question.ear)),
        )

    def _on_levels(self, question: Any, _: Frame) -> Message:
        return self._part.levels(question.ear)

    def _on_counts(self, question: Any, _: Frame) -> Message:
        counts = self._part.counts(question.ear)
        return Counts(
            steps=counts.steps,
            missed_steps=counts.missed_steps,
            non_finite_samples=counts.non_finite_samples,
            hops=counts.hops,
            late_hops=counts.late_hops,
            uptime_ms=self._now_ms(),
            good_frames=self._reader.good % 2**32,
            dropped_frames=self._reader.dropped % 2**32,
            repeats=self._repeats % 2**32,
            settings_number=self._settings.number,
        )

    def _on_events(self, question: Any, _: Frame) -> Message:
        return self.events.since(question.first)

    # What one turns while listening

    def _on_mute(self, mute: Any, _: Frame) -> Message:
        self._part.set_output(Output.MUTED if mute.on else Output.SOUNDS)
        self.events.log(EventCode.MUTED if mute.on else EventCode.SOUNDS_AGAIN)
        return Empty()

    def _on_panic(self, _: Any, __: Frame) -> Message:
        self._part.set_output(Output.SILENT)
        self._end_trials(BOTH_EARS)
        self.events.log(EventCode.PANIC)
        return Empty()

    def _on_volume(self, volume: Any, _: Frame) -> Message:
        for ear in volume.ears:
            self._set_volume(ear, volume.volume_db)
        return Empty()

    def _set_volume(self, ear: Ear, volume_db: float) -> None:
        self._sides[ear].volume_db = volume_db
        self._part.set_volume(ear, volume_db)

    def _on_program(self, choice: Any, _: Frame) -> Message:
        self._check_fitted(choice.ears)
        for ear in choice.ears:
            side = self._sides[ear]
            side.program = choice.program
            strength = PROGRAM_STRENGTH.get(choice.program, side.fitted_reduction)
            self._set_noise_reduction(ear, strength)
        return Empty()

    def _on_noise_reduction(self, message: Any, _: Frame) -> Message:
        self._check_fitted(message.ears)
        for ear in message.ears:
            self._set_noise_reduction(ear, message.noise_reduction)
        return Empty()

    def _check_fitted(self, ears: Ears) -> None:
        if ears & self._with(lambda _, side: side.source is Source.UNFITTED):
            raise Refusal(Status.NOTHING_THERE)

    def _set_noise_reduction(self, ear: Ear, strength: float) -> None:
        self._sides[ear].noise_reduction = strength
        self._part.set_noise_reduction(ear, strength)

    # Calibration

    def _on_read_calibration(self, question: Any, _: Frame) -> Message:
        record = self._settings.calibration(question.ear)
        if record is None:
            raise Refusal(Status.NOTHING_THERE)
        return CalibrationAnswer(record)

    def _on_write_calibration(self, write: Any, _: Frame) -> Message:
        ear = Calibration.decode(write.record).ear
        if ear not in self._sides:
            raise Refusal(Status.NO_SUCH_EAR)
        if self._part.output() is Output.SOUNDS:
            raise Refusal(Status.NOT_NOW)
        self._settings.store_calibration(ear, write.record)
        self.events.log(EventCode.CALIBRATION_STORED, [ear])
        self._calibrate(ear)
        if not self._sides[ear].is_calibrated:
            raise Refusal(Status.REFUSED)
        return Empty()

    # Models

    def _on_model_info(self, question: Any, _: Frame) -> Message:
        return self._models.info(question.slot)

    def _on_model_begin(self, begin: Any, _: Frame) -> Message:
        slot, there, is_new = self._models.begin(begin.length, begin.sha256)
        if is_new:
            self.events.log(EventCode.MODEL_UPLOAD_BEGAN, argument=slot)
        return ModelBegun(slot, there)

    def _on_model_write(self, write: Any, _: Frame) -> Message:
        return ModelWritten(self._models.write(write.offset, write.data))

    def _on_model_activate(self, activate: Any, _: Frame) -> Message:
        data = self._models.verified(activate.slot, activate.sha256)
        in_use = self._models.info(activate.slot).state is ModelState.ACTIVE
        try:
            at_next_start = not in_use and self._part.take_model(data)
        except NeuroampError:
            raise Refusal(Status.REFUSED) from None
        self._settings.store_model_slot(activate.slot)
        if not at_next_start:
            self._models.active = activate.slot
        self.events.log(EventCode.MODEL_ACTIVATED, argument=activate.slot)
        return ModelActivated(at_next_start)

    # Factory reset

    def _on_factory_reset(self, reset: Any, _: Frame) -> Message:
        if self._part.output() is Output.SOUNDS:
            self._part.set_output(Output.MUTED)
        self._drop_staged()
        self._end_trials(BOTH_EARS)
        for ear in self._sides:
            self._set_volume(ear, 0.0)
        if reset.what & FORGET_FITTINGS:
            self._settings.forget(StoreName.FITTINGS)
        if reset.what & FORGET_CALIBRATION:
            self._settings.forget(StoreName.CALIBRATION)
        for ear in self._sides:
            if reset.what & FORGET_CALIBRATION:
                self._calibrate(ear)
            self._play(ear, Source.STORED)
        self.events.log(EventCode.FACTORY_RESET, argument=reset.what)
        return Forgotten(reset.what)


def with_volume(gains_db: Sequence[float], volume_db: float) -> tuple[float, ...]:
    """Gains plus the volume, added as binary32 as the core adds them."""
    return tuple(float(np.float32(gain) + np.float32(volume_db)) for gain in gains_db)


def _up_to_zeros(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(0, start) + 1 or len(data)
        yield data[start:end]
        start = end


def _reply(request: Frame, payload: bytes) -> bytes:
    return dataclasses.replace(request, kind=Kind.REPLY, payload=payload).encode()


def _part_of(data: bytes, offset: int) -> Part:
    if offset > len(data):
        raise Refusal(Status.BAD_OFFSET)
    return Part(len(data), data[offset : offset + READ_BYTES])

"""The host's end of the fitting link: one request at a time, repeated until it is answered.

A request that had no answer is sent again with the same sequence number, so that the device, which
keeps its last reply, carries it out once. When the device no longer knows the session (it was
started again, another host greeted it, the cable was pulled) the link greets it anew; whether the
request at that moment was carried out has then to be looked up, and `SessionLostError` says so.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from typing import TypeVar

from neuroamp.link.codes import PROTOCOL_VERSION, Command, Field, Refusal, Status
from neuroamp.link.frames import Frame, FrameReader, Kind
from neuroamp.link.messages import MESSAGES, Greeting, Hello, Message, decode_reply

from neuroamp_host.fitting.ports import LinkError, PortError, SerialPort

LAST_SEQUENCE = 0xFFFF
SLOW = {
    Command.COMMIT,
    Command.WRITE_CALIBRATION,
    Command.MODEL_BEGIN,
    Command.MODEL_ACTIVATE,
    Command.FACTORY_RESET,
}
"""Commands that a device may take two seconds for."""

REASONS = {
    Status.UNKNOWN_COMMAND: ("does not have that command", "update its firmware"),
    Status.BAD_LENGTH: ("did not understand the request", "update neuroamp or its firmware"),
    Status.NO_SUCH_EAR: ("does not have that ear", "choose the other ear"),
    Status.BAD_OFFSET: ("lost a part of the record", "repeat the command"),
    Status.BAD_CRC: ("holds another record than was sent", "repeat the command"),
    Status.NOTHING_THERE: ("has nothing stored, staged or on trial there", "send a fitting first"),
    Status.NOT_NOW: (
        "cannot do that in its present state",
        "mute it first, or finish what is under way",
    ),
    Status.STORE_FAILED: (
        "could not store it and keeps what it had",
        "try again, then look at its settings memory",
    ),
    Status.BAD_HASH: ("holds another model than was sent", "send the model again"),
    Status.BAD_MODEL: ("does not take that model", "export it for this device"),
    Status.WRONG_VERSION: ("speaks another version of the link", "update neuroamp or its firmware"),
    Status.REFUSED: ("refused it", "look at its event log"),
}
"""Predicate and advice of a refusal."""

FIELDS = {
    Field.FORMAT: "record's format",
    Field.RECORD_EAR: "fitting's ear",
    Field.RECORD_PROGRAM: "fitting's program",
    Field.POINTS: "number of audiogram points",
    Field.TIME: "fitting's time",
    Field.RULE: "rule's name",
    Field.AUDIOGRAM_NAME: "audiogram's name",
    Field.THRESHOLDS: "thresholds",
    Field.GAIN_65: "gains",
    Field.COMPRESSION_RATIO: "compression ratios",
    Field.KNEE: "knee",
    Field.ATTACK: "attack",
    Field.RELEASE: "release",
    Field.MPO: "maximum power output",
    Field.RECORD_NOISE_REDUCTION: "fitting's noise reduction",
    Field.AUDIOGRAM: "audiogram",
    Field.EAR: "ear",
    Field.SECONDS: "seconds of the trial",
    Field.VOLUME: "volume",
    Field.PROGRAM: "program",
    Field.NOISE_REDUCTION: "noise reduction",
    Field.LENGTH: "model's length",
    Field.MICROPHONE: "microphone's full scale",
    Field.RECEIVER: "receiver's full scale",
    Field.CEILING: "ceiling",
}
"""What `BAD_VALUE` means, for people."""

Answer = TypeVar("Answer", bound=Message)


class NoAnswerError(LinkError):
    """The port is there but no device answers on it."""


class SessionLostError(LinkError):
    """The device forgot the session; the request under way was carried out once or not at all."""


class RefusedError(LinkError):
    """The device refused a request, which then had no effect.

    Attributes:
        status, field, index: as the device says it (`neuroamp.link.codes`).
    """

    def __init__(self, port: str, refusal: Refusal) -> None:
        what, advice = REASONS.get(refusal.status, REASONS[Status.BAD_LENGTH])
        if refusal.status is Status.BAD_VALUE:
            names = {int(field): words for field, words in FIELDS.items()}
            name = names.get(refusal.field, f"value number {refusal.field}")
            what = f"refused the {name} (entry {refusal.index + 1})"
            advice = "correct it; nothing was changed"
        super().__init__(port, what, advice)
        self.status = refusal.status
        self.field = refusal.field
        self.index = refusal.index


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a request is waited for.

    Attributes:
        first_s: for the first answer, seconds; twice as long each time after.
        slow_first_s: the same for commands that may take the device two seconds.
        most_s: longest wait for one answer.
        tries: how often a request is sent before the link gives up.
    """

    first_s: float = 0.25
    slow_first_s: float = 2.0
    most_s: float = 2.0
    tries: int = 6

    def waits_s(self, slow: bool) -> list[float]:
        """The waits, in their order."""
        first = self.slow_first_s if slow else self.first_s
        return [min(first * 2.0**i, max(self.most_s, first)) for i in range(self.tries)]


class Link:
    """Requests and answers over one port; for one thread at a time."""

    def __init__(self, port: SerialPort, patience: Patience | None = None) -> None:
        self.port = port
        self._patience = patience or Patience()
        self._reader = FrameReader(Kind.REPLY)
        self._session = 0
        self._sequence = 0

    @property
    def session(self) -> int:
        """Number of the session; 0 if there is none."""
        return self._session

    @property
    def sequence(self) -> int:
        """Sequence number of the last request."""
        return self._sequence

    def greet(self) -> Greeting:
        """Begins a session; what was staged in the one before is gone.

        Raises:
            NoAnswerError: nothing answers.
            RefusedError: the device speaks no version of the protocol that this host speaks.
            PortError: the port went away.
        """
        self._reader.reset()
        self.port.discard_input()
        self._session = secrets.randbelow(2**32 - 1) + 1
        self._sequence = 0
        request = Hello(PROTOCOL_VERSION, PROTOCOL_VERSION)
        return self._exchange(Command.HELLO, request, Greeting)

    def ask(self, command: Command, request: Message, answer: type[Answer]) -> Answer:
        """The answer to a request.

        Raises:
            NoAnswerError: nothing answers any more.
            SessionLostError: the session was lost; greet, and look what is in force.
            RefusedError: the device refused it.
            PortError: the port went away.
        """
        if self._session == 0 or self._sequence >= LAST_SEQUENCE:
            raise self._lost()
        self._sequence += 1
        return self._exchange(command, request, answer)

    def _exchange(self, command: Command, request: Message, answer: type[Answer]) -> Answer:
        assert isinstance(request, MESSAGES[command][0])
        frame = Frame(Kind.REQUEST, command, self._sequence, self._session, request.encode())
        data = frame.encode()
        for wait_s in self._patience.waits_s(command in SLOW):
            self.port.write(data)
            reply = self._await(frame, wait_s)
            if reply is None:
                continue
            try:
                return decode_reply(reply.payload, answer)
            except Refusal as refusal:
                if refusal.status is Status.NO_SESSION:
                    raise self._lost() from None
                raise RefusedError(self.port.name, refusal) from None
        raise NoAnswerError(
            self.port.name,
            f"did not answer {self._patience.tries} times",
            "check that it is a neuroamp device, that it runs, and the cable",
        )

    def _await(self, request: Frame, wait_s: float) -> Frame | None:
        """The reply to a request; None if it does not come in time."""
        deadline = time.monotonic() + wait_s
        wanted = (request.command, request.sequence, request.session)
        while (left_s := deadline - time.monotonic()) > 0.0:
            for reply in self._reader.push(self.port.read(left_s)):
                if (reply.command, reply.sequence, reply.session) == wanted:
                    return reply
        return None

    def _lost(self) -> SessionLostError:
        self._session = 0
        return SessionLostError(
            self.port.name,
            "was started again, or spoke with another program",
            "see what it holds now with `neuroamp fit --list`, and repeat the command",
        )


__all__ = [
    "Link",
    "LinkError",
    "NoAnswerError",
    "Patience",
    "PortError",
    "RefusedError",
    "SessionLostError",
]

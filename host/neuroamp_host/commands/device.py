"""`neuroamp device`: a hearing aid on this computer, fitted over a serial port.

The sound runs in C, in a sound card's callback or, fed from a file or silent, in a thread of its
own; the link (`neuroamp.link.dispatcher`) sets and asks it from beside. What is committed over the
link is kept in the settings folder and plays from the start on the next time.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np
from neuroamp import __version__
from neuroamp.aid import Aid
from neuroamp.audiogram import Ear
from neuroamp.engines.native import aligned_block, check_status, load_library
from neuroamp.errors import NeuroampError
from neuroamp.link.aid_part import AidPart
from neuroamp.link.codes import NO_MODEL, EventCode, Output
from neuroamp.link.dispatcher import DeviceInfo, Dispatcher, unfitted
from neuroamp.link.models import ModelSlots
from neuroamp.link.settings import FolderStorage, MemoryStorage, Settings
from neuroamp.live import Live
from neuroamp.recording import read_recording, resample
from neuroamp.released import DEFAULT_MODEL, find_model
from neuroamp.units import pascal_from_db_spl
from numpy.typing import NDArray

from neuroamp_host.fitting.ports import DEFAULT_BAUD, PTY, Port, PtyPort, SerialPort
from neuroamp_host.fitting.serve import serve
from neuroamp_host.sound_options import add_sound_arguments, live_setup

Floats = NDArray[np.float32]

BOTH = "both"
LIVE, SILENT = "live", "silent"
NO_MODEL_NAME = "none"
SLOT_BYTES = 16 * 2**20
FEED_BLOCK_HOPS = 4
FEED_BEHIND_S = 0.5
"""A feed that is later than this gives up catching up: the machine slept."""

FADE_OUT_S = 0.05
LATE_EVERY_S = 10.0
TEXT_LIMITS = {"serial": 16, "name": 24}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--port",
        required=True,
        metavar="PORT|pty|pty:PATH",
        help="serial port to be fitted over; 'pty' makes a pseudo-terminal and prints its path, "
        "'pty:PATH' links PATH to it",
    )
    parser.add_argument(
        "--baud", type=int, default=DEFAULT_BAUD, help="bits a second (default: %(default)d)"
    )
    parser.add_argument(
        "--settings",
        metavar="DIR",
        help="folder of fittings, calibration and models; without it they are forgotten at the end",
    )
    parser.add_argument(
        "--ears",
        choices=[*(ear.value for ear in Ear), BOTH],
        default=BOTH,
        help="ears of the device (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="PATH|NAME",
        help=".nam file or released model for as long as none was uploaded; 'none' amplifies "
        "without a net (default: %(default)s)",
    )
    parser.add_argument(
        "--audio",
        choices=[LIVE, SILENT],
        default=SILENT,
        help="live: microphone to receiver through the sound card; silent: no sound at all, for "
        "trying the link out (default: %(default)s)",
    )
    parser.add_argument(
        "--input", metavar="FILE", help="recording to hear instead, repeated, in its own time"
    )
    add_sound_arguments(parser)
    parser.add_argument(
        "--name",
        default="neuroamp",
        help="name that is shown when it is fitted (default: neuroamp)",
    )
    parser.add_argument(
        "--serial",
        default=f"NA-{uuid.getnode():012X}",
        help="serial number, at most 16 characters (default: of this computer)",
    )


def run(options: argparse.Namespace) -> int:
    """Runs until it is told to stop; returns the exit code."""
    _check(options)
    storage = MemoryStorage() if options.settings is None else FolderStorage(options.settings)
    settings = Settings(storage)
    models = ModelSlots(storage, 0 if options.settings is None else SLOT_BYTES)
    model, damaged = _choose_model(options, settings, models)
    ears = [ear for ear in Ear if options.ears in (ear.value, BOTH)]
    aid = Aid(model, [unfitted(ear) for ear in ears])
    sound = _sound(options, aid)
    port = _open_port(options)
    started = time.monotonic()
    profile = aid.profile
    dispatcher = Dispatcher(
        DeviceInfo(
            serial=options.serial,
            name=options.name,
            firmware=f"neuroamp {__version__}",
            profile=profile.name,
            sample_rate_hz=profile.sample_rate_hz,
            hop=profile.hop,
            delay_samples=aid.delay_samples,
            ears=frozenset(ears),
            has_net=aid.has_net,
        ),
        AidPart(aid, _check_model),
        settings,
        models,
        lambda: int(1000.0 * (time.monotonic() - started)),
    )
    if damaged is not None:
        dispatcher.events.log(EventCode.MODEL_UNUSABLE, argument=damaged)
    _tell(options, aid, settings, port.name)
    _play(aid, sound, dispatcher, port)
    print("stopped", flush=True)
    return 0


def _check(options: argparse.Namespace) -> None:
    if options.input and options.audio == LIVE:
        raise NeuroampError("--input and --audio live both bring sound; leave one out.")
    for name, most in TEXT_LIMITS.items():
        text = getattr(options, name)
        if not 1 <= len(text) <= most or any(not " " <= character <= "~" for character in text):
            raise NeuroampError(
                f"--{name} is {text!r} but must be 1 to {most} printable ASCII characters."
            )


def _choose_model(
    options: argparse.Namespace, settings: Settings, models: ModelSlots
) -> tuple[Path | None, int | None]:
    """The model to run, and the slot whose model cannot be used, if there is such a one."""
    slot, damaged = settings.model_slot, None
    if options.settings is not None:
        if models.data(slot) is not None:
            models.active = slot
            return Path(options.settings) / models.file(slot), None
        damaged = slot if models.is_damaged(slot) else None
    models.active = NO_MODEL
    model = None if options.model == NO_MODEL_NAME else find_model(options.model, "native")
    return model, damaged


def _check_model(data: bytes) -> None:
    """Raises NeuroampError for a model that the core refuses."""
    ffi, library = load_library()
    _block, address = aligned_block(len(data))  # the memory lives as long as the name
    ffi.memmove(address, data, len(data))
    check_status(library.neuroamp_check_model(address, len(data), ffi.NULL))


def _open_port(options: argparse.Namespace) -> Port:
    kind, colon, link = options.port.partition(":")
    if kind == PTY:
        return PtyPort(link if colon else None)
    return SerialPort(options.port, options.baud)


class Feed:
    """Sound from memory through the aid, in its own time, in a thread of its own."""

    def __init__(self, aid: Aid, sound: Floats) -> None:
        """`sound`: full scales, shape [channels, samples], repeated; of one channel both hear."""
        self._aid = aid
        self._sound = sound
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Plays from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Fades out and ends."""
        wanted = self._aid.output()
        self._aid.set_output(Output.MUTED)
        time.sleep(FADE_OUT_S)
        self._stop.set()
        self._thread.join()
        self._aid.set_output(wanted)

    def poll(self) -> None:
        """There is nothing to watch over."""

    def _run(self) -> None:
        profile = self._aid.profile
        block = FEED_BLOCK_HOPS * profile.hop
        block_s = block / profile.sample_rate_hz
        due_s = time.monotonic()
        for sound in self._blocks(block):
            if self._stop.is_set():
                return
            right = sound[-1]
            self._aid.process(
                {ear: sound[0] if ear is Ear.LEFT else right for ear in self._aid.ears}
            )
            due_s += block_s
            late_s = time.monotonic() - due_s
            if late_s > FEED_BEHIND_S:
                due_s += late_s
            elif late_s < 0.0:
                self._stop.wait(-late_s)

    def _blocks(self, size: int) -> Iterator[Floats]:
        at = 0
        while True:
            yield np.take(self._sound, range(at, at + size), axis=1, mode="wrap")
            at = (at + size) % self._sound.shape[1]


def _sound(options: argparse.Namespace, aid: Aid) -> Live | Feed:
    if options.audio == LIVE:
        return Live(aid, live_setup(options), _say)
    rate_hz = aid.profile.sample_rate_hz
    if options.input is None:
        return Feed(aid, np.zeros((1, rate_hz), dtype=np.float32))
    recording = read_recording(options.input)
    # What the file holds, not what it may mean: the calibration says that.
    samples = recording.sound_pa / pascal_from_db_spl(100.0)
    channels = [resample(channel, recording.sample_rate_hz, rate_hz) for channel in samples]
    return Feed(aid, np.stack(channels).astype(np.float32))


class _Watch:
    """Writes down in the event log that the sound was lost, or a hop late."""

    def __init__(self, aid: Aid, sound: Live | Feed, dispatcher: Dispatcher) -> None:
        self._aid, self._sound, self._events = aid, sound, dispatcher.events
        self._restarts = self._late = 0
        self._told_late_s = float("-inf")

    def look(self) -> None:
        """Looks, and logs what is new; late hops at most every ten seconds."""
        sound = self._sound
        restarts = sound.report.restarts if isinstance(sound, Live) else 0
        if restarts > self._restarts:
            self._restarts = restarts
            self._events.log(EventCode.AUDIO_STOPPED)
            self._events.log(EventCode.AUDIO_RESUMED)
        now_s = time.monotonic()
        if now_s < self._told_late_s + LATE_EVERY_S:
            return
        late = self._aid.report(self._aid.ears[0]).late_hops
        if late > self._late:
            self._late, self._told_late_s = late, now_s
            self._events.log(EventCode.LATE_FRAME, argument=late)


def _play(aid: Aid, sound: Live | Feed, dispatcher: Dispatcher, port: Port) -> None:
    """Sound and link until a signal ends them, quietly; both are closed at the end."""
    stop = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    link = threading.Thread(target=serve, args=(dispatcher, port, stop, _say), name="link")
    try:
        sound.start()
        link.start()
        watch = _Watch(aid, sound, dispatcher)
        while not stop.wait(0.05):
            sound.poll()
            watch.look()
            if not link.is_alive():
                raise NeuroampError("the link ended; look at what is printed above.")
    finally:
        stop.set()
        sound.stop()
        if link.ident is not None:
            link.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(text, flush=True)


def _tell(options: argparse.Namespace, aid: Aid, settings: Settings, port: str) -> None:
    source = {LIVE: "microphone to receiver", SILENT: "silent, no sound card is used"}
    print(f"device             {options.name}, {options.serial}")
    print(f"model              {aid.info.name} ({aid.info.quantisation})")
    print(f"sound              {options.input or source[options.audio]}")
    kept = options.settings or "none: all is forgotten at the end"
    print(f"settings           {kept}")
    for ear in aid.ears:
        state = "unfitted" if settings.fitting(ear) is None else "fitted"
        calibrated = "" if settings.calibration(ear) is not None else ", uncalibrated"
        print(f"{ear.value + ' ear':19}{state}{calibrated}")
    print(f"port               {port}; Ctrl-C ends it", flush=True)

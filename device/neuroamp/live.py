"""The live loop: microphone to receiver through PortAudio, the sound in C, Python beside it.

PortAudio calls `neuroamp_stream_callback` (device/core/hosted/stream.c) for every block; no Python
runs there, except the net's step of an engine that is Python (onnx, tflite). Python opens the
devices, watches that the callback keeps coming, and sets and reads the aid (`neuroamp.aid.Aid`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

from neuroamp import sound_devices
from neuroamp.aid import Aid, load_aid
from neuroamp.audiogram import Ear
from neuroamp.engines.native import aligned_block, check_status
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import Output
from neuroamp.realtime import lock_memory, python_in_the_audio_thread
from neuroamp.resampling import delay_samples, factor_of, lowpass
from neuroamp.sound_devices import Device

DEFAULT_PRIORITY = 70
"""SCHED_FIFO's of the audio thread, where the system allows it: below the kernel's own threads for
the sound card's interrupts, which Raspberry Pi OS and others start with 50 and may be raised."""

SILENT_S = 1.0
"""A stream whose callback has not come for so long is restarted."""

RESTARTS = 5
"""So many restarts without a single callback in between, and the device is taken for lost."""

FADE_OUT_S = 0.06
CLOSE_S = 3.0
POLL_S = 0.05

DECLARATIONS = """
typedef struct neuroamp_stream neuroamp_stream;
typedef struct neuroamp_stream_setup {
    neuroamp_aid *aid;
    uint32_t sample_rate_hz;
    uint32_t factor;
    uint32_t taps;
    const float *filter;
    uint32_t block;
    uint32_t in_channels, out_channels;
    uint32_t left_in, right_in;
    uint32_t left_out, right_out;
    uint32_t is_paused_by_gaps;
    int32_t priority;
} neuroamp_stream_setup;
typedef struct neuroamp_stream_report {
    uint64_t callbacks;
    uint64_t frames;
    uint64_t block;
    uint64_t input_gaps;
    uint64_t output_gaps;
    uint64_t last_ns;
    uint64_t longest_ns;
    uint64_t longest_pause_ns;
    int64_t device_delay_us;
    uint64_t non_finite_samples;
    int32_t priority;
    int32_t priority_error;
} neuroamp_stream_report;
size_t neuroamp_stream_size(const neuroamp_stream_setup *setup);
int neuroamp_stream_init(void *memory, size_t memory_bytes, const neuroamp_stream_setup *setup,
                         neuroamp_stream **stream);
void neuroamp_stream_restart(neuroamp_stream *stream);
neuroamp_stream_report neuroamp_stream_read(const neuroamp_stream *stream);
int neuroamp_stream_callback(const void *input, void *output, unsigned long frames,
                             const void *time, unsigned long flags, void *stream);
"""
"""What is used of hosted.h, in cffi's dialect."""


@functools.cache
def load_hosted() -> tuple[Any, Any]:
    """cffi's interface with the stream's declarations, and the core's library.

    Raises:
        NeuroampError: the core was not built.
    """
    ffi, library = load_aid()
    ffi.cdef(DECLARATIONS)
    return ffi, library


@dataclasses.dataclass(frozen=True)
class LiveSetup:
    """How the sound comes in and goes out.

    Attributes:
        input_device, output_device: number, part of the name, or None for the system's default.
        rate_hz: of the devices: the model's (16 kHz) or 2, 3 or 6 times it; None: the model's.
        block: frames a callback; None: one hop of the model. Whole hops save one hop of delay.
            A JACK server has its own, and it is that which counts.
        latency_s: asked of each device; None: one block.
        deadline_s: a hop that takes longer is late, and the net is left out for a while; None:
            three quarters of a hop; infinite: never.
        priority: SCHED_FIFO's for the audio thread; 0 leaves it as it is.
    """

    input_device: Device = None
    output_device: Device = None
    rate_hz: int | None = None
    block: int | None = None
    latency_s: float | None = None
    deadline_s: float | None = None
    priority: int = DEFAULT_PRIORITY


@dataclasses.dataclass(frozen=True)
class Delay:
    """From the microphone's converter to the receiver's, in seconds.

    Attributes:
        devices_s: both sound devices with their buffers, as PortAudio tells it; never less than
            one block in and one block out.
        chain_s: analysis and synthesis.
        resampling_s: down and up.
    """

    devices_s: float
    chain_s: float
    resampling_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.devices_s + self.chain_s + self.resampling_s


@dataclasses.dataclass(frozen=True)
class LiveReport:
    """What the loop counted since it was started.

    Attributes:
        callbacks, frames: of PortAudio, frames at the device's rate.
        block: frames of the last callback.
        input_gaps, output_gaps: callbacks with input lost, or after output that came too late.
        longest_callback_s, longest_pause_s: the latter between the beginnings of two callbacks.
        restarts: by the watchdog.
        non_finite_samples: NaN or infinite input samples that the resamplers met.
        priority: SCHED_FIFO's of the audio thread; 0: it is not real-time.
    """

    callbacks: int
    frames: int
    block: int
    input_gaps: int
    output_gaps: int
    longest_callback_s: float
    longest_pause_s: float
    restarts: int
    non_finite_samples: int
    priority: int


class Live:
    """An aid on a sound device.

    Use it as a context, or call `start` and `stop`; `poll` every now and then, or `run`. One thread
    does so; the aid may be set and read from others.
    """

    def __init__(
        self,
        aid: Aid,
        setup: LiveSetup | None = None,
        say: Callable[[str], None] = print,
        open_stream: Callable[..., Any] = sound_devices.open_stream,
    ) -> None:
        """Prepares memory and filters; no device is opened yet.

        Args:
            aid: at rest; what plays.
            setup: devices, rate, block.
            say: is told, in sentences, what a person should know.
            open_stream: as `neuroamp.sound_devices.open_stream`.

        Raises:
            NeuroampError: rate or block make no sense, or there is no such device.
        """
        self.aid = aid
        self.setup = setup = LiveSetup() if setup is None else setup
        self._say = say
        self._open_stream = open_stream
        self._ffi, self._library = load_hosted()
        profile = aid.profile
        self.rate_hz = profile.sample_rate_hz if setup.rate_hz is None else setup.rate_hz
        self.factor = factor_of(self.rate_hz, profile.sample_rate_hz)
        hop = profile.hop * self.factor
        self.block = hop if setup.block is None else setup.block
        if not 1 <= self.block <= 1 << 16:
            raise NeuroampError(
                f"the block is {self.block} frames but must be from 1 to 65536; one hop is {hop}."
            )
        aid.use_whole_hops(self.block % hop == 0)
        hop_s = profile.hop / profile.sample_rate_hz
        deadline_s = 0.75 * hop_s if setup.deadline_s is None else setup.deadline_s
        self.deadline_s = deadline_s
        is_never_late = deadline_s == float("inf")
        aid.set_deadline(None if is_never_late else deadline_s)
        self._channels = (
            min(sound_devices.channels_of(setup.input_device, "input"), 2),
            2 if sound_devices.channels_of(setup.output_device, "output") > 1 else 1,
        )
        self._stream = self._make_stream(not is_never_late)
        self._portaudio: Any = None
        self._stop = threading.Event()
        self._python = contextlib.ExitStack()
        self._restarts = 0
        self._fruitless = 0
        self._seen_callbacks = 0
        self._watched_from_s = 0.0
        self._has_told_priority = False

    def _make_stream(self, is_paused_by_gaps: bool) -> Any:
        taps = lowpass(self.factor) if self.factor > 1 else None
        null = self._ffi.NULL
        inputs, outputs = self._channels
        if len(self.aid.ears) > outputs:
            raise NeuroampError(
                "the aid has two ears but the output device has one channel; choose another "
                "--output-device, or one ear with --ears."
            )
        # One microphone reaches both ears; one ear's receiver is where there is one.
        right_in = 1 if inputs > 1 else 0
        right_out = 1 if outputs > 1 else 0
        setup = self._ffi.new(
            "neuroamp_stream_setup *",
            {
                "aid": self.aid.pointer,
                "sample_rate_hz": self.rate_hz,
                "factor": self.factor,
                "taps": 0 if taps is None else taps.size,
                "filter": null if taps is None else self._ffi.from_buffer("float[]", taps),
                "block": self.block,
                "in_channels": inputs,
                "out_channels": outputs,
                "right_in": right_in,
                "right_out": right_out,
                "is_paused_by_gaps": is_paused_by_gaps,
                "priority": self.setup.priority,
            },
        )
        size = self._library.neuroamp_stream_size(setup)
        self._memory_block, memory = aligned_block(size)
        made = self._ffi.new("neuroamp_stream **")
        check_status(self._library.neuroamp_stream_init(memory, size, setup, made))
        return made[0]

    @property
    def delay(self) -> Delay:
        """The delay from converter to converter; the devices' part is known after the start."""
        counts = self._counts()
        block = counts.block or self.block
        told_s = 1e-6 * counts.device_delay_us
        if self._portaudio is not None:
            told_s = max(told_s, sum(self._portaudio.latency))
        profile = self.aid.profile
        chain = self.aid.delay_samples
        if self.aid.is_whole_hops and block % (profile.hop * self.factor):
            chain += profile.hop  # the device's blocks are not as they were asked for
        return Delay(
            devices_s=max(told_s, 2.0 * block / self.rate_hz),
            chain_s=chain / profile.sample_rate_hz,
            resampling_s=delay_samples(self.factor) / self.rate_hz,
        )

    @property
    def report(self) -> LiveReport:
        """What was counted so far."""
        counts = self._counts()
        return LiveReport(
            counts.callbacks,
            counts.frames,
            counts.block,
            counts.input_gaps,
            counts.output_gaps,
            1e-9 * counts.longest_ns,
            1e-9 * counts.longest_pause_ns,
            self._restarts,
            counts.non_finite_samples,
            counts.priority,
        )

    def __enter__(self) -> Live:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Opens the devices and fades in.

        Raises:
            NeuroampError: a device refuses.
        """
        note = lock_memory()
        if note:
            self._say(f"note: {note}.")
        if self.aid.uses_python:
            self._python.enter_context(python_in_the_audio_thread())
        try:
            self._open()
        except BaseException:
            self._python.close()
            raise

    def stop(self) -> None:
        """Fades out and closes the devices. What the aid was set to stays."""
        if self._portaudio is not None:
            wanted = self.aid.output()
            if wanted is Output.SOUNDS and self._is_fresh():
                self.aid.set_output(Output.MUTED)
                time.sleep(FADE_OUT_S)
            self._close()
            self.aid.set_output(wanted)
        self._python.close()

    def request_stop(self) -> None:
        """Ends `run` soon; for signal handlers and other threads."""
        self._stop.set()

    def run(self, seconds: float | None = None, each: Callable[[], None] | None = None) -> None:
        """Plays until `request_stop`, or for so many seconds; calls `each` between polls.

        Raises:
            NeuroampError: as `poll`.
        """
        end_s = None if seconds is None else time.monotonic() + seconds
        while not self._stop.is_set() and (end_s is None or time.monotonic() < end_s):
            self._stop.wait(POLL_S)
            self.poll()
            if each is not None:
                each()

    def poll(self) -> None:
        """Watches over the sound; call it several times a second.

        A stream that has stopped calling back is opened again, and this is said.

        Raises:
            NeuroampError: the device is lost, or an engine in Python raised: the sound has ended.
        """
        error = self.aid.net_error
        if error is not None:
            self.stop()
            raise NeuroampError(
                f"the engine raised {type(error).__name__} ({error}) and the sound was ended; "
                "choose another --engine or model."
            )
        callbacks = self._counts().callbacks
        now_s = time.monotonic()
        if callbacks != self._seen_callbacks:
            self._seen_callbacks, self._watched_from_s = callbacks, now_s
            self._fruitless = 0
            self._tell_priority()
        elif now_s - self._watched_from_s > SILENT_S:
            self._restart()

    def _counts(self) -> Any:
        return self._library.neuroamp_stream_read(self._stream)

    def _is_fresh(self) -> bool:
        """Whether the callback came lately, so that a fade-out would be heard."""
        last_ns = self._counts().last_ns
        age_ns = self._library.neuroamp_monotonic_ns(self._ffi.NULL) - last_ns
        return bool(last_ns and age_ns < 1e9 * SILENT_S)

    def _tell_priority(self) -> None:
        if self._has_told_priority:
            return
        self._has_told_priority = True
        counts = self._counts()
        if counts.priority == 0 and self.setup.priority > 0:
            self._say(
                "note: the audio thread is not real-time, as this user may not raise its priority; "
                "allow it with a line '@audio - rtprio 95' in /etc/security/limits.d/audio.conf, "
                "and log in again."
            )

    def _open(self) -> None:
        latency_s = self.setup.latency_s
        callback = self._ffi.addressof(self._library, "neuroamp_stream_callback")
        self._portaudio = self._open_stream(
            (self.setup.input_device, self.setup.output_device),
            self._channels,
            self.rate_hz,
            self.block,
            self.block / self.rate_hz if latency_s is None else latency_s,
            int(self._ffi.cast("uintptr_t", callback)),
            int(self._ffi.cast("uintptr_t", self._stream)),
        )
        self._watched_from_s = time.monotonic()
        self._portaudio.start()

    def _close(self) -> None:
        """Closes the stream, in a thread of its own: a device that is gone may never answer."""
        stream, self._portaudio = self._portaudio, None

        def close() -> None:
            with contextlib.suppress(Exception):
                stream.close()

        closing = threading.Thread(target=close, daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        if closing.is_alive():
            sound_devices.leave_as_it_is()
            raise NeuroampError(
                "the sound device is lost: neither it nor its server answers any more; plug it in "
                "or start its server, and start again."
            )

    def _restart(self) -> None:
        self._fruitless += 1
        sound_devices.leave_as_it_is()
        if self._fruitless > RESTARTS:
            with contextlib.suppress(NeuroampError):
                self.stop()
            raise NeuroampError(
                "the sound device is lost: it was opened again without success; plug it in, check "
                "its server, and start again."
            )
        self._say("note: the sound device stopped calling; it is opened again.")
        self._restarts += 1
        if self._portaudio is not None:
            self._close()
        self._library.neuroamp_stream_restart(self._stream)
        try:
            sound_devices.look_again()
            self._open()
        except Exception as error:
            self._portaudio = None
            self._watched_from_s = time.monotonic()
            self._say(f"note: {error}")


def ears_text(ears: tuple[Ear, ...]) -> str:
    """'left', 'right' or 'left and right'."""
    return " and ".join(ear.value for ear in ears)

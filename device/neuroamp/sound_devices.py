"""Sound cards by PortAudio: which there are, which one is meant, and a stream with a C callback."""

from __future__ import annotations

import atexit
import dataclasses
import os
from typing import Any

from neuroamp.errors import NeuroampError

Device = int | str | None
"""A device's number in the list, a part of its name, or None for the system's default."""

KINDS = ("input", "output")


@dataclasses.dataclass(frozen=True)
class DeviceLine:
    """One device of the list.

    Attributes:
        index: its number.
        name, api: PortAudio's names of the device and of the system it belongs to.
        inputs, outputs: channels.
        rate_hz: its default.
    """

    index: int
    name: str
    api: str
    inputs: int
    outputs: int
    rate_hz: float

    def __str__(self) -> str:
        return (
            f"{self.index:3d}  {self.inputs:2d} in {self.outputs:2d} out  {self.rate_hz:8.0f} Hz  "
            f"{self.api}: {self.name}"
        )


def load_sounddevice() -> Any:
    """The package sounddevice.

    Raises:
        NeuroampError: it or PortAudio is not installed.
    """
    # PortAudio would otherwise start a JACK server that nobody asked for.
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    try:
        import sounddevice
    except ImportError:
        raise NeuroampError(
            "sound devices need the package sounddevice, which is not installed; install it with "
            "`pip install sounddevice`."
        ) from None
    except OSError:
        raise NeuroampError(
            "sound devices need the PortAudio library, which is not installed; install it (on "
            "Debian and Raspberry Pi OS: apt install libportaudio2)."
        ) from None
    return sounddevice


def list_devices() -> list[DeviceLine]:
    """All devices that PortAudio finds.

    Raises:
        NeuroampError: sounddevice or PortAudio is not installed.
    """
    sounddevice = load_sounddevice()
    apis = [api["name"] for api in sounddevice.query_hostapis()]
    return [
        DeviceLine(
            index,
            found["name"],
            apis[found["hostapi"]],
            found["max_input_channels"],
            found["max_output_channels"],
            found["default_samplerate"],
        )
        for index, found in enumerate(sounddevice.query_devices())
    ]


def channels_of(device: Device, kind: str) -> int:
    """How many channels a device has; `kind` is 'input' or 'output'.

    Raises:
        NeuroampError: there is no such device, or more than one fits the name.
    """
    sounddevice = load_sounddevice()
    try:
        found = sounddevice.query_devices(device, kind)
    except (ValueError, sounddevice.PortAudioError) as error:
        which = (
            f"the {kind} device {device!r}" if device is not None else f"a default {kind} device"
        )
        raise NeuroampError(
            f"{which} was not found ({_one_line(error)}); `neuroamp run --list-devices` lists what "
            "there is."
        ) from None
    return int(found[f"max_{kind}_channels"])


def look_again() -> None:
    """Lets PortAudio find devices that have come or gone; no stream may be open.

    Not where JACK is among its systems: PortAudio aborts the process if it looks again after a
    JACK server has gone.
    """
    sounddevice = load_sounddevice()
    if not any(api["name"].startswith("JACK") for api in sounddevice.query_hostapis()):
        sounddevice._terminate()
        sounddevice._initialize()


def leave_as_it_is() -> None:
    """After a device was lost: PortAudio is not asked to clean up when the process ends, for the
    same reason; the system does."""
    sounddevice = load_sounddevice()
    atexit.unregister(sounddevice._exit_handler)


def open_stream(
    devices: tuple[Device, Device],
    channels: tuple[int, int],
    rate_hz: int,
    block: int,
    latency_s: float,
    callback: int,
    userdata: int,
) -> Any:
    """A duplex stream of float32 whose callback is C; not started yet.

    Args:
        devices, channels: input's and output's.
        rate_hz: sample rate.
        block: frames a callback. JACK's server sets its own: to ask for one there would cost a
            block of delay, even if it is the same.
        latency_s: what is asked of each of the two devices; a device takes what it can.
        callback: address of a PaStreamCallback.
        userdata: address that it is given.

    Raises:
        NeuroampError: the device refuses.
    """
    sounddevice = load_sounddevice()
    ffi = sounddevice._ffi
    try:
        if any(_api_of(*device).startswith("JACK") for device in zip(devices, KINDS, strict=True)):
            block = 0
        return sounddevice._StreamBase(
            kind="duplex",
            samplerate=rate_hz,
            blocksize=block,
            device=devices,
            channels=channels,
            dtype="float32",
            latency=latency_s,
            callback=ffi.cast("PaStreamCallback*", callback),
            userdata=ffi.cast("void*", userdata),
            dither_off=True,
        )
    except (ValueError, sounddevice.PortAudioError) as error:
        raise NeuroampError(
            f"the sound device does not run at {rate_hz} Hz with {channels[0]} inputs and "
            f"{channels[1]} outputs in blocks of {block} ({_one_line(error)}); choose another "
            "--rate or device: `neuroamp run --list-devices` lists what there is."
        ) from None


def _api_of(device: Device, kind: str) -> str:
    """PortAudio's name of the system that a device belongs to."""
    sounddevice = load_sounddevice()
    found = sounddevice.query_devices(device, kind)
    return str(sounddevice.query_hostapis(found["hostapi"])["name"])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())

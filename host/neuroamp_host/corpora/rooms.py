"""Rooms: measured impulse responses, and what of the reverberant sound is worth keeping."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from neuroamp.errors import NeuroampError
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from neuroamp_host.corpora.audio import SAMPLE_RATE_HZ, read_channels, resample
from neuroamp_host.corpora.corpus import Kind, SkippedFiles, Utterance

EARLY_S = 0.05
"""Reflections up to 50 ms after the direct sound help speech (C50, ISO 3382-1); later ones
blur it."""

ONSET_RE_PEAK = 0.1
"""The direct sound begins where the response first comes within 20 dB of its peak (ISO 3382-1)."""

ROOM_SOURCES = frozenset({"iosr-surrey", "mtg-sms", "audiomentations"})
"""Impulse responses from a source to a microphone or ear; others are feedback paths and the
like."""


@dataclasses.dataclass(frozen=True)
class Room:
    """Responses measured in one place: speech and noise may each take another of them.

    Attributes:
        name: the place.
        responses: each [taps] at 16 kHz, full scale.
    """

    name: str
    responses: tuple[NDArray[np.float32], ...]


def load_rooms(utterances: Iterable[Utterance], skipped: SkippedFiles) -> tuple[Room, ...]:
    """The rooms among the impulse responses, by folder; every channel is a response (an ear)."""
    places: dict[str, list[NDArray[np.float32]]] = {}
    for utterance in utterances:
        if utterance.kind is not Kind.IMPULSE_RESPONSE or utterance.corpus not in ROOM_SOURCES:
            continue
        try:
            channels, rate = read_channels(utterance.path)
        except NeuroampError as error:
            skipped.add(utterance.path, str(error))
            continue
        responses = [
            resample(np.ascontiguousarray(channel), rate, SAMPLE_RATE_HZ) for channel in channels.T
        ]
        places.setdefault(utterance.path.parent.name, []).extend(responses)
    return tuple(Room(name, tuple(responses)) for name, responses in places.items())


def convolve_room(
    signal: NDArray[np.float32], response: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A dry signal [n] in a room: (all of the sound, direct sound and early reflections), [n].

    The second is the target of enhancement: the room's direct sound and its reflections of the
    first 50 ms. Both start with the direct sound, so both line up with the dry signal: the
    sound's way to the listener is cut off, as is the tail beyond n samples. Levels change; set
    them afterwards, with one gain for both.
    """
    onset = int(np.argmax(np.abs(response) >= ONSET_RE_PEAK * np.abs(response).max()))
    direct = response[onset:]
    early = direct[: int(EARLY_S * SAMPLE_RATE_HZ)]
    whole = oaconvolve(signal, direct)[: signal.size]
    target = oaconvolve(signal, early)[: signal.size]
    return whole.astype(np.float32, copy=False), target.astype(np.float32, copy=False)

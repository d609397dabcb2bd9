"""What the session knows, as the JSON that the page shows."""

from __future__ import annotations

import time
from typing import Any

from neuroamp.audiogram import Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.link.codes import VOLUME_RANGE_DB, EventCode, Output, Source
from neuroamp.link.messages import Event, Identity, Levels
from neuroamp.link.records import TimesRecord
from neuroamp.times import bucket_start

from neuroamp_host.fitting.page.actions import in_words
from neuroamp_host.fitting.page.desk import points_of, summary
from neuroamp_host.fitting.page.session import DeviceState, EarState
from neuroamp_host.local_page.guard import as_sentence

LEAST_LEVEL_DB_SPL = -40.0

EVENT_WORDS = {
    EventCode.STARTED: "the device started",
    EventCode.FITTING_STORED: "a fitting was stored",
    EventCode.TRIAL_BEGAN: "a trial began",
    EventCode.TRIAL_RAN_OUT: "a trial's time ran out",
    EventCode.TRIAL_ENDED: "a trial was ended",
    EventCode.MUTED: "muted",
    EventCode.SOUNDS_AGAIN: "it sounds again",
    EventCode.PANIC: "panic: silenced",
    EventCode.CALIBRATION_STORED: "a calibration was stored",
    EventCode.MODEL_UPLOAD_BEGAN: "a model upload began",
    EventCode.MODEL_ACTIVATED: "a model was made the active one",
    EventCode.FACTORY_RESET: "factory reset",
    EventCode.DAMAGED_SLOT: "a damaged slot was found in the settings memory",
    EventCode.WATCHDOG_RESTART: "restarted by the watchdog",
    EventCode.LATE_FRAME: "frames were late",
    EventCode.AUDIO_STOPPED: "the audio stopped",
    EventCode.AUDIO_RESUMED: "the audio goes on",
    EventCode.PART_REFUSED: "a stored fitting or calibration was refused by the device",
    EventCode.MODEL_UNUSABLE: "the active model could not be used",
}


def state_as_json(state: DeviceState) -> dict[str, Any]:
    """The device for the page; times that run are what is left of them now."""
    applied = [known.applied for known in state.ears.values()]
    on_trial = [ear for ear, known in state.ears.items() if known.applied.source is Source.TRIAL]
    trial = None
    if state.trial_ends is not None:
        trial = {
            "ears": [ear.value for ear in on_trial],
            "seconds": max(state.trial_s, 0.001),
            "remaining_s": max(0.0, state.trial_ends - time.monotonic()),
        }
    return {
        "port": state.port,
        "connected": state.connected,
        "lost": state.lost,
        "error": as_sentence(state.error),
        "identity": None if state.identity is None else _identity(state.identity),
        "ears": {ear.value: _ear(known) for ear, known in state.ears.items()},
        "uncalibrated": [
            ear.value for ear, known in state.ears.items() if not known.applied.calibrated
        ],
        "trial": trial,
        "output": applied[0].output.name.lower() if applied else Output.SOUNDS.name.lower(),
        "volume_db": applied[0].volume_db if applied else None,
        "volume_range_db": list(VOLUME_RANGE_DB),
        "events": [_event(event) for event in state.events],
    }


def levels_as_json(levels: dict[Ear, Levels]) -> dict[str, Any]:
    """Levels by ear, dB SPL; null for digital silence."""
    return {
        ear.value: {
            "input_db_spl": _level(level.input_db_spl),
            "output_db_spl": _level(level.output_db_spl),
        }
        for ear, level in levels.items()
    }


def times_as_json(record: TimesRecord | None, identity: Identity | None) -> dict[str, Any] | None:
    """The times of a frame in microseconds, and the buckets that hold any; None if untimed."""
    if record is None or record.ticks_per_second == 0 or record.times.count == 0:
        return None
    times, scale = record.times, 1e6 / record.ticks_per_second
    buckets = [
        [bucket_start(bucket) * scale, bucket_start(bucket + 1) * scale, count]
        for bucket, count in enumerate(times.histogram)
        if count
    ]
    deadline_us, late = None, times.deadline_misses
    if identity is not None:
        # A frame that takes longer than a hop is late, whether or not the device counts those.
        deadline_us = 1e6 * identity.hop / identity.sample_rate_hz
        counted = enumerate(times.histogram)
        late = max(
            late, sum(n for bucket, n in counted if bucket_start(bucket) * scale >= deadline_us)
        )
    return {
        "count": times.count,
        "mean_us": times.mean * scale,
        "p50_us": times.percentile(0.5) * scale,
        "p99_us": times.percentile(0.99) * scale,
        "p999_us": times.percentile(0.999) * scale,
        "max_us": times.max * scale,
        "late": late,
        "deadline_us": deadline_us,
        "buckets": buckets,
    }


def identity_in_words(identity: Identity) -> str:
    """'NeuroAMP on Pi, serial 12, firmware 0.1.0'."""
    return f"{identity.name}, serial {identity.serial}, firmware {identity.firmware}"


def key_of(identity: Identity | None) -> str | None:
    """What tells one device from another."""
    return None if identity is None else f"{identity.name} {identity.serial}"


def _identity(identity: Identity) -> dict[str, Any]:
    return {
        "key": key_of(identity),
        "words": identity_in_words(identity),
    }


def _ear(known: EarState) -> dict[str, Any]:
    stored, applied = known.stored, known.applied
    audiogram = None if stored is None else stored.audiogram
    return {
        "stored": None if stored is None else summary(stored.fitting),
        "points": None if audiogram is None else points_of(audiogram),
        "applied": {
            "channels_hz": list(CHANNEL_FREQUENCIES_HZ),
            "gain_db": list(applied.gain_65_db),
            "mpo_db_spl": applied.mpo_db_spl,
            "noise_reduction": applied.noise_reduction,
            "volume_db": applied.volume_db,
            "source": applied.source.name.lower(),
        },
    }


def _event(event: Event) -> dict[str, Any]:
    known = event.code in list(EventCode)
    words = EVENT_WORDS[EventCode(event.code)] if known else f"event {event.code}"
    about = f", {in_words(event.ears)}" if event.ears else ""
    return {"time_s": event.ms / 1000.0, "words": f"{words}{about}"}


def _level(db_spl: float) -> float | None:
    # Digital silence is minus infinity or nearly, which neither JSON nor a meter can show.
    return db_spl if db_spl > LEAST_LEVEL_DB_SPL else None

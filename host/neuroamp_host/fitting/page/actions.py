"""What a fitter does to the device: try, commit, go back; each whole and verified, or not done."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import Source
from neuroamp.link.messages import BOTH_EARS, Ears
from neuroamp.link.records import FittingRecord

from neuroamp_host.fitting.client import LinkError
from neuroamp_host.fitting.page.desk import Plan
from neuroamp_host.fitting.page.session import Client

SAME_GAIN_DB = 0.01


def in_words(ears: Ears) -> str:
    """'right ear', 'left ear' or 'both ears'."""
    return "both ears" if len(ears) == 2 else " and ".join(f"{ear.value} ear" for ear in ears)


def records_of(plans: Mapping[Ear, Plan], time_s: float | None = None) -> dict[Ear, FittingRecord]:
    """The plans as the device keeps them, with the audiogram and the time."""
    now = int(time.time() if time_s is None else time_s)
    return {
        ear: FittingRecord(plan.fitting, plan.audiogram, time_s=now) for ear, plan in plans.items()
    }


def try_plans(client: Client, plans: Mapping[Ear, Plan], seconds: float) -> str:
    """Plays the plans for some seconds, and sees that the device applies them.

    Raises:
        NeuroampError: the device refused, was lost, or applies something else; then its trial was
            ended, or ends by itself.
    """
    ears = frozenset(plans)
    try:
        _stage(client, plans)
        client.try_staged(ears, round(seconds))
        _verify(client, plans, Source.TRIAL)
    except NeuroampError:
        _back(client, ears)
        raise
    return (
        f"The new fitting is heard, {in_words(ears)}, for {seconds:g} s; the device confirmed its "
        "gains. Then the stored one comes back by itself."
    )


def commit_plans(client: Client, plans: Mapping[Ear, Plan]) -> str:
    """Stores the plans, all ears in one write, and sees that the device applies them.

    Raises:
        NeuroampError: the device refused, was lost, or applies something else.
    """
    ears = frozenset(plans)
    _stage(client, plans)
    client.commit(ears)
    _verify(client, plans, Source.STORED)
    for ear, plan in plans.items():
        stored = client.read_record(ear)
        if stored is None or not _same_fitting(stored, plan):
            raise LinkError(
                "",
                f"has stored something else for the {ear.value} ear than was sent",
                "commit again, and do not use the device before that works",
                subject="the device",
            )
    return f"Stored for {in_words(ears)}, read back, and applied by the device."


def revert(client: Client) -> str:
    """Back to the stored fitting."""
    ended = client.revert(BOTH_EARS)
    if not ended:
        return "The stored fitting is heard; no trial was under way."
    return f"Back to the stored fitting, {in_words(ended)}."


def _stage(client: Client, plans: Mapping[Ear, Plan]) -> None:
    missing = frozenset(plans) - client.greeting.ears
    if missing:
        raise NeuroampError(
            f"this device has no {in_words(missing)}; untick it, or connect the other device."
        )
    for record in records_of(plans).values():
        client.stage(record)


def _verify(client: Client, plans: Mapping[Ear, Plan], source: Source) -> None:
    """That the device says it applies what was sent."""
    for ear, plan in plans.items():
        applied = client.applied(ear)
        # What the volume adds is not the fitting's.
        gains = np.asarray(applied.gain_65_db) - applied.volume_db
        wrong = float(np.max(np.abs(gains - plan.fitting.gain_65_db)))
        if applied.source is not source or wrong > SAME_GAIN_DB:
            raise LinkError(
                "",
                f"applies other gains at the {ear.value} ear than were sent (by up to "
                f"{wrong:.1f} dB)",
                "try again, and look at its event log",
                subject="the device",
            )


def _same_fitting(stored: FittingRecord, plan: Plan) -> bool:
    def numbers(fitting: object) -> np.ndarray:
        values = dataclasses.asdict(fitting)  # type: ignore[call-overload]
        return np.hstack([values[key] for key in sorted(values) if key not in ("ear", "rule")])

    return stored.fitting.ear is plan.fitting.ear and np.allclose(
        numbers(stored.fitting), numbers(plan.fitting), rtol=1e-6, atol=1e-6
    )


def _back(client: Client, ears: Ears) -> None:
    """Ends a trial that did not come about whole; a device that is lost ends it by itself."""
    with contextlib.suppress(LinkError):
        client.revert(ears)

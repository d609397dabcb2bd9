"""What a fitter does to the device: try, commit, go back; each whole and verified, or not done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import Source
from neuroamp.link.messages import Ears
from neuroamp.link.records import FittingRecord

from neuroamp_host.fitting.client import DeviceClient, LinkError
from neuroamp_host.fitting.page.desk import Plan
from neuroamp_host.fitting.push import push, verify


def in_words(ears: Ears) -> str:
    """'right ear', 'left ear' or 'both ears'."""
    return "both ears" if len(ears) == 2 else " and ".join(f"{ear.value} ear" for ear in ears)


def try_plans(client: DeviceClient, plans: Mapping[Ear, Plan], seconds: float) -> str:
    """Plays the plans for some seconds, and sees that the device applies them.

    Raises:
        NeuroampError: the device refused, was lost, or applies something else; then its trial was
            ended, or ends by itself.
    """
    ears = frozenset(plans)
    records = _records(client, plans)
    kept = {ear: client.stage(record) for ear, record in records.items()}
    try:
        client.try_staged(ears, round(seconds))
        for ear, record in kept.items():
            verify(client, ear, record, Source.TRIAL)
    except NeuroampError:
        with contextlib.suppress(LinkError):
            client.revert(ears)
        raise
    return (
        f"The new fitting is heard, {in_words(ears)}, for {seconds:g} s; the device confirmed its "
        "gains. Then the stored one comes back by itself."
    )


def commit_plans(client: DeviceClient, plans: Mapping[Ear, Plan]) -> str:
    """Stores the plans, all ears in one write, and sees that the device applies them.

    Raises:
        NeuroampError: the device refused, was lost, or applies something else.
    """
    push(client, list(_records(client, plans).values()))
    return f"Stored for {in_words(frozenset(plans))}, read back, and applied by the device."


def revert(client: DeviceClient) -> str:
    """Back to the stored fitting."""
    ended = client.revert(client.greeting.ears)
    if not ended:
        return "The stored fitting is heard; no trial was under way."
    return f"Back to the stored fitting, {in_words(ended)}."


def _records(client: DeviceClient, plans: Mapping[Ear, Plan]) -> dict[Ear, FittingRecord]:
    """The plans as the device keeps them, with the audiogram and the time.

    Raises:
        NeuroampError: the device lacks one of the ears.
    """
    missing = frozenset(plans) - client.greeting.ears
    if missing:
        raise NeuroampError(
            f"this device has no {in_words(missing)}; untick it, or connect the other device."
        )
    now = int(time.time())
    return {
        ear: FittingRecord(plan.fitting, plan.audiogram, time_s=now) for ear, plan in plans.items()
    }

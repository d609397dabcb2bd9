"""From fittings to a fitted device: staged, read back, tried, verified, committed.

Every step before the last leaves the device with what it had. The last one stores all ears in one
write, so that a device is never fitted by half.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import numpy as np
from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import ObjectKind, Source
from neuroamp.link.dispatcher import PROGRAM_STRENGTH
from neuroamp.link.messages import Applied, Ears
from neuroamp.link.records import FittingRecord, seal_of

from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.link import LinkError

TOLERANCE_DB = 0.05
FADE_S = 3.0
"""How long a device has to fade to a fitting before its gains are taken for wrong."""

ASK_EVERY_S = 0.02
LEAST_TRIAL_S = 30


class NotVerifiedError(LinkError):
    """The device does not apply what was sent; it plays what it had before."""


def push(
    client: DeviceClient,
    records: Sequence[FittingRecord],
    keep: Callable[[], bool] | None = None,
    trial_s: int = LEAST_TRIAL_S,
) -> dict[Ear, Applied]:
    """Fits one ear or both and verifies that it took effect.

    Args:
        client: the device.
        records: a record for each ear to fit.
        keep: asked once the fittings play on trial; False: they are taken back. None: keep them.
        trial_s: seconds after which the device by itself returns to what it had, 30 to 600.

    Returns:
        What is in force at each ear afterwards.

    Raises:
        NotVerifiedError: the device applies something else; nothing was changed.
        LinkError: refused, or the line was lost; nothing was changed, or the sentence says that
            it is not known.
        NeuroampError: two records for one ear.
    """
    wanted: Ears = frozenset(record.fitting.ear for record in records)
    if len(wanted) != len(records):
        raise NeuroampError("there are two fittings for the same ear; give one for each ear.")
    kept = {record.fitting.ear: client.stage(record) for record in records}
    client.try_staged(wanted, max(trial_s, LEAST_TRIAL_S))
    try:
        for ear, record in kept.items():
            verify(client, ear, record, Source.TRIAL)
        if keep is not None and not keep():
            client.revert(wanted)
            return {ear: client.applied(ear) for ear in kept}
    except BaseException:
        # The trial would end by itself; where the line is there, now.
        with contextlib.suppress(LinkError):
            client.revert(wanted)
        raise
    client.commit(wanted)
    for ear, record in kept.items():
        if client.read_record(ear, ObjectKind.STORED) != record:
            raise NotVerifiedError(
                client.port,
                f"stored another fitting for the {ear.value} ear than was sent",
                "restore a backup with `neuroamp fit --restore`",
            )
    return {ear: verify(client, ear, record, Source.STORED) for ear, record in kept.items()}


def verify(client: DeviceClient, ear: Ear, record: FittingRecord, source: Source) -> Applied:
    """Waits until an ear applies a record, its gains faded in; returns what is in force.

    Raises:
        NotVerifiedError: it does not.
        LinkError: the line was lost.
    """
    seal, fitting = seal_of(record.encode()), record.fitting
    strength = PROGRAM_STRENGTH.get(record.program, fitting.noise_reduction)
    deadline = time.monotonic() + FADE_S
    while True:
        applied = client.applied(ear)
        wanted_db = np.array(fitting.gain_65_db) + applied.volume_db
        off_db = float(np.abs(np.array(applied.gain_65_db) - wanted_db).max())
        wrong = None
        if applied.source is not source or applied.crc != seal:
            wrong = f"does not play the fitting of the {ear.value} ear"
        elif applied.mpo_db_spl > fitting.mpo_db_spl + TOLERANCE_DB:
            wrong = f"lets {applied.mpo_db_spl:g} dB SPL out at the {ear.value} ear"
        elif abs(applied.noise_reduction - strength) > 1e-6:
            wrong = f"has another noise reduction at the {ear.value} ear"
        elif not off_db <= TOLERANCE_DB:
            wrong = f"applies gains that are {off_db:.1f} dB off at the {ear.value} ear"
        if wrong is None:
            return applied
        if time.monotonic() > deadline:
            raise NotVerifiedError(
                client.port, wrong, "nothing was changed; repeat the command, or see the device"
            )
        time.sleep(ASK_EVERY_S)

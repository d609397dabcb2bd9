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
from neuroamp.link.codes import Source
from neuroamp.link.dispatcher import PROGRAM_STRENGTH
from neuroamp.link.messages import Applied, Ears
from neuroamp.link.records import FittingRecord, seal_of

from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.link import LinkError, SessionLostError

TOLERANCE_DB = 0.05
FADE_S = 3.0
"""How long a device has to fade to a fitting before its gains are taken for wrong."""

ASK_EVERY_S = 0.02
LEAST_TRIAL_S = 30
ATTEMPTS = 5
"""So often a push is begun where the line is cut in the middle of it."""


class NotVerifiedError(LinkError):
    """The device does not apply what was sent; the sentence says what it has."""


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
        NotVerifiedError: the device applies something else, and nothing was changed; or it stored
            the fittings and could then not be asked.
        LinkError: refused, or the line was lost, and nothing was changed; or, as the sentence
            then says, whether they were stored is not known.
        NeuroampError: two records for one ear.
    """
    wanted: Ears = frozenset(record.fitting.ear for record in records)
    if len(wanted) != len(records):
        raise NeuroampError("there are two fittings for the same ear; give one for each ear.")
    for attempt in range(ATTEMPTS):
        try:
            kept = _try(client, records, max(trial_s, LEAST_TRIAL_S))
            if keep is not None and not _is_kept(client, keep):
                return {ear: client.applied(ear) for ear in kept}
            keep = None
            client.commit(wanted)
            break
        except SessionLostError:
            # The line was cut and is there again; nothing was stored.
            if attempt == ATTEMPTS - 1:
                raise
    return _verify_stored(client, kept)


def _try(
    client: DeviceClient, records: Sequence[FittingRecord], trial_s: int
) -> dict[Ear, FittingRecord]:
    """Stages the fittings, plays them on trial and verifies them; as the device holds them."""
    kept = {record.fitting.ear: client.stage(record) for record in records}
    client.try_staged(kept, trial_s)
    try:
        for ear, record in kept.items():
            verify(client, ear, record, Source.TRIAL)
    except LinkError:
        # The trial would end by itself; where the line is there, now.
        with contextlib.suppress(LinkError):
            client.revert(kept)
        raise
    return kept


def _is_kept(client: DeviceClient, keep: Callable[[], bool]) -> bool:
    """Asks; without a yes the trial is over, also where the question was interrupted."""
    kept = False
    try:
        kept = keep()
    finally:
        if not kept:
            client.revert()
    return kept


def _verify_stored(client: DeviceClient, kept: dict[Ear, FittingRecord]) -> dict[Ear, Applied]:
    try:
        return {ear: verify(client, ear, record, Source.STORED) for ear, record in kept.items()}
    except NotVerifiedError:
        raise
    except LinkError as error:
        raise NotVerifiedError(
            client.port,
            f"stored the fitting but could then not be asked what it applies ({error.what})",
            "look at it with `neuroamp fit --list`",
        ) from None


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

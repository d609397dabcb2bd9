"""Fits a device over a bad line a thousand times and counts what became of it.

    python tools/stress_link.py [--device python|c] [--fittings 1000] [--errors 1e-3] [--seed 1]

Between the client and the device's pseudo-terminal a proxy drops, corrupts, doubles and swaps
bytes with the probability `--errors` each, and cuts the line at random. After every fitting, what
the device stored and what it plays is compared with what was there before and what was sent, at the
device itself, past the line. A fitting has to be there whole, verified and stored once, or not at
all; anything else is counted as wrong and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.fitting import Fitting
from neuroamp.link.codes import Program
from neuroamp.link.dispatcher import Dispatcher
from neuroamp.link.models import ModelSlots
from neuroamp.link.native import EmulatedFlash, NativeDispatcher
from neuroamp.link.records import FittingRecord
from neuroamp.link.settings import MemoryStorage, Settings
from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.link import LinkError, Patience
from neuroamp_host.fitting.push import push
from neuroamp_host.fitting.serve import Receiver
from neuroamp_host.prescription import LINEAR_RULES
from neuroamp_host.prescription.fit import make_fitting
from quiet_device import QuietPart, Serving, clock, info_of
from serial_proxy import BadLine

PATIENCE = Patience(first_s=0.05, slow_first_s=0.05, most_s=0.4, tries=12)
"""The device answers at once, so that its two seconds need not be waited for."""

CUT_EVERY_BYTES = 20_000
APPLIED, ABSENT = "applied and verified", "absent, nothing changed"

Stored = dict[Ear, bytes | None]


class Device:
    """What is compared, read at the device itself."""

    def __init__(self, kind: str) -> None:
        self.part = QuietPart()
        self.receiver: Receiver
        self.stored: Callable[[], Stored]
        self.writes: Callable[[], int]
        if kind == "c":
            native = NativeDispatcher(info_of(), self.part, EmulatedFlash(), clock())
            self.receiver = native
            self.stored = lambda: {ear: native.fitting(ear) for ear in Ear}
            self.writes = lambda: native.settings_number
        else:
            storage = MemoryStorage()
            settings = Settings(storage)
            models = ModelSlots(storage, 0)
            self.receiver = Dispatcher(info_of(), self.part, settings, models, clock())
            self.stored = lambda: {ear: settings.fitting(ear) for ear in Ear}
            self.writes = lambda: settings.number

    def plays(self, ear: Ear, fitting: Fitting) -> bool:
        """Whether an ear plays exactly this fitting."""
        return self.part.fittings[ear].replace(rule="") == fitting.replace(rule="")


def random_records(rng: random.Random, number: int) -> list[FittingRecord]:
    """Fittings for one ear or both, of which no two are alike."""
    ears = rng.choice([[Ear.LEFT], [Ear.RIGHT], list(Ear)])
    records = []
    for ear in ears:
        audiogram = rng.choice(list(BISGAARD.values()))
        fitting = make_fitting(
            audiogram,
            ear,
            rule=rng.choice(list(LINEAR_RULES)),
            mpo_db_spl=float(rng.randrange(90, 121)),
            noise_reduction=rng.randrange(5) / 4.0,
        )
        record = FittingRecord(fitting, audiogram, Program.EVERYDAY, number)
        records.append(FittingRecord.decode(record.encode()))
    return records


def run(
    kind: str,
    fittings: int,
    errors: float,
    seed: int,
    cut_every: int = CUT_EVERY_BYTES,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[collections.Counter[str], BadLine]:
    """Fits so often; what became of it, and the line."""
    rng = random.Random(seed)
    device, outcomes = Device(kind), collections.Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        serving = Serving(device.receiver)
        serving.start()
        line = BadLine(serving.port, Path(folder) / "line", errors, None, cut_every, seed)
        with line, DeviceClient(str(line.path), patience=PATIENCE, reconnect_s=30.0) as client:
            for number in range(1, fittings + 1):
                outcomes[fit_once(client, device, random_records(rng, number))] += 1
                say(f"\r{number} of {fittings}")
        serving.stop()
    return outcomes, line


def fit_once(client: DeviceClient, device: Device, records: list[FittingRecord]) -> str:
    """One fitting over the line; what became of it, in words."""
    before, writes = device.stored(), device.writes()
    sent = {record.fitting.ear: record.encode() for record in records}
    try:
        push(client, records)
        applied = True
    except LinkError:
        applied = False
        # A trial that the lost line left under way must end as well.
        while device.writes() == writes:
            try:
                client.revert()
                break
            except LinkError:
                continue
    after, new = device.stored(), device.writes() - writes
    plays = all(
        device.plays(ear, FittingRecord.decode(record).fitting)
        for ear, record in after.items()
        if record is not None
    )
    if new > 1:
        return "WRONG: stored more than once"
    if any(after[ear] != before[ear] for ear in Ear if ear not in sent):
        return "WRONG: the other ear was changed"
    if not plays:
        return "WRONG: plays something else than is stored"
    there = [after[ear] == sent[ear] for ear in sent]
    if applied:
        return APPLIED if all(there) and new == 1 else "WRONG: verified but not there"
    if new == 0:
        return ABSENT if after == before else "WRONG: changed without a write"
    if all(there):
        return "stored once, not verified: the line was lost after it"
    return "WRONG: stored in part"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["python", "c"], default="python", help="which side")
    parser.add_argument("--fittings", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument(
        "--errors", type=float, default=1e-3, help="probability of each harm, per byte"
    )
    parser.add_argument("--seed", type=int, default=1, help="of fittings, harms and cuts")
    options = parser.parse_args()
    started = time.monotonic()

    def say(text: str) -> None:
        if sys.stderr.isatty():
            print(text, end="", file=sys.stderr)

    outcomes, line = run(options.device, options.fittings, options.errors, options.seed, say=say)
    say("\n")
    print(f"device             {options.device}")
    print(f"fittings           {options.fittings}, {time.monotonic() - started:.0f} s")
    print(f"bytes              {line.passed}, of which harmed {line.harmed}")
    print(f"cuts               {line.cuts}")
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:18d} {outcome}")
    wrong = sum(count for outcome, count in outcomes.items() if outcome.startswith("WRONG"))
    print(f"{wrong:18d} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

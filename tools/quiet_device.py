"""A device without sound, on a pseudo-terminal: what the link's tests and measurements talk to.

Everything of the link is the real one (dispatcher, settings); only the part that makes the sound
applies at once what it is told and hears nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.codes import Output
from neuroamp.link.dispatcher import (
    AudioCounts,
    DeviceInfo,
    Dispatcher,
    unfitted,
    with_volume,
)
from neuroamp.link.messages import BOTH_EARS, Ears, Levels
from neuroamp.link.models import ModelSlots
from neuroamp.link.records import Calibration, TimesRecord
from neuroamp.link.settings import MemoryStorage, Settings, Storage
from neuroamp.times import Stage, Times
from neuroamp_host.fitting.ports import PtyPort
from neuroamp_host.fitting.serve import Receiver, serve

SLOT_BYTES = 2**20


class QuietPart:
    """An audio part that applies at once what it is told.

    Attributes:
        fittings, volumes, calibrations: what it was told.
        refuses: whether it refuses fittings and calibrations.
    """

    uncalibrated_ceiling_db_spl = 85.0
    heard = Levels(61.5, 78.25, 90.5)
    counted = AudioCounts()
    timed = TimesRecord(10**9, Times())

    def __init__(self) -> None:
        self.fittings = {ear: unfitted(ear) for ear in Ear}
        self.volumes = dict.fromkeys(Ear, 0.0)
        self.calibrations: dict[Ear, Calibration | None] = dict.fromkeys(Ear)
        self._output = Output.SOUNDS
        self.refuses = False

    def set_fitting(self, fitting: Fitting) -> None:
        if self.refuses:
            raise NeuroampError("this part refuses")
        self.fittings[fitting.ear] = fitting

    def set_calibration(self, ear: Ear, calibration: Calibration | None) -> None:
        if self.refuses and calibration is not None:
            raise NeuroampError("this part refuses")
        self.calibrations[ear] = calibration

    def set_volume(self, ear: Ear, volume_db: float) -> None:
        self.volumes[ear] = volume_db

    def set_noise_reduction(self, ear: Ear, strength: float) -> None:
        self.fittings[ear] = self.fittings[ear].replace(noise_reduction=strength)

    def set_output(self, output: Output) -> None:
        self._output = output

    def output(self) -> Output:
        return self._output

    def applied_gains_db(self, ear: Ear) -> Sequence[float]:
        return with_volume(self.fittings[ear].gain_65_db, self.volumes[ear])

    def ceiling_db_spl(self, ear: Ear) -> float:
        calibration = self.calibrations[ear]
        if calibration is None:
            return self.uncalibrated_ceiling_db_spl
        return calibration.ceiling_db_spl

    def levels(self, ear: Ear) -> Levels:
        return self.heard

    def counts(self, ear: Ear) -> AudioCounts:
        return self.counted

    def times(self, ear: Ear, stage: Stage) -> TimesRecord:
        return self.timed

    def take_model(self, data: bytes) -> bool:
        return True


class CountedSettings(Settings):
    """Settings that remember what was stored, in its order."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.stores: list[dict[Ear, bytes]] = []

    def store_fittings(self, records: dict[Ear, bytes]) -> None:
        super().store_fittings(records)
        self.stores.append(dict(records))


class Serving:
    """Something that answers on a pseudo-terminal, in a thread of its own."""

    def __init__(self, receiver: Receiver, link: str | Path | None = None) -> None:
        self._port = PtyPort(link)
        self.port = self._port.name
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=serve, args=(receiver, self._port, self._stop), daemon=True
        )

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answers no more; the pseudo-terminal goes away."""
        self._stop.set()
        self._thread.join()


def info_of(ears: Ears = BOTH_EARS) -> DeviceInfo:
    """Who the device is."""
    return DeviceInfo("QUIET-1", "quiet device", "0", "wear", 16000, 32, 64, ears, True)


def clock() -> Callable[[], int]:
    """Milliseconds since now."""
    started = time.monotonic()
    return lambda: int(1000.0 * (time.monotonic() - started))


class QuietDevice:
    """The device, answering from `start` (or `with`) to `stop`."""

    def __init__(
        self,
        link: str | Path | None = None,
        storage: Storage | None = None,
        ears: Ears = BOTH_EARS,
        slot_bytes: int = SLOT_BYTES,
    ) -> None:
        """Makes the pseudo-terminal; `link` is a symbolic link to it."""
        self.part = QuietPart()
        self.storage = MemoryStorage() if storage is None else storage
        self.settings = CountedSettings(self.storage)
        self.dispatcher = Dispatcher(
            info_of(ears), self.part, self.settings, ModelSlots(self.storage, slot_bytes), clock()
        )
        self._serving = Serving(self.dispatcher, link)
        self.port = self._serving.port

    def __enter__(self) -> QuietDevice:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Answers from now on."""
        self._serving.start()

    def stop(self) -> None:
        """Answers no more; the pseudo-terminal goes away."""
        self._serving.stop()

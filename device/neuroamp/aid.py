"""The aid: one or two ears in C, set and read by Python while the sound goes on.

Python only sets and reads; the sound is computed by `device/core/src/aid.c`, called from an audio
callback in C (`neuroamp.live`) or, for a recording, by `Aid.process`. Several threads may set and
read at the same time; at most one computes sound.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.audiogram import STANDARD_FREQUENCIES_HZ, Ear
from neuroamp.chain import ChainStats
from neuroamp.core_file import core_file, read_core_file
from neuroamp.engines.base import Engine
from neuroamp.engines.native import (
    EARS,
    OK,
    Kernel,
    aligned_block,
    check_status,
    fitting_record,
    load_library,
)
from neuroamp.errors import NeuroampError
from neuroamp.features import audiogram_input
from neuroamp.fitting import Fitting
from neuroamp.link.codes import Output
from neuroamp.link.records import Calibration
from neuroamp.model_file import ModelInfo
from neuroamp.profile import WEAR, Profile
from neuroamp.times import BUCKETS, Stage, Times
from neuroamp.units import pascal_from_db_spl

VOLUME_RANGE_DB = (-40.0, 10.0)
UNCALIBRATED_CEILING_DB_SPL = 85.0
"""Limit of an ear without calibration, of a sine on a receiver of `UNCALIBRATED_DB_SPL`."""

UNCALIBRATED_DB_SPL = 120.0
"""What an RMS of full scale is taken to be at a microphone or receiver that nobody measured."""

READ_TRIES = 2000
READ_PAUSE_S = 0.0005

DECLARATIONS = """
typedef struct neuroamp_aid neuroamp_aid;
typedef struct neuroamp_calibration {
    int32_t ear;
    float microphone_pa;
    float receiver_per_pa;
    float ceiling_db_spl;
} neuroamp_calibration;
typedef struct neuroamp_aid_ear {
    const neuroamp_fitting *fitting;
    const neuroamp_calibration *calibration;
} neuroamp_aid_ear;
typedef struct neuroamp_aid_report {
    float input_db_spl;
    float output_db_spl;
    float output_peak_db_spl;
    float gain_db[11];
    float gain_65_db[11];
    float fade;
    int32_t is_calibrated;
    int32_t is_net_paused;
    uint32_t fittings;
    neuroamp_counts counts;
    uint64_t hops;
    uint64_t late_hops;
} neuroamp_aid_report;
typedef int (*neuroamp_net)(void *context, const float *thresholds_db_hl, const float *features,
                            float *output);
void neuroamp_set_net(neuroamp *chain, neuroamp_net net, void *context);
size_t neuroamp_aid_size(const void *model, size_t model_bytes, unsigned ears);
int neuroamp_aid_init(void *memory, size_t memory_bytes, const void *model, size_t model_bytes,
                      const neuroamp_aid_ear *left, const neuroamp_aid_ear *right,
                      neuroamp_aid **aid);
neuroamp *neuroamp_aid_chain(neuroamp_aid *aid, int ear);
void neuroamp_aid_set_clock(neuroamp_aid *aid, neuroamp_clock clock, void *context,
                            uint64_t deadline);
void neuroamp_aid_use_whole_hops(neuroamp_aid *aid, int enabled);
void neuroamp_aid_restart(neuroamp_aid *aid);
void neuroamp_aid_process(neuroamp_aid *aid, const float *left_in, const float *right_in,
                          float *left_out, float *right_out, size_t samples);
void neuroamp_aid_tell_late(neuroamp_aid *aid);
void neuroamp_aid_set_output(neuroamp_aid *aid, int output);
int neuroamp_aid_get_output(const neuroamp_aid *aid);
int neuroamp_aid_set_fitting(neuroamp_aid *aid, const neuroamp_fitting *fitting);
int neuroamp_aid_set_calibration(neuroamp_aid *aid, const neuroamp_calibration *calibration);
int neuroamp_aid_forget_calibration(neuroamp_aid *aid, int ear);
int neuroamp_aid_set_volume(neuroamp_aid *aid, int ear, float volume_db);
float neuroamp_aid_get_volume(const neuroamp_aid *aid, int ear);
int neuroamp_aid_set_noise_reduction(neuroamp_aid *aid, int ear, float strength);
int neuroamp_aid_read(const neuroamp_aid *aid, int ear, neuroamp_aid_report *report);
int neuroamp_aid_read_times(const neuroamp_aid *aid, int ear, int stage, neuroamp_times *times);
int neuroamp_aid_read_gain_db(const neuroamp_aid *aid, int ear, float *gain_db);
"""
"""What is used of aid.h, in cffi's dialect."""

NEVER_LATE = 2**63
"""Nanoseconds."""


@functools.cache
def load_aid() -> tuple[Any, Any]:
    """cffi's interface with the aid's declarations, and the core's library.

    Raises:
        NeuroampError: the core was not built.
    """
    ffi, library = load_library()
    ffi.cdef(DECLARATIONS)
    return ffi, library


def aid_memory_bytes(data: bytes, ears: int) -> int:
    """Memory in bytes, on this machine, of an aid of the whole `.nam` file `data`.

    Unlike an aid itself, it can be asked of a file that is packed for another processor.

    Args:
        data: the file.
        ears: 1 or 2.

    Raises:
        NeuroampError: the core was not built, or it refuses the file.
    """
    ffi, library = load_aid()
    block, model = aligned_block(len(data))
    ffi.memmove(model, data, len(data))
    size = int(library.neuroamp_aid_size(model, len(data), ears))
    if size == 0:
        check_status(library.neuroamp_check_model(model, len(data), ffi.NULL))
    del block  # it had to live until here
    return size


@dataclasses.dataclass(frozen=True)
class EarReport:
    """What one ear of an aid does now.

    Attributes:
        input_db_spl, output_db_spl: RMS over the last 125 ms (IEC 61672, fast), dB SPL.
        output_peak_db_spl: highest sample since the start, dB SPL of a sine with that peak.
        gain_db: insertion gain of the last step at `CHANNEL_FREQUENCIES_HZ`, dB, volume apart.
        gain_65_db: gain at 65 dB SPL of the fitting in force, dB, a cross-fade included.
        fade: 0 (silent) to 1 (fully sounding).
        is_calibrated: False means a low, fixed ceiling.
        is_net_paused: the net is left out because a hop was late.
        fittings: how many were taken over since the start, the first apart.
        stats: steps, missed steps and samples that were no numbers.
        hops: processed.
        late_hops: that took longer than the deadline.
    """

    input_db_spl: float
    output_db_spl: float
    output_peak_db_spl: float
    gain_db: tuple[float, ...]
    gain_65_db: tuple[float, ...]
    fade: float
    is_calibrated: bool
    is_net_paused: bool
    fittings: int
    stats: ChainStats
    hops: int
    late_hops: int


class Aid:
    """A hearing aid of one ear or both."""

    def __init__(
        self,
        model: str | Path | None,
        fittings: Sequence[Fitting],
        calibrations: Sequence[Calibration] = (),
        engines: Mapping[Ear, Engine] | None = None,
        profile: Profile = WEAR,
    ) -> None:
        """An aid at rest; its sound begins as a fade from silence.

        Args:
            model: a `.nam` file; None amplifies by the fittings alone, or by `engines`.
            fittings: of each ear that the aid has.
            calibrations: of the ears whose microphone and receiver were measured; an ear without
                has a low, fixed ceiling.
            engines: what runs the net in place of the core, one for each ear, all of one profile.
                They are called from the thread that computes the sound.
            profile: the scheme where neither a model nor an engine brings one.

        Raises:
            NeuroampError: the core was not built, the file is no whole model, two fittings or
                calibrations are for one ear, or one is for an ear that the aid does not have.
        """
        self._ffi, self._library = load_aid()
        self._control = threading.Lock()
        self.ears = _each_ear_once("fitting", [fitting.ear for fitting in fittings])
        self._fittings = {fitting.ear: fitting for fitting in fittings}
        if not self.ears:
            raise NeuroampError("an aid has at least one ear; give a fitting for it.")
        calibrated = _each_ear_once("calibration", [each.ear for each in calibrations])
        for ear in calibrated:
            self._check_ear(ear)
        self.info, data = _model_of(model, engines, profile)
        self.profile = self.info.profile
        self._model_block, self._model = aligned_block(len(data))
        self._ffi.memmove(self._model, data, len(data))
        size = self._library.neuroamp_aid_size(self._model, len(data), len(self.ears))
        if size == 0:
            null = self._ffi.NULL
            check_status(self._library.neuroamp_check_model(self._model, len(data), null))
        self._block, self._memory = aligned_block(size)
        self.memory_bytes = size
        records = {ear: fitting_record(fitting) for ear, fitting in self._fittings.items()}
        conversions = {each.ear: self._conversion(each) for each in calibrations}
        given = {ear: self._given(records.get(ear), conversions.get(ear)) for ear in Ear}
        made = self._ffi.new("neuroamp_aid **")
        check_status(
            self._library.neuroamp_aid_init(
                self._memory, size, self._model, len(data), given[Ear.LEFT], given[Ear.RIGHT], made
            )
        )
        self.pointer = made[0]
        self.is_whole_hops = False
        self.set_deadline(None)
        self.net_error: BaseException | None = None
        self.uses_python = engines is not None
        self._callbacks = [self._use_engine(ear, engine) for ear, engine in (engines or {}).items()]

    @property
    def has_net(self) -> bool:
        """Whether there is a net, and so a noise reduction."""
        return bool(self.info.states)

    @property
    def kernel(self) -> Kernel:
        """How the core multiplies the net's matrices here."""
        chain = self._library.neuroamp_aid_chain(self.pointer, EARS[self.ears[0]])
        return Kernel(self._library.neuroamp_kernel_in_use(chain))

    @property
    def delay_samples(self) -> int:
        """Of the output against the input, samples of the model's rate."""
        saved = self.profile.hop if self.is_whole_hops else 0
        return self.profile.delay_samples - saved

    def set_deadline(self, deadline_s: float | None) -> None:
        """Before the sound starts: a hop of both ears that takes longer than `deadline_s` is late,
        and the net is left out for a while; None, as at first: no hop is ever late."""
        clock = self._ffi.addressof(self._library, "neuroamp_monotonic_ns")
        deadline = NEVER_LATE if deadline_s is None else round(1e9 * deadline_s)
        self._library.neuroamp_aid_set_clock(self.pointer, clock, self._ffi.NULL, deadline)

    def use_whole_hops(self, enabled: bool) -> None:
        """Before the sound starts. True: every call brings whole hops, which takes one off the
        delay."""
        self._library.neuroamp_aid_use_whole_hops(self.pointer, enabled)
        self.is_whole_hops = enabled

    def restart(self) -> None:
        """While no sound is computed: forgets what was heard and fades in anew."""
        self._library.neuroamp_aid_restart(self.pointer)

    def process(self, sound: Mapping[Ear, ArrayLike]) -> dict[Ear, NDArray[np.float32]]:
        """The next samples of every ear, as an audio callback would compute them.

        Args:
            sound: by ear, in full scales (-1 to 1), shape [samples], all equally long.

        Raises:
            NeuroampError: an ear is missing or the shapes are not those.
        """
        blocks = {ear: np.array(sound[ear], dtype=np.float32) for ear in self.ears if ear in sound}
        shapes = {block.shape for block in blocks.values()}
        if len(blocks) < len(self.ears) or len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise NeuroampError(
                f"the aid takes one block of one axis for {_names(self.ears)}, all equally long, "
                f"but was given {_names(sound)} in the shapes {sorted(shapes)}."
            )
        pointers = [
            self._ffi.from_buffer("float[]", blocks[ear]) if ear in blocks else self._ffi.NULL
            for ear in Ear
        ]
        samples = next(iter(blocks.values())).size
        self._library.neuroamp_aid_process(self.pointer, *pointers, *pointers, samples)
        return blocks

    def fitting(self, ear: Ear) -> Fitting:
        """The fitting that was set last."""
        self._check_ear(ear)
        return self._fittings[ear]

    def set_fitting(self, fitting: Fitting) -> None:
        """Cross-fades to another fitting within a tenth of a second; its limit holds at once.

        Raises:
            NeuroampError: the aid does not have that ear; it keeps the fittings it has.
        """
        self._check_ear(fitting.ear)
        with self._control:
            record = fitting_record(fitting)
            check_status(self._library.neuroamp_aid_set_fitting(self.pointer, record))
            self._fittings[fitting.ear] = fitting

    def set_calibration(self, ear: Ear, calibration: Calibration | None) -> None:
        """Takes another calibration and fades in anew; None: the ear is not calibrated.

        Raises:
            NeuroampError: the aid does not have that ear, the calibration is for another one, or
                a level is out of range.
        """
        self._check_ear(ear)
        with self._control:
            if calibration is None:
                self._library.neuroamp_aid_forget_calibration(self.pointer, EARS[ear])
                return
            if calibration.ear != ear:
                raise NeuroampError(
                    f"this is the {ear.value} ear but the calibration is for the "
                    f"{calibration.ear.value} ear; give the {ear.value} ear's."
                )
            record = self._conversion(calibration)
            check_status(self._library.neuroamp_aid_set_calibration(self.pointer, record))

    def set_volume(self, ear: Ear, volume_db: float) -> None:
        """Volume in dB before the limiter, clamped to `VOLUME_RANGE_DB`.

        Raises:
            NeuroampError: the aid does not have that ear, or the volume is not a number.
        """
        self._check_ear(ear)
        with self._control:
            status = self._library.neuroamp_aid_set_volume(self.pointer, EARS[ear], volume_db)
        if status != OK:
            raise NeuroampError(f"the volume is {volume_db} but must be a number of decibels.")

    def volume_db(self, ear: Ear) -> float:
        """Volume of an ear, dB."""
        self._check_ear(ear)
        return float(self._library.neuroamp_aid_get_volume(self.pointer, EARS[ear]))

    def set_noise_reduction(self, ear: Ear, strength: float) -> None:
        """Strength of the net's gains, 0 to 1, until the ear's next fitting.

        Raises:
            NeuroampError: the aid does not have that ear, or the strength is out of range.
        """
        self.set_fitting(self.fitting(ear).replace(noise_reduction=strength))

    def set_output(self, output: Output) -> None:
        """Sounds, fades out, or is silent from the next sample on."""
        self._library.neuroamp_aid_set_output(self.pointer, int(output))

    def output(self) -> Output:
        """What was asked for last."""
        return Output(self._library.neuroamp_aid_get_output(self.pointer))

    def report(self, ear: Ear) -> EarReport:
        """What an ear does now.

        Raises:
            NeuroampError: the aid does not have that ear.
        """
        self._check_ear(ear)
        found = self._ffi.new("neuroamp_aid_report *")
        self._read(lambda: self._library.neuroamp_aid_read(self.pointer, EARS[ear], found))
        counts = found.counts
        return EarReport(
            found.input_db_spl,
            found.output_db_spl,
            found.output_peak_db_spl,
            tuple(found.gain_db),
            tuple(found.gain_65_db),
            found.fade,
            bool(found.is_calibrated),
            bool(found.is_net_paused),
            found.fittings,
            ChainStats(counts.steps, counts.missed_steps, counts.non_finite_samples),
            found.hops,
            found.late_hops,
        )

    def insertion_gain_db(self, ear: Ear) -> NDArray[np.float32]:
        """Gain of the last step, dB per bin, shape [bins]."""
        self._check_ear(ear)
        gain_db = np.empty(self.profile.bins, dtype=np.float32)
        pointer = self._ffi.from_buffer("float[]", gain_db)
        self._read(
            lambda: self._library.neuroamp_aid_read_gain_db(self.pointer, EARS[ear], pointer)
        )
        return gain_db

    def times(self, ear: Ear, stage: Stage) -> Times:
        """Times of a stage in nanoseconds since the start."""
        self._check_ear(ear)
        found = self._ffi.new("neuroamp_times *")
        self._read(
            lambda: self._library.neuroamp_aid_read_times(
                self.pointer, EARS[ear], stage.value, found
            )
        )
        histogram = self._ffi.unpack(found.histogram, BUCKETS)
        return Times(found.count, found.total, found.max, found.deadline_misses, histogram)

    def _read(self, ask: Callable[[], int]) -> None:
        """Asks until the answer is whole: the audio side may have written in between."""
        for _ in range(READ_TRIES):
            if ask():
                return
            time.sleep(READ_PAUSE_S)
        raise NeuroampError(
            "the aid's statistics could not be read because the audio thread is busy all the time; "
            "choose a longer block or a faster engine."
        )

    def _check_ear(self, ear: Ear) -> None:
        if ear not in self.ears:
            raise NeuroampError(
                f"the aid has {_names(self.ears)} but not the {ear.value} ear; give a fitting for "
                "each ear when it starts."
            )

    def _given(self, record: Any, conversion: Any) -> Any:
        null = self._ffi.NULL
        parts = {"fitting": record or null, "calibration": conversion or null}
        return self._ffi.new("neuroamp_aid_ear *", parts)

    def _conversion(self, calibration: Calibration) -> Any:
        microphone = float(pascal_from_db_spl(calibration.microphone_full_scale_db_spl))
        receiver = float(pascal_from_db_spl(calibration.receiver_full_scale_db_spl))
        return self._ffi.new(
            "neuroamp_calibration *",
            {
                "ear": EARS[calibration.ear],
                "microphone_pa": microphone,
                "receiver_per_pa": 1.0 / receiver,
                "ceiling_db_spl": calibration.ceiling_db_spl,
            },
        )

    def _use_engine(self, ear: Ear, engine: Engine) -> Any:
        """Lets the ear's chain call `engine`; returns what has to live as long as the aid."""
        self._check_ear(ear)
        features = 4 * self.profile.feature_count
        buffer, thresholds = self._ffi.buffer, 4 * len(STANDARD_FREQUENCIES_HZ)

        def step(_: Any, thresholds_db_hl: Any, heard: Any, output: Any) -> int:
            if self.net_error is not None:
                return 0
            listener = np.frombuffer(buffer(thresholds_db_hl, thresholds), dtype=np.float32)
            given = np.frombuffer(buffer(heard, features), dtype=np.float32)
            found = engine.step(given, audiogram_input(listener).astype(np.float32))
            if found is None:
                return 0
            buffer(output, features)[:] = np.asarray(found, dtype=np.float32).tobytes()
            return 1

        def remember(_: Any, error: BaseException, __: Any) -> None:
            self.net_error = error

        callback = self._ffi.callback("neuroamp_net", step, error=0, onerror=remember)
        chain = self._library.neuroamp_aid_chain(self.pointer, EARS[ear])
        self._library.neuroamp_set_net(chain, callback, self._ffi.NULL)
        return callback


def _model_of(
    model: str | Path | None, engines: Mapping[Ear, Engine] | None, profile: Profile
) -> tuple[ModelInfo, bytes]:
    """What the model says of itself, and the core's file: of the profile alone for `engines`."""
    if engines:
        info = next(iter(engines.values())).info
        bare = dataclasses.replace(info, states={}, name="none", net="none", quantisation="none")
        return info, core_file(bare, None)
    if model is not None:
        return read_core_file(model)
    info = ModelInfo("none", "none", profile, {}, "none")
    return info, core_file(info, None)


def _each_ear_once(what: str, ears: Sequence[Ear]) -> tuple[Ear, ...]:
    """The ears in order.

    Raises:
        NeuroampError: one comes twice.
    """
    if len(set(ears)) < len(ears):
        raise NeuroampError(f"two {what}s are for the same ear; give one for each ear.")
    return tuple(ear for ear in Ear if ear in ears)


def _names(ears: Sequence[Ear] | Mapping[Ear, Any]) -> str:
    return " and ".join(f"the {ear.value} ear" for ear in ears) or "no ear"

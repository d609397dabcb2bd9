"""The native engine: the C core, which carries the whole chain of one ear in one call.

The core is a shared library beside this package, built when the package is installed. It is
called through cffi without a Python extension module: the same object serves C programs.
"""

from __future__ import annotations

import enum
import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuroamp.audiogram import THRESHOLD_RANGE_DB_HL, Ear
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.chain import ChainStats, deadline_ns
from neuroamp.core_file import core_file, read_core_file
from neuroamp.engines.base import Floats32
from neuroamp.errors import NeuroampError
from neuroamp.features import AUDIOGRAM_SPAN_DB
from neuroamp.fitting import Fitting
from neuroamp.model_file import ModelInfo
from neuroamp.profile import WEAR, Profile
from neuroamp.times import BUCKETS, Stage, Times

ALIGNMENT = 16
EARS = {Ear.LEFT: 1, Ear.RIGHT: 2}
OK, NOT_SUPPORTED = 0, 9
FITTING_FIELDS = (
    "thresholds_db_hl",
    "gain_65_db",
    "compression_ratio",
    "knee_db_spl",
    "attack_s",
    "release_s",
    "mpo_db_spl",
    "noise_reduction",
)

DECLARATIONS = """
typedef struct neuroamp neuroamp;
typedef struct neuroamp_fitting {
    int32_t ear;
    float thresholds_db_hl[6];
    float gain_65_db[11];
    float compression_ratio[11];
    float knee_db_spl;
    float attack_s;
    float release_s;
    float mpo_db_spl;
    float noise_reduction;
} neuroamp_fitting;
typedef struct neuroamp_counts {
    uint64_t steps;
    uint64_t missed_steps;
    uint64_t non_finite_samples;
} neuroamp_counts;
typedef struct neuroamp_times {
    uint64_t count;
    uint64_t total;
    uint64_t max;
    uint64_t deadline_misses;
    uint32_t histogram[256];
} neuroamp_times;
typedef uint64_t (*neuroamp_clock)(void *context);
const char *neuroamp_status_text(int status);
size_t neuroamp_size(const void *model, size_t model_bytes);
int neuroamp_check_model(const void *model, size_t model_bytes, void *info);
int neuroamp_init(void *memory, size_t memory_bytes, const void *model, size_t model_bytes,
                  int ear, const neuroamp_fitting *fitting, neuroamp **chain);
int neuroamp_set_fitting(neuroamp *chain, const neuroamp_fitting *fitting);
void neuroamp_process(neuroamp *chain, const float *in, float *out, size_t samples);
void neuroamp_enable_net(neuroamp *chain, int enabled);
void neuroamp_reset(neuroamp *chain);
void neuroamp_step_net(neuroamp *chain, const float *features, float *output);
void neuroamp_insertion_gain_db(const neuroamp *chain, float *gain_db);
int neuroamp_use_kernel(neuroamp *chain, int kernel);
int neuroamp_kernel_in_use(const neuroamp *chain);
void neuroamp_set_clock(neuroamp *chain, neuroamp_clock clock, void *context, uint64_t deadline);
neuroamp_counts neuroamp_get_counts(const neuroamp *chain);
const neuroamp_times *neuroamp_get_times(const neuroamp *chain, int stage);
uint64_t neuroamp_percentile(const neuroamp_times *times, double fraction);
uint64_t neuroamp_bucket_start(unsigned bucket);
uint64_t neuroamp_monotonic_ns(void *context);
"""
"""What is used of neuroamp.h and hosted.h, in cffi's dialect (enumerations as int)."""


class Kernel(enum.Enum):
    """How the core multiplies the net's matrices; all give the same bits."""

    PLAIN = 0
    AVX2 = 1
    AVX_VNNI = 2
    AVX512_VNNI = 3
    NEON = 4
    NEON_DOT = 5
    DSP = 6
    HELIUM = 7


def library_path() -> Path | None:
    """Where the core's shared library is; None if it was not built."""
    package = Path(__file__).resolve().parent.parent
    found = (path for pattern in ("_core*.so", "_core*.pyd") for path in package.glob(pattern))
    return next(found, None)


@functools.cache
def load_library() -> tuple[Any, Any]:
    """cffi's interface and the core's library.

    Raises:
        NeuroampError: the core was not built.
    """
    path = library_path()
    if path is None:
        raise NeuroampError(
            "the native engine is not there because no C compiler was found when neuroamp was "
            "installed; install gcc or clang and then neuroamp again, or choose the engine onnx "
            "or tflite."
        )
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    return ffi, ffi.dlopen(str(path))


def core_memory_bytes(data: bytes) -> int:
    """Memory in bytes, on this machine, of one ear's chain of the whole `.nam` file `data`.

    Unlike the chain itself, it can be asked of a file that is packed for another processor.

    Raises:
        NeuroampError: the core was not built, or it refuses the file.
    """
    ffi, library = load_library()
    block, model = aligned_block(len(data))
    ffi.memmove(model, data, len(data))
    size = int(library.neuroamp_size(model, len(data)))
    if size == 0:
        check_status(library.neuroamp_check_model(model, len(data), ffi.NULL))
    del block  # it had to live until here
    return size


def aligned_block(size: int) -> tuple[Any, Any]:
    """A block that holds `size` bytes from an aligned address on, and that address, which is good
    for as long as the block lives."""
    ffi, _ = load_library()
    block = ffi.new("uint8_t[]", size + ALIGNMENT)
    return block, block + -int(ffi.cast("uintptr_t", block)) % ALIGNMENT


def fitting_record(fitting: Fitting) -> Any:
    """The core's `neuroamp_fitting` of a fitting."""
    ffi, _ = load_library()
    values = {name: getattr(fitting, name) for name in FITTING_FIELDS}
    return ffi.new("neuroamp_fitting *", {"ear": EARS[fitting.ear], **values})


def check_status(status: int) -> None:
    """Passes if the core's answer is that all is well.

    Raises:
        NeuroampError: with what the core says is wrong.
    """
    if status != OK:
        ffi, library = load_library()
        text = ffi.string(library.neuroamp_status_text(status)).decode()
        raise NeuroampError(f"the native engine refused: {text}; export the model again.")


class _Core:
    """One chain in C with the memory it lives in."""

    def __init__(self, data: bytes, fitting: Fitting, ear: Ear) -> None:
        self.ffi, self.library = load_library()
        self._float_array = self.ffi.typeof("float[]")
        self._model_block, self._model = aligned_block(len(data))
        self.ffi.memmove(self._model, data, len(data))
        size = core_memory_bytes(data)
        self._block, self._memory = aligned_block(size)
        chain = self.ffi.new("neuroamp **")
        record = fitting_record(fitting)
        check_status(
            self.library.neuroamp_init(
                self._memory, size, self._model, len(data), EARS[ear], record, chain
            )
        )
        self.chain = chain[0]
        self.bytes = size

    def floats(self, array: Floats32) -> Any:
        return self.ffi.from_buffer(self._float_array, array)


class NativeChain:
    """The chain of one ear in C; the same as `neuroamp.chain.EarChain`, in float32."""

    def __init__(
        self,
        model: str | Path | None,
        fitting: Fitting,
        ear: Ear | None = None,
        profile: Profile = WEAR,
    ) -> None:
        """A chain at rest.

        Args:
            model: a `.nam` file; None amplifies by the fitting alone.
            fitting: the ear's gains and limits.
            ear: the side this chain is for; by default the fitting's.
            profile: the scheme where there is no model; a model brings its own.

        Raises:
            NeuroampError: the core was not built, the file is no whole model, or the fitting
                is for the other ear.
        """
        if model is None:
            info = ModelInfo("none", "none", profile, {}, "none")
            data = core_file(info, None)
        else:
            info, data = read_core_file(model)
        self.info = info
        self.profile = info.profile
        self.ear = fitting.ear if ear is None else ear
        self._check_ear(fitting)
        self._fitting = fitting
        self._core = _Core(data, fitting, self.ear)

    @property
    def fitting(self) -> Fitting:
        """The fitting in use."""
        return self._fitting

    def set_fitting(self, fitting: Fitting) -> None:
        """Takes another fitting from the next step on, with no break in the sound.

        Raises:
            NeuroampError: the fitting is for the other ear; the chain keeps the one it has.
        """
        self._check_ear(fitting)
        core = self._core
        check_status(core.library.neuroamp_set_fitting(core.chain, fitting_record(fitting)))
        self._fitting = fitting

    def process(self, block_pa: ArrayLike) -> NDArray[np.float32]:
        """The next samples for the receiver, as many as came from the microphone.

        Args:
            block_pa: sound pressure, pascals, shape [samples] of any length.

        Raises:
            NeuroampError: the block has more than one axis.
        """
        if isinstance(block_pa, np.ndarray) and block_pa.dtype == np.float32:
            block = np.ascontiguousarray(block_pa)
        else:
            with np.errstate(over="ignore"):
                block = np.ascontiguousarray(block_pa, dtype=np.float32)
        if block.ndim != 1:
            raise NeuroampError(
                f"a block of one ear has one axis but this one has the shape {block.shape}; "
                "give each ear its own chain."
            )
        out = np.empty_like(block)
        core = self._core
        core.library.neuroamp_process(core.chain, core.floats(block), core.floats(out), block.size)
        return out

    def enable_net(self, enabled: bool) -> None:
        """False: the net misses its steps, and its last gains fade to the fitting's own."""
        self._core.library.neuroamp_enable_net(self._core.chain, enabled)

    def reset(self) -> None:
        """Forgets all that was heard, as at the start of a stream; the fitting stays."""
        self._core.library.neuroamp_reset(self._core.chain)

    @property
    def stats(self) -> ChainStats:
        """What happened since the chain was made or reset."""
        counts = self._core.library.neuroamp_get_counts(self._core.chain)
        return ChainStats(counts.steps, counts.missed_steps, counts.non_finite_samples)

    @property
    def insertion_gain_db(self) -> NDArray[np.float32]:
        """Gain of the last step, dB per bin, shape [bins]; 0 dB before the first."""
        gain_db = np.empty(self.profile.bins, dtype=np.float32)
        core = self._core
        core.library.neuroamp_insertion_gain_db(core.chain, core.floats(gain_db))
        return gain_db

    def time_stages(self, deadline_s: float | None = None) -> None:
        """Times every stage from now on; a frame above `deadline_s` is a miss (default: a hop).

        The clock is C's: no Python runs while a frame is timed.
        """
        core = self._core
        clock = core.ffi.addressof(core.library, "neuroamp_monotonic_ns")
        deadline = deadline_ns(self.profile, deadline_s)
        core.library.neuroamp_set_clock(core.chain, clock, core.ffi.NULL, deadline)

    @property
    def stage_times(self) -> dict[Stage, Times]:
        """Times of the stages in nanoseconds since `time_stages` or the last reset."""
        core = self._core
        found = {}
        for stage in Stage:
            times = core.library.neuroamp_get_times(core.chain, stage.value)
            found[stage] = Times(
                times.count,
                times.total,
                times.max,
                times.deadline_misses,
                core.ffi.unpack(times.histogram, BUCKETS),
            )
        return found

    @property
    def memory_bytes(self) -> int:
        """Memory of the chain in C, the model file apart."""
        return self._core.bytes

    @property
    def kernel(self) -> Kernel:
        """How the net's matrices are multiplied; at first the fastest way there is."""
        return Kernel(self._core.library.neuroamp_kernel_in_use(self._core.chain))

    def use_kernel(self, kernel: Kernel) -> bool:
        """Chooses another kernel; False, and nothing changes, if this processor has it not."""
        status = self._core.library.neuroamp_use_kernel(self._core.chain, kernel.value)
        return status != NOT_SUPPORTED

    def _check_ear(self, fitting: Fitting) -> None:
        if fitting.ear != self.ear:
            raise NeuroampError(
                f"this is the {self.ear.value} ear but the fitting is for the "
                f"{fitting.ear.value} ear; give the {self.ear.value} ear's fitting."
            )


class NativeEngine:
    """The core's net alone, behind the interface of every engine (`neuroamp.engines.base`)."""

    def __init__(self, path: str | Path) -> None:
        """The net of the `.nam` file at `path`, its states zero.

        Raises:
            NeuroampError: the core was not built, or the file is no whole model with a net.
        """
        self._info, data = read_core_file(path)
        if not self._info.states:
            raise NeuroampError(f"{path} holds no net; give a file that `neuroamp export` wrote.")
        channels = len(CHANNEL_FREQUENCIES_HZ)
        self._fitting = Fitting(Ear.LEFT, (0.0,) * 6, "none", (0.0,) * channels, (1.0,) * channels)
        self._core = _Core(data, self._fitting, Ear.LEFT)
        self._audiogram = b""

    @property
    def info(self) -> ModelInfo:
        """What the model file says about itself."""
        return self._info

    def step(self, features: Floats32, audiogram: Floats32) -> Floats32:
        """The net's output, shape [feature_count], and one step of its states."""
        self._set_audiogram(audiogram)
        given = np.ascontiguousarray(features, dtype=np.float32).reshape(-1)
        if given.size != self._info.profile.feature_count:
            raise NeuroampError(
                f"the net takes {self._info.profile.feature_count} features but was given "
                f"{given.size}; compute them by the model's own profile."
            )
        output = np.empty_like(given)
        core = self._core
        core.library.neuroamp_step_net(core.chain, core.floats(given), core.floats(output))
        return output

    def reset(self) -> None:
        """Sets all states to zero, as at the start of a stream."""
        self._core.library.neuroamp_reset(self._core.chain)

    def _set_audiogram(self, audiogram: Floats32) -> None:
        given = audiogram.tobytes()
        if given == self._audiogram:
            return
        db_hl = np.clip(
            np.float64(audiogram).reshape(-1) * AUDIOGRAM_SPAN_DB, *THRESHOLD_RANGE_DB_HL
        )
        thresholds = tuple(float(value) for value in db_hl)
        if thresholds != self._fitting.thresholds_db_hl:
            self._fitting = self._fitting.replace(thresholds_db_hl=thresholds)
            core = self._core
            record = fitting_record(self._fitting)
            check_status(core.library.neuroamp_set_fitting(core.chain, record))
        self._audiogram = given

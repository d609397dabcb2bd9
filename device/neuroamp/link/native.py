"""The C core's end of the fitting link, fed with bytes from Python.

`NativeDispatcher` stands where `neuroamp.link.dispatcher.Dispatcher` does, but what parses, checks,
stores and answers is device/core, as on a microcontroller, over a flash that is emulated. It is for
comparing the two and for trying firmware's behaviour without a board.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from neuroamp.aid import load_aid
from neuroamp.audiogram import Ear
from neuroamp.engines.native import EARS, FITTING_FIELDS, aligned_block, check_status
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.codes import CALIBRATION_BYTES, FITTING_BYTES, NO_MODEL, Output
from neuroamp.link.dispatcher import AudioPart, DeviceInfo
from neuroamp.link.messages import number_of
from neuroamp.link.records import EARS_BY_NUMBER, Calibration, shortest
from neuroamp.times import Stage

DECLARATIONS = """
typedef struct neuroamp_flash {
    void *context;
    uint32_t unit_bytes;
    int (*read)(void *context, uint32_t address, uint8_t *bytes, size_t count);
    int (*erase)(void *context, uint32_t address);
    int (*program)(void *context, uint32_t address, const uint8_t *bytes, size_t count);
} neuroamp_flash;
typedef struct neuroamp_store {
    uint32_t address[2];
    uint32_t number;
    uint8_t current;
    uint8_t damaged;
} neuroamp_store;
typedef struct neuroamp_settings {
    const neuroamp_flash *flash;
    neuroamp_store stores[2];
} neuroamp_settings;
typedef struct neuroamp_link_levels {
    float input_db_spl;
    float output_db_spl;
    float output_peak_db_spl;
} neuroamp_link_levels;
typedef struct neuroamp_link_counts {
    neuroamp_counts chain;
    uint64_t hops;
    uint64_t late_hops;
} neuroamp_link_counts;
typedef struct neuroamp_link_device {
    void *context;
    const char *serial;
    const char *name;
    const char *firmware;
    const char *profile;
    uint32_t sample_rate_hz;
    uint16_t hop;
    uint16_t delay_samples;
    uint8_t ears;
    uint8_t has_net;
    uint8_t keeps_settings;
    uint32_t start_cause;
    uint32_t ticks_per_second;
    uint32_t model_slot_bytes;
    void (*send)(void *context, const uint8_t *bytes, size_t count);
    uint32_t (*now_ms)(void *context);
    int (*set_fitting)(void *context, const neuroamp_fitting *fitting);
    int (*set_calibration)(void *context, int ear, const neuroamp_calibration *calibration);
    void (*set_volume)(void *context, int ear, float volume_db);
    void (*set_noise_reduction)(void *context, int ear, float strength);
    void (*set_output)(void *context, int output);
    int (*get_output)(void *context);
    void (*applied_gain_db)(void *context, int ear, float *gain_db);
    float (*ceiling_db_spl)(void *context, int ear);
    void (*levels)(void *context, int ear, neuroamp_link_levels *levels);
    void (*counts)(void *context, int ear, neuroamp_link_counts *counts);
    void (*times)(void *context, int ear, int stage, neuroamp_times *times);
    unsigned (*active_model)(void *context);
    const uint8_t *(*model)(void *context, unsigned slot, uint32_t *bytes);
    int (*write_model)(void *context, unsigned slot, uint32_t offset, const uint8_t *bytes,
                       size_t count);
    int (*activate_model)(void *context, unsigned slot);
} neuroamp_link_device;
typedef struct neuroamp_link neuroamp_link;
size_t neuroamp_settings_bytes(uint32_t unit_bytes);
void neuroamp_settings_open(neuroamp_settings *settings, const neuroamp_flash *flash);
int neuroamp_settings_fitting(const neuroamp_settings *settings, int ear, uint8_t *record);
int neuroamp_settings_calibration(const neuroamp_settings *settings, int ear, uint8_t *record);
size_t neuroamp_link_size(void);
int neuroamp_link_init(void *memory, size_t memory_bytes, const neuroamp_link_device *device,
                       neuroamp_settings *settings, neuroamp_link **link);
void neuroamp_link_receive(neuroamp_link *link, const uint8_t *bytes, size_t count);
void neuroamp_link_poll(neuroamp_link *link);
"""
"""What is used of settings.h and link.h, in cffi's dialect (enumerations as int)."""

REFUSED, NOW, AT_NEXT_START = 0, 1, 2
MODEL_SLOTS = (0, 1)


@functools.cache
def load_link() -> tuple[Any, Any]:
    """cffi's interface with the link's declarations, and the core's library.

    Raises:
        NeuroampError: the core was not built.
    """
    ffi, library = load_aid()
    ffi.cdef(DECLARATIONS)
    return ffi, library


class EmulatedFlash:
    """Bytes that are erased in units and then programmed once, as a microcontroller's flash."""

    def __init__(self, unit_bytes: int = 1024) -> None:
        """Erased memory, as large as the settings need."""
        _, library = load_link()
        self.unit_bytes = unit_bytes
        self.data = bytearray(b"\xff" * library.neuroamp_settings_bytes(unit_bytes))

    def read(self, address: int, count: int) -> bytes:
        """The bytes from an address on."""
        return bytes(self.data[address : address + count])

    def erase(self, address: int) -> bool:
        """Erases the unit that begins at an address."""
        self.data[address : address + self.unit_bytes] = b"\xff" * self.unit_bytes
        return True

    def program(self, address: int, data: bytes) -> bool:
        """Programs erased bytes; False if they were not."""
        if self.read(address, len(data)).strip(b"\xff"):
            return False
        self.data[address : address + len(data)] = data
        return True


class NativeDispatcher:
    """One device's end of the line, in C."""

    def __init__(
        self,
        info: DeviceInfo,
        part: AudioPart,
        flash: EmulatedFlash,
        now_ms: Callable[[], int],
        ticks_per_second: int = 1_000_000_000,
        model_slot_bytes: int = 0,
    ) -> None:
        """Plays what is stored in `flash`, or the unfitted state.

        Args:
            info: what the device is.
            part: what makes its sound. A Python error other than its refusal is printed and counts
                as one, because there is no way for it through C.
            flash: the settings memory.
            now_ms: milliseconds since the start.
            ticks_per_second: of the times.
            model_slot_bytes: most bytes of a model; 0: none can be uploaded.

        Raises:
            NeuroampError: the core was not built.
        """
        self._ffi, self._library = load_link()
        self._part = part
        self._flash = flash
        self._now_ms = now_ms
        self._sent: list[bytes] = []
        self.active_model = NO_MODEL
        self._slots = [aligned_block(max(1, model_slot_bytes)) for _ in MODEL_SLOTS]
        self._slot_bytes = model_slot_bytes
        self._alive: list[Any] = []
        self._settings = self._ffi.new("neuroamp_settings *")
        driver = self._ffi.new("neuroamp_flash *", {"unit_bytes": flash.unit_bytes})
        self._connect(driver, read=self._read, erase=self._erase, program=self._program)
        self._library.neuroamp_settings_open(self._settings, driver)
        device = self._device(info, ticks_per_second)
        size = self._library.neuroamp_link_size()
        block, memory = aligned_block(size)
        self._alive += [driver, device, block]
        link = self._ffi.new("neuroamp_link **")
        check_status(self._library.neuroamp_link_init(memory, size, device, self._settings, link))
        self._link = link[0]

    def receive(self, data: bytes) -> bytes:
        """Takes bytes from the line, any number; returns those to send."""
        self._sent.clear()
        self._library.neuroamp_link_receive(self._link, data, len(data))
        return b"".join(self._sent)

    def poll(self) -> None:
        """Ends trials whose time is over."""
        self._library.neuroamp_link_poll(self._link)

    @property
    def settings_number(self) -> int:
        """Number of the fittings, one more with every write."""
        return int(self._settings.stores[0].number)

    def fitting(self, ear: Ear) -> bytes | None:
        """The stored fitting record of an ear; None if there is none."""
        record = self._ffi.new("uint8_t[]", FITTING_BYTES)
        found = self._library.neuroamp_settings_fitting(self._settings, EARS[ear], record)
        return bytes(self._ffi.buffer(record)) if found else None

    def calibration(self, ear: Ear) -> bytes | None:
        """The stored calibration record of an ear; None if there is none."""
        record = self._ffi.new("uint8_t[]", CALIBRATION_BYTES)
        found = self._library.neuroamp_settings_calibration(self._settings, EARS[ear], record)
        return bytes(self._ffi.buffer(record)) if found else None

    def _device(self, info: DeviceInfo, ticks_per_second: int) -> Any:
        texts = {
            name: self._ffi.new("char[]", getattr(info, name).encode("ascii"))
            for name in ("serial", "name", "firmware", "profile")
        }
        self._alive += texts.values()
        device = self._ffi.new(
            "neuroamp_link_device *",
            {
                **texts,
                "sample_rate_hz": info.sample_rate_hz,
                "hop": info.hop,
                "delay_samples": info.delay_samples,
                "ears": number_of(info.ears),
                "has_net": info.has_net,
                "keeps_settings": True,
                "ticks_per_second": ticks_per_second,
                "model_slot_bytes": self._slot_bytes,
            },
        )
        self._connect(
            device,
            send=self._send,
            now_ms=lambda: self._now_ms() % 2**32,
            set_fitting=self._set_fitting,
            set_calibration=self._set_calibration,
            set_volume=lambda ear, db: self._part.set_volume(EARS_BY_NUMBER[ear], shortest(db)),
            set_noise_reduction=lambda ear, strength: self._part.set_noise_reduction(
                EARS_BY_NUMBER[ear], shortest(strength)
            ),
            set_output=lambda output: self._part.set_output(Output(output)),
            get_output=lambda: int(self._part.output()),
            applied_gain_db=self._applied_gain_db,
            ceiling_db_spl=lambda ear: self._part.ceiling_db_spl(EARS_BY_NUMBER[ear]),
            levels=self._levels,
            counts=self._counts,
            times=self._times,
            active_model=lambda: self.active_model,
            model=self._model,
            write_model=self._write_model,
            activate_model=self._activate_model,
        )
        return device

    def _connect(self, struct: Any, **functions: Callable[..., Any]) -> None:
        """Puts Python functions, without the context, into a structure's pointers."""
        fields = dict(self._ffi.typeof(struct).item.fields)
        for name, function in functions.items():
            pointer = self._ffi.callback(fields[name].type, _without_context(function))
            self._alive.append(pointer)
            setattr(struct, name, pointer)

    # The flash

    def _read(self, address: int, target: Any, count: int) -> int:
        self._ffi.memmove(target, self._flash.read(address, count), count)
        return 1

    def _erase(self, address: int) -> int:
        return int(self._flash.erase(address))

    def _program(self, address: int, source: Any, count: int) -> int:
        return int(self._flash.program(address, bytes(self._ffi.buffer(source, count))))

    # The device

    def _send(self, source: Any, count: int) -> None:
        self._sent.append(bytes(self._ffi.buffer(source, count)))

    def _set_fitting(self, fitting: Any) -> int:
        values: dict[str, Any] = {}
        for name in FITTING_FIELDS:
            value = getattr(fitting, name)
            is_row = not isinstance(value, float)
            values[name] = tuple(map(shortest, value)) if is_row else shortest(value)
        try:
            self._part.set_fitting(Fitting(ear=EARS_BY_NUMBER[fitting.ear], rule="", **values))
        except NeuroampError:
            return 0
        return 1

    def _set_calibration(self, number: int, calibration: Any) -> int:
        ear = EARS_BY_NUMBER[number]
        record = None if calibration == self._ffi.NULL else self.calibration(ear)
        try:
            self._part.set_calibration(ear, None if record is None else Calibration.decode(record))
        except NeuroampError:
            return 0
        return 1

    def _applied_gain_db(self, ear: int, gain_db: Any) -> None:
        for channel, gain in enumerate(self._part.applied_gains_db(EARS_BY_NUMBER[ear])):
            gain_db[channel] = gain

    def _levels(self, ear: int, levels: Any) -> None:
        found = self._part.levels(EARS_BY_NUMBER[ear])
        levels.input_db_spl = found.input_db_spl
        levels.output_db_spl = found.output_db_spl
        levels.output_peak_db_spl = found.output_peak_db_spl

    def _counts(self, ear: int, counts: Any) -> None:
        found = self._part.counts(EARS_BY_NUMBER[ear])
        counts.chain.steps = found.steps
        counts.chain.missed_steps = found.missed_steps
        counts.chain.non_finite_samples = found.non_finite_samples
        counts.hops, counts.late_hops = found.hops, found.late_hops

    def _times(self, ear: int, stage: int, times: Any) -> None:
        found = self._part.times(EARS_BY_NUMBER[ear], Stage(stage)).times
        times.count, times.total, times.max = found.count, found.total, found.max
        times.deadline_misses = found.deadline_misses
        times.histogram = list(found.histogram)

    # Its model slots

    def _model(self, slot: int, room: Any) -> Any:
        room[0] = self._slot_bytes
        return self._slots[slot][1]

    def _write_model(self, slot: int, offset: int, source: Any, count: int) -> int:
        self._ffi.memmove(self._slots[slot][1] + offset, source, count)
        return 1

    def _activate_model(self, slot: int) -> int:
        whole = bytes(self._ffi.buffer(self._slots[slot][1], self._slot_bytes))
        data = whole[: int.from_bytes(whole[12:16], "little")]
        try:
            at_next_start = self._part.take_model(data)
        except NeuroampError:
            return REFUSED
        if at_next_start:
            return AT_NEXT_START
        self.active_model = slot
        return NOW


def _without_context(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *arguments: function(*arguments)

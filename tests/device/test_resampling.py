"""The resampler: its filter's response, and the core's polyphase form through the stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from neuroamp.aid import Aid
from neuroamp.audiogram import Ear
from neuroamp.engines.native import aligned_block, check_status, library_path
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.link.records import Calibration
from neuroamp.live import load_hosted
from neuroamp.resampling import FACTORS, delay_samples, factor_of, lowpass

DECLARATIONS = """
typedef struct neuroamp_resampler neuroamp_resampler;
size_t neuroamp_resampler_size(unsigned factor, unsigned taps);
int neuroamp_resampler_init(void *memory, size_t memory_bytes, unsigned factor,
                            const float *filter, unsigned taps, uint32_t rate_hz,
                            neuroamp_resampler **resampler);
size_t neuroamp_resample_down(neuroamp_resampler *resampler, const float *in, size_t samples,
                              float *out);
void neuroamp_resample_up(neuroamp_resampler *resampler, const float *in, float ceiling,
                          float *out, size_t samples);
uint64_t neuroamp_resampler_non_finite(const neuroamp_resampler *resampler);
"""
MODEL_RATE = 16000
HIGHER = [factor for factor in FACTORS if factor > 1]

needs_core = pytest.mark.skipif(
    library_path() is None, reason="the native engine was not built: no C compiler"
)


class Resampler:
    """The core's, as a test needs it."""

    def __init__(self, factor: int) -> None:
        self.ffi, self.library = load_hosted()
        self.ffi.cdef(DECLARATIONS, override=True)
        taps = lowpass(factor)
        size = self.library.neuroamp_resampler_size(factor, taps.size)
        self.block, memory = aligned_block(size)
        made = self.ffi.new("neuroamp_resampler **")
        filter_ = self.ffi.from_buffer("float[]", taps)
        rate = factor * MODEL_RATE
        check_status(
            self.library.neuroamp_resampler_init(
                memory, size, factor, filter_, taps.size, rate, made
            )
        )
        self.pointer = made[0]

    def floats(self, array: np.ndarray) -> Any:
        return self.ffi.from_buffer("float[]", array)

    def down(self, sound: np.ndarray) -> np.ndarray:
        heard, out = np.float32(sound), np.empty(sound.size, dtype=np.float32)
        count = self.library.neuroamp_resample_down(
            self.pointer, self.floats(heard), heard.size, self.floats(out)
        )
        return out[:count]

    def up(self, sound: np.ndarray, samples: int, ceiling: float = 1e9) -> np.ndarray:
        given, out = np.append(np.float32(sound), np.float32(0)), np.empty(samples, np.float32)
        self.library.neuroamp_resample_up(
            self.pointer, self.floats(given), ceiling, self.floats(out), samples
        )
        return out

    def both(self, sound: np.ndarray) -> np.ndarray:
        return self.up(self.down(sound), sound.size)


def response_db(taps: np.ndarray, hz: np.ndarray, rate: int) -> np.ndarray:
    phases = np.exp(-2j * np.pi * np.outer(hz, np.arange(taps.size)) / rate)
    return 20 * np.log10(np.abs(phases @ np.float64(taps)) + 1e-12)


@pytest.mark.parametrize("factor", HIGHER)
def test_the_filter_passes_speech_and_stops_what_would_fold_into_it(factor: int) -> None:
    taps, rate = lowpass(factor), factor * MODEL_RATE
    assert taps.size % 2 == 1
    np.testing.assert_array_equal(taps, taps[::-1])
    assert 2 * np.abs(response_db(taps, np.linspace(0, 6500, 200), rate)).max() < 0.1
    assert 2 * abs(response_db(taps, np.array([7000.0]), rate)[0]) < 1.0
    folded = np.linspace(9500, rate / 2, 500)
    assert response_db(taps, folded, rate).max() < -49.0


def test_the_delay_at_48_khz_is_52_samples() -> None:
    assert delay_samples(3) == 52
    assert delay_samples(1) == 0


def test_a_rate_that_is_no_multiple_is_refused() -> None:
    assert factor_of(48000, 16000) == 3
    for rate in (44100, 8000, 64000, 0):
        with pytest.raises(NeuroampError, match="16000, 32000, 48000, 96000 Hz"):
            factor_of(rate, 16000)


@needs_core
@pytest.mark.parametrize("factor", HIGHER)
def test_the_core_s_polyphase_form_is_the_filter_twice(factor: int) -> None:
    """Against the definition: filter, keep every factor-th, fill with zeros, filter."""
    heard = np.random.default_rng(0).standard_normal(1000 * factor)
    taps = np.float64(lowpass(factor))
    low = np.convolve(heard, taps)[factor - 1 : heard.size : factor]
    filled = np.zeros(heard.size)
    filled[factor - 1 :: factor] = factor * low
    expected = np.convolve(filled, taps)[: heard.size]
    np.testing.assert_allclose(Resampler(factor).down(heard), low, atol=2e-6)
    np.testing.assert_allclose(Resampler(factor).both(heard), expected, atol=3e-6)


@needs_core
@pytest.mark.parametrize("factor", HIGHER)
def test_down_and_up_are_late_by_exactly_the_delay(factor: int) -> None:
    t = np.arange(factor * 4000) / (factor * MODEL_RATE)
    heard = np.sum([np.sin(2 * np.pi * hz * t + hz) for hz in (200, 1000, 3000, 6000)], axis=0)
    out, delay = Resampler(factor).both(heard), delay_samples(factor)
    np.testing.assert_allclose(
        out[1000 + delay :], heard[1000 : heard.size - delay], atol=0.02 * np.abs(heard).max()
    )


@needs_core
def test_what_lies_above_half_the_model_s_rate_does_not_fold_back() -> None:
    t = np.arange(48000) / 48000
    for hz in (9500, 12000, 15000, 20000):
        low = Resampler(3).down(np.sin(2 * np.pi * hz * t))[1000:]
        assert np.abs(low).max() < 10 ** (-49 / 20)


@needs_core
def test_the_same_samples_come_out_whatever_the_blocks() -> None:
    heard = np.random.default_rng(1).standard_normal(3000)
    expected = Resampler(3).both(heard)
    for size in (1, 2, 64, 97):
        made = Resampler(3)
        parts = [made.both(heard[start : start + size]) for start in range(0, heard.size, size)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


@needs_core
def test_nothing_between_the_samples_swings_over_the_ceiling() -> None:
    square = np.sign(np.sin(2 * np.pi * 1500 * np.arange(2000) / MODEL_RATE))
    free = Resampler(3).up(square, 6000)
    held = Resampler(3).up(square, 6000, ceiling=1.0)
    assert np.abs(free).max() > 1.1
    assert np.abs(held).max() <= 1.0


@needs_core
def test_what_is_no_number_is_silence_and_counted() -> None:
    made = Resampler(3)
    out = made.both(np.array([np.nan, np.inf, -np.inf, *np.zeros(300)]))
    assert not np.any(out)
    assert made.library.neuroamp_resampler_non_finite(made.pointer) == 3


@needs_core
def test_a_filter_that_makes_no_sense_has_no_size() -> None:
    _, library = load_hosted()
    Resampler(2)
    for factor, taps in ((1, 53), (7, 53), (3, 52), (3, 513)):
        assert library.neuroamp_resampler_size(factor, taps) == 0


@needs_core
@pytest.mark.parametrize("factor", HIGHER)
def test_the_whole_stream_is_late_by_chain_and_resampling(factor: int) -> None:
    """Device's rate to device's rate, through the aid, by the C callback."""
    flat = Fitting(Ear.LEFT, (0.0,) * 6, "none", (0.0,) * 11, (1.0,) * 11, mpo_db_spl=120.0)
    aid = Aid(None, [flat], [Calibration(Ear.LEFT, 100.0, 100.0, 120.0)])
    aid.use_whole_hops(True)
    ffi, library = load_hosted()
    rate, block = factor * MODEL_RATE, 32 * factor
    taps = lowpass(factor)
    setup = {
        "aid": aid.pointer,
        "sample_rate_hz": rate,
        "factor": factor,
        "taps": taps.size,
        "filter": ffi.from_buffer("float[]", taps),
        "block": block,
        "in_channels": 1,
        "out_channels": 2,
        "right_out": 1,
    }
    given = ffi.new("neuroamp_stream_setup *", setup)
    size = library.neuroamp_stream_size(given)
    _block, memory = aligned_block(size)
    stream = ffi.new("neuroamp_stream **")
    check_status(library.neuroamp_stream_init(memory, size, given, stream))
    t = np.arange(2 * rate) / rate
    heard = np.float32(np.sum([0.01 * np.sin(2 * np.pi * hz * t) for hz in (300, 2000)], axis=0))
    out = np.full((heard.size, 2), np.nan, dtype=np.float32)
    for start in range(0, heard.size, block):
        library.neuroamp_stream_callback(
            ffi.from_buffer(heard[start : start + block]),
            ffi.from_buffer(out[start : start + block], require_writable=True),
            block,
            ffi.NULL,
            0,
            stream[0],
        )
    delay = factor * aid.delay_samples + delay_samples(factor)
    late = heard[rate + 5000 : heard.size - delay]
    np.testing.assert_allclose(out[rate + 5000 + delay :, 0], late, atol=3e-4)
    assert not np.any(out[:, 1])  # the ear that is not there
    report = library.neuroamp_stream_read(stream[0])
    assert (report.callbacks, report.frames, report.block) == (
        heard.size // block,
        heard.size,
        block,
    )

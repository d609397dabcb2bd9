"""Every stage of the C core against numpy's or the readable specification's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest
from neuroamp.core_file import SECTIONS, assemble, core_file, read_sections
from neuroamp.engines.native import DECLARATIONS, EARS, FITTING_FIELDS, Kernel
from neuroamp.features import BandGains, Features, GainsInBands, Magnitudes
from neuroamp.fitting import Fitting
from neuroamp.limiter import Limiter, ceiling_pa
from neuroamp.model_file import ModelInfo
from neuroamp.profile import PAPER, PAPER_BANDS, WEAR, Profile
from neuroamp.times import BUCKETS, Times, bucket_start
from neuroamp.transform import power_scale
from neuroamp.wdrc import Wdrc

from .conftest import CORE, HERE, compile_c

STAGES = """
void stage_exp2(const float *x, float *y, size_t count);
void stage_log2(const float *x, float *y, size_t count);
void stage_expm1(const float *x, float *y, size_t count);
void stage_sqrt(const float *x, float *y, size_t count);
void stage_fft(size_t length, const float *cosine, const float *sine, const float *signal,
               float *re, float *im, float *scratch);
void stage_inverse_fft(size_t length, const float *cosine, const float *sine, float *re,
                       float *im, float *signal, float *scratch);
int stage_wdrc(const uint8_t *data, size_t bytes, const neuroamp_fitting *fitting,
               const float *power, float steadiness, float *gain_db, size_t frames);
int stage_features(const uint8_t *data, size_t bytes, const float *power, float *features);
int stage_net_gain(const uint8_t *data, size_t bytes, float *output, const float *power,
                   float *gain_db);
void stage_limiter(uint32_t sample_rate_hz, float mpo_db_spl, float *samples, size_t count);
float stage_ceiling_pa(float mpo_db_spl);
int stage_multiply(int kernel, uint32_t rows, uint32_t columns, const int8_t *weights,
                   const int32_t *row_sums, const int16_t *x, int32_t *sums);
int stage_cell(int kernel, uint32_t width, const int32_t *bias, const int32_t *input_sums,
               const int32_t *input_multipliers, const int32_t *recurrent_sums,
               const int32_t *recurrent_multipliers, const int16_t *sigmoid, const int16_t *tanh,
               const int16_t *forgetting, int32_t *cell, int16_t *hidden);
int stage_emulated_vnni(uint32_t rows, uint32_t columns, const int8_t *weights,
                        const int32_t *row_sums, const int16_t *x, int32_t *sums);
void stage_times(const uint64_t *ticks, size_t count, uint64_t deadline, neuroamp_times *times);
"""


class Stages:
    """The stages in C, called with numpy arrays."""

    def __init__(self, library: Path) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(DECLARATIONS + STAGES)
        self.library = self.ffi.dlopen(str(library))

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.library, name)

        def call(*arguments: Any) -> Any:
            return function(*(self.pointer(argument) for argument in arguments))

        return call

    def pointer(self, argument: Any) -> Any:
        kinds = {"f": "float", "b": "int8_t", "h": "int16_t", "i": "int32_t", "L": "uint64_t"}
        if isinstance(argument, np.ndarray):
            return self.ffi.from_buffer(f"{kinds[argument.dtype.char]}[]", argument)
        return argument

    def of(self, name: str, x: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(x, dtype=np.float32)
        found = np.empty_like(given)
        getattr(self, f"stage_{name}")(given, found, given.size)
        return found.astype(np.float64)

    def model(self, profile: Profile, emptied: str | None = None) -> tuple[Any, int]:
        """A file without a net, in aligned memory; the section `emptied` is all zeros."""
        data = core_file(ModelInfo("none", "none", profile, {}, "none"), None)
        if emptied is not None:
            sections = read_sections(data, "model")
            sections[SECTIONS[emptied]] = bytes(len(sections[SECTIONS[emptied]]))
            data = assemble(sections)
        self.block = self.ffi.new("uint8_t[]", len(data) + 16)
        start = self.block + -int(self.ffi.cast("uintptr_t", self.block)) % 16
        self.ffi.memmove(start, data, len(data))
        return start, len(data)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    output = tmp_path_factory.mktemp("stages") / "stages.so"
    sources = [HERE / "stages.c", HERE / "emulated_vnni.c"]
    return Stages(compile_c(output, sources, "-O2", "-shared", "-fPIC"))


def loud_and_soft_spectra(profile: Profile, frames: int, seed: int = 0) -> np.ndarray:
    """Complex spectra [frames, bins] from 0 to 110 dB SPL, with silence in between."""
    rng = np.random.default_rng(seed)
    shape = (frames, profile.bins)
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    level_db = rng.uniform(0.0, 110.0, (frames, 1)) - rng.uniform(0.0, 60.0, shape)
    spectra = noise * 20e-6 * 10.0 ** (level_db / 20.0) / np.sqrt(power_scale(profile))
    spectra[frames // 2 : frames // 2 + 3] = 0.0
    return spectra


def powers(profile: Profile, spectra: np.ndarray) -> np.ndarray:
    return (np.abs(spectra) ** 2 * power_scale(profile)).astype(np.float32)


def test_elementary_functions_keep_their_error_bounds(stages: Stages) -> None:
    x = np.float32(np.linspace(-126.0, 126.0, 200_001)).astype(np.float64)
    np.testing.assert_allclose(stages.of("exp2", x), np.exp2(x), rtol=2e-7)
    positive = np.float32(np.geomspace(1.2e-38, 3.4e38, 200_001)).astype(np.float64)
    log2 = np.log2(positive)
    assert np.all(np.abs(stages.of("log2", positive) - log2) <= 1e-7 + 1e-7 * np.abs(log2))
    np.testing.assert_allclose(stages.of("sqrt", positive), np.sqrt(positive), rtol=3e-7)
    small = np.geomspace(1e-30, 80.0, 100_001)
    x = np.float32(np.concatenate([-small, small])).astype(np.float64)
    np.testing.assert_allclose(stages.of("expm1", x), np.expm1(x), rtol=5e-6)
    near = x[np.abs(x) < 17.0]
    np.testing.assert_allclose(stages.of("expm1", near), np.expm1(near), rtol=1e-6)


def test_elementary_functions_bear_what_is_out_of_range(stages: Stages) -> None:
    assert np.all(np.isfinite(stages.of("exp2", np.array([1e30, -1e30, np.nan, np.inf]))))
    np.testing.assert_array_equal(stages.of("sqrt", np.array([0.0, 1e-40, -1.0])), 0.0)


@pytest.mark.parametrize("length", [16, 32, 64, 128, 256, 512, 1024, 4096])
def test_fft_equals_numpy_and_inverts(stages: Stages, length: int) -> None:
    rng = np.random.default_rng(length)
    angle = 2.0 * np.pi * np.arange(length * 3 // 4) / length
    cosine, sine = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    signal = rng.standard_normal(length).astype(np.float32)
    re, im = (np.empty(length // 2 + 1, np.float32) for _ in range(2))
    scratch, back = np.empty(2 * length, np.float32), np.empty(length, np.float32)
    stages.stage_fft(length, cosine, sine, signal, re, im, scratch)
    expected = np.fft.rfft(signal)
    assert np.abs(re + 1j * im - expected).max() < 1e-6 * np.abs(expected).max()
    stages.stage_inverse_fft(length, cosine, sine, re, im, back, scratch)
    assert np.abs(back - signal).max() < 1e-6 * np.abs(signal).max()


@pytest.mark.parametrize("profile", [WEAR, PAPER], ids=lambda p: p.name)
@pytest.mark.parametrize("steadiness", [0.0, 0.4, 1.0])
def test_compressor_equals_the_specification(
    stages: Stages, profile: Profile, fitting: Fitting, steadiness: float
) -> None:
    spectra = loud_and_soft_spectra(profile, 60)
    power = powers(profile, spectra)
    actual = np.empty_like(power)
    values = {name: getattr(fitting, name) for name in FITTING_FIELDS}
    record = stages.ffi.new("neuroamp_fitting *", {"ear": EARS[fitting.ear], **values})
    assert stages.stage_wdrc(*stages.model(profile), record, power, steadiness, actual, len(power))
    wdrc = Wdrc(profile, fitting)
    expected = np.array([wdrc.step(spectrum, steadiness) for spectrum in spectra])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("profile", [WEAR, PAPER], ids=lambda p: p.name)
def test_features_equal_the_specification(stages: Stages, profile: Profile) -> None:
    spectra = loud_and_soft_spectra(profile, 8)
    features = Features(profile)
    for spectrum in spectra:
        actual = np.empty(profile.feature_count, np.float32)
        power = powers(profile, spectrum)
        assert stages.stage_features(*stages.model(profile), power, actual)
        np.testing.assert_allclose(actual, features(spectrum), rtol=1e-5, atol=1e-6)


def test_band_gains_equal_the_specification(stages: Stages) -> None:
    rng = np.random.default_rng(0)
    output = rng.uniform(-0.2, 1.2, WEAR.bands).astype(np.float32)
    expected = BandGains(WEAR)(output)
    actual, power = (np.zeros(WEAR.bins, np.float32) for _ in range(2))
    assert stages.stage_net_gain(*stages.model(WEAR), output, power, actual)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_magnitudes_as_gains_equal_the_specification(stages: Stages) -> None:
    spectrum = loud_and_soft_spectra(PAPER, 10)[0]
    rng = np.random.default_rng(0)
    output = rng.uniform(-0.1, 3.0, PAPER.bins).astype(np.float32)
    output[:20] = np.geomspace(1e-5, 1e-2, 20)  # near zero, where exp(x) - 1 loses its digits
    expected = 20.0 * np.log10(np.maximum(Magnitudes(PAPER)(output), 1e-12) / np.abs(spectrum))
    actual = np.empty(PAPER.bins, np.float32)
    power = powers(PAPER, spectrum)
    assert stages.stage_net_gain(*stages.model(PAPER), output, power, actual)
    np.testing.assert_allclose(actual, np.clip(expected, -100.0, 80.0), rtol=1e-5, atol=1e-4)


def test_smooth_gains_equal_the_specification(stages: Stages) -> None:
    spectrum = loud_and_soft_spectra(PAPER_BANDS, 10)[0]
    spectrum[40:60] = 0.0  # digital silence over whole bands
    rng = np.random.default_rng(0)
    output = rng.uniform(-0.1, 3.0, PAPER_BANDS.bins).astype(np.float32)
    wanted = np.maximum(Magnitudes(PAPER_BANDS)(output), 1e-12)
    gain_db = 20.0 * np.log10(wanted / np.maximum(np.abs(spectrum), 1e-12))
    expected = GainsInBands(PAPER_BANDS)(np.clip(gain_db, -100.0, 80.0), spectrum)
    actual = np.empty(PAPER_BANDS.bins, np.float32)
    power = powers(PAPER_BANDS, spectrum)
    assert stages.stage_net_gain(*stages.model(PAPER_BANDS), output, power, actual)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-3)
    assert np.abs(actual - gain_db).max() > 10.0  # it does something


def test_a_band_without_a_bin_in_a_strange_file_has_a_gain(stages: Stages) -> None:
    """Where no bin has a share of the band above its own, nothing is in the last one's mean."""
    output = np.full(PAPER_BANDS.bins, 0.5, np.float32)
    power = powers(PAPER_BANDS, loud_and_soft_spectra(PAPER_BANDS, 10)[0])
    gain_db = np.full(PAPER_BANDS.bins, np.nan, np.float32)
    strange = stages.model(PAPER_BANDS, emptied="band_upper")
    assert stages.stage_net_gain(*strange, output, power, gain_db)
    assert np.isfinite(gain_db).all()


def test_limiter_equals_the_specification(stages: Stages) -> None:
    rng = np.random.default_rng(0)
    signal = (rng.standard_normal(4000) * np.geomspace(1e-3, 100.0, 4000)).astype(np.float32)
    signal[500], signal[2000], signal[2001] = np.nan, np.inf, -np.inf
    signal = np.concatenate([signal, signal[::-1] * np.float32(1e-3)])
    expected = Limiter(16000, 100.0).process(signal)
    actual = signal.copy()
    stages.stage_limiter(16000, 100.0, actual, actual.size)
    # The ceiling in C is lower by a margin of 2e-6, so that rounding cannot exceed it.
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-9)


def test_no_ceiling_is_above_the_mpo(stages: Stages) -> None:
    mpo = np.float32(np.concatenate([np.linspace(60.0, 120.0, 5001), [-1e30, 0.0, 200.0, np.inf]]))
    for value in mpo:
        found, limit = stages.stage_ceiling_pa(float(value)), ceiling_pa(float(value))
        assert limit * (1.0 - 1e-5) < found <= limit
    assert stages.stage_ceiling_pa(float("nan")) <= ceiling_pa(60.0)


@pytest.mark.parametrize("kernel", Kernel)
@pytest.mark.parametrize(
    ("rows", "columns"), [(4, 32), (512, 64), (8, 96), (64, 128), (8, 288), (4, 480)]
)
def test_every_kernel_multiplies_exactly(
    stages: Stages, kernel: Kernel, rows: int, columns: int
) -> None:
    rng = np.random.default_rng(rows + columns)
    for extreme in (False, True):
        if extreme:
            weights = rng.choice([-128, 127], (rows, columns)).astype(np.int8)
            x = rng.choice([-32768, 32767], columns).astype(np.int16)
            # The largest sums there are, of either sign.
            weights[0], weights[1] = np.where(x < 0, -128, 127), np.where(x < 0, 127, -128)
        else:
            weights = rng.integers(-127, 128, (rows, columns)).astype(np.int8)
            x = rng.integers(-32767, 32768, columns).astype(np.int16)
        expected = weights.astype(np.int64) @ x.astype(np.int64)
        row_sums = weights.sum(axis=1, dtype=np.int64).astype(np.int32)
        arguments = (rows, columns, weights.reshape(-1), row_sums, x)
        actual = np.empty(rows, np.int32)
        if kernel is Kernel.AVX_VNNI:
            ran = stages.stage_emulated_vnni(*arguments, actual)
            assert not ran or np.array_equal(actual, expected)
        if stages.stage_multiply(kernel.value, *arguments, actual):
            np.testing.assert_array_equal(actual, expected)
        elif kernel is Kernel.PLAIN:
            pytest.fail("the plain kernel must always be there")


@pytest.mark.parametrize("kernel", [kernel for kernel in Kernel if kernel is not Kernel.PLAIN])
@pytest.mark.parametrize("width", [1, 7, 8, 31, 128])
def test_every_kernel_steps_the_cells_exactly(stages: Stages, kernel: Kernel, width: int) -> None:
    rng = np.random.default_rng(width)
    for most in (2**16, 2**24, 2**30):  # few gates saturate, or most of them
        rows = 4 * width
        sums = [rng.integers(-most, most, rows, dtype=np.int32) for _ in range(2)]
        multipliers = [rng.integers(0, 2**29 + 1, rows, dtype=np.int32) for _ in range(2)]
        bias = rng.integers(-min(most, 2**29), min(most, 2**29), rows, dtype=np.int32)
        tables = [rng.integers(-32767, 32768, 1025).astype(np.int16) for _ in range(3)]
        cell = rng.choice([-(2**31), 2**31 - 1, 0, 12345, -(2**29)], width).astype(np.int32)
        found = []
        for chosen in (Kernel.PLAIN, kernel):
            states = cell.copy(), np.zeros(width, np.int16)
            arguments = (bias, sums[0], multipliers[0], sums[1], multipliers[1], *tables, *states)
            if not stages.stage_cell(chosen.value, width, *arguments):
                pytest.skip(f"this processor does not have {kernel.name}")
            found.append(states)
        np.testing.assert_array_equal(found[1][0], found[0][0])
        np.testing.assert_array_equal(found[1][1], found[0][1])


def test_times_fall_into_their_buckets(stages: Stages) -> None:
    rng = np.random.default_rng(0)
    ticks = np.concatenate([np.arange(40), rng.integers(0, 2**33, 500), [2**60]]).astype(np.uint64)
    times = stages.ffi.new("neuroamp_times *")
    stages.library.stage_times(stages.ffi.from_buffer("uint64_t[]", ticks), ticks.size, 1000, times)
    starts = [stages.neuroamp_bucket_start(bucket) for bucket in range(256)]
    assert starts == sorted(set(starts))
    expected = np.searchsorted(np.array(starts, dtype=np.uint64), ticks, side="right") - 1
    np.testing.assert_array_equal(np.bincount(expected, minlength=256), list(times.histogram))
    assert (times.count, times.max) == (ticks.size, 2**60)
    assert times.deadline_misses == np.count_nonzero(ticks > 1000)
    for fraction in (0.0, 0.5, 0.9, 0.99):
        exact = np.sort(ticks)[max(int(np.ceil(fraction * ticks.size)) - 1, 0)]
        assert exact <= stages.neuroamp_percentile(times, fraction) <= max(exact * 9 / 8, exact + 1)
    assert stages.neuroamp_percentile(times, 1.0) == 2**60


def test_python_counts_times_as_the_core_does(stages: Stages) -> None:
    rng = np.random.default_rng(1)
    edges = np.array([(1 << octave) + shift for octave in range(3, 60) for shift in (-1, 0, 1)])
    ticks = np.concatenate([np.arange(70), edges, rng.integers(0, 2**25, 2000)]).astype(np.uint64)
    counted = stages.ffi.new("neuroamp_times *")
    given = stages.ffi.from_buffer("uint64_t[]", ticks)
    stages.library.stage_times(given, ticks.size, 4000, counted)
    times = Times()
    for tick in ticks.tolist():
        times.add(tick, 4000)
    assert times.histogram == list(counted.histogram)
    assert (times.count, times.total, times.max, times.deadline_misses) == (
        counted.count,
        counted.total,
        counted.max,
        counted.deadline_misses,
    )
    for bucket in range(BUCKETS):
        assert bucket_start(bucket) == stages.neuroamp_bucket_start(bucket)
    for fraction in (0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0):
        assert times.percentile(fraction) == stages.neuroamp_percentile(counted, fraction)
    assert Times().percentile(0.5) == 0


def test_python_declares_what_the_header_declares() -> None:
    headers = [CORE / "include" / "neuroamp" / name for name in ("neuroamp.h", "hosted.h")]
    header = "\n".join(path.read_text() for path in headers)
    header = re.sub(r"/\*.*?\*/", " ", header, flags=re.S)
    for name, value in re.findall(r"#define (NEUROAMP_\w+) (\d+)", header):
        header = header.replace(f"[{name}]", f"[{value}]")

    def plain(text: str) -> str:
        text = re.sub(r"neuroamp_(status|ear|kernel|stage) |neuroamp_info (?=\*)", "int ", text)
        text = text.replace("int *info", "void *info").replace("NEUROAMP_API", "")
        return re.sub(r"\s+", "", text)

    for declaration in re.split(r"(?<=;)\n(?=\S)", DECLARATIONS.strip()):
        assert plain(declaration) in plain(header), declaration

"""The whole chain in C, through its Python binding, against the readable specification."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from neuroamp.audiogram import Ear
from neuroamp.chain import NOISE_RANGE_DB, EarChain
from neuroamp.core_file import core_file, read_core_weights
from neuroamp.engines.native import Kernel, NativeChain, NativeEngine, library_path
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.integer_net import IntegerMatrix, IntegerNet, IntegerWeights
from neuroamp.limiter import ceiling_pa
from neuroamp.model_file import ModelInfo
from neuroamp.profile import PAPER, WEAR, Profile
from neuroamp.times import Stage
from neuroamp_export.core_format import quantise, write_core_model

from .conftest import NETS, TINY, random_weights

pytestmark = pytest.mark.skipif(
    library_path() is None, reason="the native engine was not built: no C compiler"
)


class Reference:
    """The integer net in numpy as an engine; `late` makes it miss its steps."""

    def __init__(self, info: ModelInfo, weights: IntegerWeights) -> None:
        self.info = info
        self.net = IntegerNet(weights, info.profile.output == "band-gain")
        self.late = False

    def step(self, features: Any, audiogram: Any) -> Any:
        self.net.set_audiogram(audiogram * 100.0)
        return None if self.late else self.net.step(features)

    def reset(self) -> None:
        self.net.reset()


def reference(path: Path, name: str, fitting: Fitting) -> tuple[EarChain, Reference]:
    profile, units, widths = NETS[name]
    weights = quantise(random_weights(1, profile, units, widths), profile.feature_count)
    engine = Reference(NativeEngine(path).info, weights)
    return EarChain(profile, fitting, engine), engine


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """A tone that comes and goes in noise, around 65 dB SPL, with a click."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(16000 * seconds)) / 16000
    tone = 0.03 * np.sin(2 * np.pi * 440 * t) * (1 + np.sin(2 * np.pi * 3 * t))
    signal = tone + 0.005 * rng.standard_normal(t.size)
    signal[t.size // 2] += 1.0
    return signal.astype(np.float32)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("profile", [WEAR, PAPER, TINY], ids=lambda p: p.name)
def test_amplifier_equals_the_specification(profile: Profile, fitting: Fitting) -> None:
    heard = sound(1.0)
    expected = EarChain(profile, fitting).process(heard)
    actual = NativeChain(None, fitting, profile=profile).process(heard)
    assert relative_error(actual, expected) < 1e-5


@pytest.mark.parametrize("profile", [WEAR, PAPER], ids=lambda p: p.name)
def test_without_gain_the_output_is_the_input_exactly_so_much_later(profile: Profile) -> None:
    flat = Fitting(Ear.RIGHT, (0.0,) * 6, "none", (0.0,) * 11, (1.0,) * 11)
    heard = sound(0.3)
    out = NativeChain(None, flat, profile=profile).process(heard)
    delay = profile.delay_samples
    np.testing.assert_allclose(out[delay:], heard[:-delay], atol=1e-6 * np.abs(heard).max())
    assert np.abs(out[:delay]).max() < 1e-6 * np.abs(heard).max()


@pytest.mark.parametrize("name", ["wear", "paper", "paper-bands", "tiny"])
def test_chain_with_a_net_equals_the_specification(
    model: Callable[[str], Path], name: str, fitting: Fitting
) -> None:
    heard = sound(0.5)
    chain = NativeChain(model(name), fitting)
    specified, _ = reference(model(name), name, fitting)
    expected = specified.process(heard)
    # A feature that lies on the boundary of two integers may fall to either side in float32:
    # a step of 2^-13 in one input, which the net answers in its own way.
    assert relative_error(chain.process(heard), expected) < 1e-3
    gain_error_db = chain.insertion_gain_db - specified.insertion_gain_db
    assert np.median(np.abs(gain_error_db)) < 0.01
    assert chain.stats == specified.stats


def test_the_share_that_is_done_of_a_nets_gains_equals_the_specification(
    tmp_path: Path, fitting: Fitting
) -> None:
    """With a range in whose middle the share is a half, so that an error of the mean shows."""
    around_db = sum(NOISE_RANGE_DB) / 2.0
    _, units, widths = NETS["wear"]
    profile = dataclasses.replace(WEAR, gain_min_db=2.0 * around_db, gain_max_db=0.0)
    weights = random_weights(1, profile, units, widths)
    write_core_model(tmp_path / "near.nam", "near", "near", profile, weights)
    chain = NativeChain(tmp_path / "near.nam", fitting)
    engine = Reference(
        NativeEngine(tmp_path / "near.nam").info, quantise(weights, profile.feature_count)
    )
    specified = EarChain(profile, fitting, engine)
    for block in np.array_split(sound(2.0), 20):
        assert relative_error(chain.process(block), specified.process(block)) < 1e-3
        gain_error_db = chain.insertion_gain_db - specified.insertion_gain_db
        assert np.median(np.abs(gain_error_db)) < 0.01
        assert 0.05 < specified.net_share < 0.95


@pytest.mark.parametrize("name", ["wear", "paper", "tiny"])
def test_net_equals_the_integer_reference_exactly(model: Callable[[str], Path], name: str) -> None:
    profile, units, widths = NETS[name]
    weights = quantise(random_weights(1, profile, units, widths), profile.feature_count)
    net = IntegerNet(weights, profile.output == "band-gain")
    engine = NativeEngine(model(name))
    rng = np.random.default_rng(0)
    for step in range(40):
        if step % 10 == 0:
            thresholds = rng.uniform(-10.0, 120.0, 6).astype(np.float32)
            net.set_audiogram(thresholds / np.float32(100.0) * 100.0)
        features = rng.uniform(-2.0, 4.5, profile.feature_count).astype(np.float32)
        audiogram = thresholds / np.float32(100.0)
        np.testing.assert_array_equal(engine.step(features, audiogram), net.step(features))
    engine.reset()
    net.reset()
    np.testing.assert_array_equal(engine.step(features, audiogram), net.step(features))


@pytest.mark.parametrize("name", ["wear", "paper", "tiny"])
def test_weights_come_back_from_the_file(model: Callable[[str], Path], name: str) -> None:
    profile, units, widths = NETS[name]
    written = quantise(random_weights(1, profile, units, widths), profile.feature_count)
    found = read_core_weights(model(name))
    assert found is not None
    assert found.widths == widths
    for expected, actual in zip(matrices(written), matrices(found), strict=True):
        np.testing.assert_array_equal(actual.weights, expected.weights)
        np.testing.assert_array_equal(actual.multipliers, expected.multipliers)
        assert (actual.bias is None) == (expected.bias is None)
        np.testing.assert_array_equal(actual.bias, expected.bias)


def matrices(weights: IntegerWeights) -> list[IntegerMatrix]:
    ends = [weights.audiogram, weights.listener, weights.output]
    return [*ends, *weights.inputs, *weights.recurrents]


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    seed=st.integers(0, 2**32 - 1),
    units=st.integers(1, 40),
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple),
    size=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_any_shape_of_net_equals_the_integer_reference_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    units: int,
    widths: tuple[int, ...],
    size: float,
) -> None:
    path = tmp_path_factory.mktemp("net") / "net.nam"
    floats = random_weights(seed, TINY, units, widths, size)
    weights = write_core_model(path, "net", "net", TINY, floats)
    net, engine = IntegerNet(weights, output_is_gain=True), NativeEngine(path)
    net.set_audiogram(np.zeros(6))
    rng = np.random.default_rng(seed)
    for _ in range(6):
        features = rng.choice([-100.0, 4.0, 0.0, 1e30, 0.3], TINY.bands).astype(np.float32)
        actual = engine.step(features, np.zeros(6, np.float32))
        np.testing.assert_array_equal(actual, net.step(features))


def test_quantised_net_is_close_to_the_float_net(model: Callable[[str], Path]) -> None:
    profile, units, widths = NETS["wear"]
    floats = random_weights(1, profile, units, widths)
    engine = NativeEngine(model("wear"))
    rng = np.random.default_rng(0)
    audiogram = np.float32([0.3, 0.35, 0.4, 0.5, 0.6, 0.65])
    states = [(np.zeros(width), np.zeros(width)) for width in widths]
    errors, outputs = [], []
    for _ in range(100):
        features = rng.uniform(-2.0, 2.6, profile.bands).astype(np.float32)
        expected = float_step(floats, features, audiogram, states)
        errors.append(engine.step(features, audiogram) - expected)
        outputs.append(expected - 0.5)
    # int8 weights: some 40 dB where states and inputs add nothing of their own.
    assert 10.0 * np.log10(np.mean(np.square(outputs)) / np.mean(np.square(errors))) > 30.0


def float_step(w: Any, features: Any, audiogram: Any, states: list[Any]) -> np.ndarray:
    """One step of an LSTM net in float64, after the definition."""

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-z))

    listener = np.maximum(w.audiogram_weight @ audiogram + w.audiogram_bias, 0.0)
    x = np.concatenate([features, listener])
    for index, layer in enumerate(w.layers):
        hidden, cell = states[index]
        z = layer.input_weight @ x + layer.recurrent_weight @ hidden + layer.bias
        i, f, g, o = np.split(z, 4)
        cell = np.clip(sigmoid(f) * cell + sigmoid(i) * np.tanh(g), -4.0, 4.0)
        x = sigmoid(o) * np.tanh(cell)
        states[index] = (x, cell)
    return sigmoid(w.output_weight @ x + w.output_bias)


@pytest.mark.parametrize("kernel", [kernel for kernel in Kernel if kernel is not Kernel.PLAIN])
def test_every_kernel_gives_the_same_bits(
    model: Callable[[str], Path], fitting: Fitting, kernel: Kernel
) -> None:
    heard = sound(0.1)
    plain, other = (NativeChain(model("wear"), fitting) for _ in range(2))
    assert plain.use_kernel(Kernel.PLAIN)
    if not other.use_kernel(kernel):
        pytest.skip(f"this processor does not have {kernel.name}")
    assert other.kernel is kernel
    np.testing.assert_array_equal(other.process(heard), plain.process(heard))


@hypothesis.given(
    cuts=st.lists(st.integers(0, 200), min_size=1, max_size=30),
    profile=st.sampled_from([WEAR, PAPER, TINY]),
)
def test_block_sizes_change_nothing(fitting: Fitting, cuts: list[int], profile: Profile) -> None:
    heard = sound(0.1)[: sum(cuts)]
    whole = NativeChain(None, fitting, profile=profile).process(heard)
    chain = NativeChain(None, fitting, profile=profile)
    parts = [chain.process(part) for part in np.split(heard, np.cumsum(cuts)[:-1])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("name", ["wear", "tiny"])
def test_every_stage_of_every_frame_is_timed(
    model: Callable[[str], Path], fitting: Fitting, name: str
) -> None:
    heard = sound(0.1)
    specified, _ = reference(model(name), name, fitting)
    for chain in (NativeChain(model(name), fitting), specified):
        assert chain.stage_times[Stage.FRAME].count == 0
        chain.process(heard)
        assert chain.stage_times[Stage.FRAME].count == 0  # not asked for yet
        chain.reset()
        chain.time_stages(deadline_s=0.0)
        timed = chain.process(heard)
        frames = heard.size // chain.profile.hop
        steps = -(-frames // chain.profile.hops_per_step)
        times = chain.stage_times
        for stage, count in zip(Stage, (frames, steps, steps, *[frames] * 3), strict=True):
            assert times[stage].count == sum(times[stage].histogram) == count, stage
            assert times[stage].total <= times[Stage.FRAME].total
        assert times[Stage.FRAME].deadline_misses == frames
        assert 0 < times[Stage.FRAME].percentile(0.5) <= times[Stage.FRAME].max
        chain.reset()  # the clock stays, the times go, and the sound does not depend on it
        assert chain.stage_times[Stage.FRAME].count == 0
        np.testing.assert_array_equal(chain.process(heard), timed)
        chain.time_stages()
        assert chain.stage_times[Stage.FRAME].deadline_misses == frames


def test_late_net_fades_as_specified_and_comes_back(
    model: Callable[[str], Path], fitting: Fitting
) -> None:
    chain = NativeChain(model("tiny"), fitting)
    specified, engine = reference(model("tiny"), "tiny", fitting)
    heard = sound(0.6)
    for index, part in enumerate(np.split(heard, 6)):
        engine.late = 2 <= index < 5
        chain.enable_net(not engine.late)
        assert relative_error(chain.process(part), specified.process(part)) < 1e-3
    assert chain.stats == specified.stats
    assert chain.stats.missed_steps == 3 * 1600 // (TINY.hop * TINY.hops_per_step)


def test_another_fitting_is_taken_without_a_break(
    model: Callable[[str], Path], fitting: Fitting
) -> None:
    chain = NativeChain(model("tiny"), fitting)
    specified, _ = reference(model("tiny"), "tiny", fitting)
    heard = sound(0.2)
    softer = fitting.replace(
        gain_65_db=(3.0,) * 11,
        thresholds_db_hl=(20.0,) * 6,
        noise_reduction=0.5,
        mpo_db_spl=80.0,
        attack_s=0.01,
        release_s=0.05,
    )
    for now in (fitting, softer, fitting):
        chain.set_fitting(now)
        specified.set_fitting(now)
        assert relative_error(chain.process(heard), specified.process(heard)) < 1e-3
    assert chain.fitting == fitting


def test_reset_forgets_everything(model: Callable[[str], Path], fitting: Fitting) -> None:
    heard = sound(0.1)
    chain = NativeChain(model("wear"), fitting)
    first = chain.process(heard)
    chain.process(heard[:807] * 100.0)  # stops between two steps of the net, within a hop
    chain.reset()
    assert chain.stats.steps == 0
    np.testing.assert_array_equal(chain.process(heard), first)


def test_nan_and_overload_are_borne_and_counted(
    model: Callable[[str], Path], fitting: Fitting
) -> None:
    heard = sound(0.3).astype(np.float64)
    heard[1000:1010] = np.nan
    heard[2000], heard[2001], heard[2002:2500] = np.inf, -np.inf, 1e30
    chain = NativeChain(None, fitting)
    out = chain.process(heard)
    assert chain.stats.non_finite_samples == 12
    assert np.all(np.isfinite(out))
    assert np.abs(out.astype(np.float64)).max() <= ceiling_pa(fitting.mpo_db_spl)
    expected = EarChain(WEAR, fitting).process(heard)
    assert relative_error(out, expected) < 1e-4


def test_the_other_ear_is_refused(model: Callable[[str], Path], fitting: Fitting) -> None:
    with pytest.raises(NeuroampError, match="right ear but the fitting is for the left"):
        NativeChain(model("tiny"), fitting, Ear.RIGHT)
    chain = NativeChain(model("tiny"), fitting)
    with pytest.raises(NeuroampError, match="left ear but the fitting is for the right"):
        chain.set_fitting(dataclasses.replace(fitting, ear=Ear.RIGHT))
    assert chain.fitting == fitting


def test_blocks_of_two_axes_are_refused(fitting: Fitting) -> None:
    with pytest.raises(NeuroampError, match=r"shape \(2, 3\)"):
        NativeChain(None, fitting).process(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:40], "expected it to start with"),
        (lambda data: b"x" + data[1:], "expected it to start with"),
        (lambda data: data[:8] + b"\x09" + data[9:], "format version 9"),
        (lambda data: data[:-1], "states"),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "SHA-256"),
        (lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "damaged"),
    ],
)
def test_damaged_files_are_refused(
    model: Callable[[str], Path], tmp_path: Path, damage: Any, message: str
) -> None:
    path = tmp_path / "damaged.nam"
    path.write_bytes(damage(model("wear").read_bytes()))
    with pytest.raises(NeuroampError, match=message):
        NativeEngine(path)


def test_a_file_without_a_net_is_no_engine(tmp_path: Path) -> None:
    path = tmp_path / "none.nam"
    path.write_bytes(core_file(ModelInfo("none", "none", WEAR, {}, "none"), None))
    with pytest.raises(NeuroampError, match="no net"):
        NativeEngine(path)


def test_weights_beyond_the_formats_are_refused(tmp_path: Path) -> None:
    weights = random_weights(0, TINY, 3, (4,), size=1e6)
    with pytest.raises(NeuroampError, match="too large"):
        write_core_model(tmp_path / "x.nam", "x", "x", TINY, weights)
    with pytest.raises(NeuroampError, match="at most 480"):
        write_core_model(tmp_path / "x.nam", "x", "x", TINY, random_weights(0, TINY, 3, (481,)))
    with pytest.raises(NeuroampError, match="at most 4"):
        write_core_model(tmp_path / "x.nam", "x", "x", TINY, random_weights(0, TINY, 3, (4,) * 5))


def test_missing_library_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuroamp.engines import native

    monkeypatch.setattr(native, "library_path", lambda: None)
    native.load_library.cache_clear()
    try:
        with pytest.raises(NeuroampError, match="no C compiler"):
            native.load_library()
    finally:
        native.load_library.cache_clear()

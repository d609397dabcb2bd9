"""The TFLite engine against the same net in numpy.

Runs with ai-edge-litert, and by tools/test_tflite_runtime.sh with tflite-runtime 2.14 and numpy 1.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neuroamp.chain import EarChain
from neuroamp.engines import open_engine
from neuroamp.engines.tflite import TfliteEngine, interpreter_class
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.model_file import append_tflite_metadata, read_tflite
from neuroamp.profile import WEAR

NOT_INSTALLED = not any(map(importlib.util.find_spec, ("ai_edge_litert", "tflite_runtime")))
pytestmark = pytest.mark.skipif(NOT_INSTALLED, reason="no TFLite interpreter is installed")

Steps = list[tuple[Any, Any]]
QUANTISATIONS = ["float32", "int8", "16x8"]
ERROR_RMS = {"float32": 1e-6, "int8": 0.01, "16x8": 0.004}
"""Largest error of the outputs, which span 0 to 1 and vary by 0.04 RMS from step to step."""


def outputs(engine: Any, steps: Steps) -> np.ndarray:
    return np.array([engine.step(features, audiogram) for features, audiogram in steps])


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_outputs_are_those_of_the_numpy_net(
    tiny_tflite: dict[str, Path], tiny_net: Any, steps: Steps, quantisation: str
) -> None:
    engine = open_engine(tiny_tflite[quantisation])
    assert engine.info == dataclasses.replace(tiny_net.info, quantisation=quantisation)
    expected, actual = outputs(tiny_net, steps), outputs(engine, steps)
    assert np.std(expected, axis=0).mean() > 0.02
    assert np.sqrt(np.mean((actual - expected) ** 2)) < ERROR_RMS[quantisation]
    # The same at the end as at the beginning: the states that are fed back do not drift.
    assert np.sqrt(np.mean((actual[-20:] - expected[-20:]) ** 2)) < ERROR_RMS[quantisation]


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_reset_starts_anew_and_engines_share_nothing(
    tiny_tflite: dict[str, Path], steps: Steps, quantisation: str
) -> None:
    engine, other = (TfliteEngine(tiny_tflite[quantisation]) for _ in range(2))
    first = outputs(engine, steps)
    assert not np.array_equal(outputs(engine, steps), first)
    engine.reset()
    np.testing.assert_array_equal(outputs(engine, steps), first)
    np.testing.assert_array_equal(outputs(other, steps), first)


def test_outputs_are_the_callers_own(tiny_tflite: dict[str, Path], steps: Steps) -> None:
    engine = TfliteEngine(tiny_tflite["float32"])
    first = engine.step(*steps[0])
    kept = first.copy()
    engine.step(*steps[1])
    np.testing.assert_array_equal(first, kept)
    assert first.dtype == np.float32


def test_values_beyond_a_quantised_inputs_range_saturate(tiny_tflite: dict[str, Path]) -> None:
    engine = TfliteEngine(tiny_tflite["int8"])
    audiogram = np.zeros(6, dtype=np.float32)
    beyond = engine.step(np.full(64, 1e6, dtype=np.float32), audiogram)
    engine.reset()
    at_the_end = engine.step(np.full(64, 10.0, dtype=np.float32), audiogram)
    np.testing.assert_array_equal(beyond, at_the_end)


def test_tensors_without_names_are_matched_by_their_order(
    tiny_tflite: dict[str, Path], tiny_net: Any, steps: Steps, tmp_path: Path
) -> None:
    states = {f"renamed{i}": shape for i, shape in enumerate(tiny_net.info.states.values())}
    info = dataclasses.replace(tiny_net.info, states=states)
    path = tmp_path / "renamed.tflite"
    path.write_bytes(append_tflite_metadata(read_tflite(tiny_tflite["float32"])[1], info))
    np.testing.assert_allclose(
        outputs(TfliteEngine(path), steps), outputs(tiny_net, steps), atol=1e-5
    )


@pytest.mark.parametrize(
    "states",
    [
        {"hidden0": (1, 8), "cell0": (1, 8), "hidden1": (1, 7), "cell1": (1, 6)},
        {"hidden0": (1, 8), "cell0": (1, 8)},
        {"hidden0": (1, 8), "cell0": (1, 8), "hidden1": (1, 6), "cell1": (1, 6), "more": (1, 2)},
    ],
    ids=["another shape", "fewer", "more"],
)
def test_a_graph_that_is_not_what_its_metadata_says_is_refused(
    tiny_tflite: dict[str, Path], tiny_net: Any, tmp_path: Path, states: dict[str, tuple[int, int]]
) -> None:
    info = dataclasses.replace(tiny_net.info, states=states)
    path = tmp_path / "other.tflite"
    path.write_bytes(append_tflite_metadata(read_tflite(tiny_tflite["float32"])[1], info))
    with pytest.raises(NeuroampError, match=r"has the tensors .* but its metadata promises"):
        TfliteEngine(path)


def test_a_graph_that_no_interpreter_reads_is_refused(tiny_net: Any, tmp_path: Path) -> None:
    path = tmp_path / "nonsense.tflite"
    path.write_bytes(append_tflite_metadata(b"\0\0\0\0TFL3" + bytes(100), tiny_net.info))
    with pytest.raises(NeuroampError, match="cannot run"):
        TfliteEngine(path)


def test_without_an_interpreter_it_says_what_to_install(
    tiny_tflite: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setitem(sys.modules, f"{package}.interpreter", None)
    with pytest.raises(NeuroampError, match="pip install ai-edge-litert"):
        open_engine(tiny_tflite["float32"])


def test_ai_edge_litert_is_preferred() -> None:
    preferred = importlib.util.find_spec("ai_edge_litert") is not None
    package = interpreter_class().__module__.partition(".")[0]
    assert package == ("ai_edge_litert" if preferred else "tflite_runtime")


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_the_chain_sounds_as_with_the_numpy_net(
    tiny_tflite: dict[str, Path], tiny_net: Any, fitting: Fitting, quantisation: str
) -> None:
    sound = np.random.default_rng(3).normal(0.0, 0.02, 8000)
    expected = EarChain(WEAR, fitting, tiny_net).process(sound)
    chain = EarChain(WEAR, fitting, open_engine(tiny_tflite[quantisation]))
    error = chain.process(sound) - expected
    assert chain.stats.missed_steps == 0
    snr_db = 10.0 * np.log10(np.sum(expected**2) / max(np.sum(error**2), 1e-30))
    assert snr_db > {"float32": 90.0, "int8": 20.0, "16x8": 25.0}[quantisation]

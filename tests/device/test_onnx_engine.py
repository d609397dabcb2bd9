"""The ONNX engine against the same net in numpy."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neuroamp.chain import EarChain
from neuroamp.engines import open_engine
from neuroamp.engines.onnx import OnnxEngine
from neuroamp.errors import NeuroampError
from neuroamp.fitting import Fitting
from neuroamp.profile import WEAR

Steps = list[tuple[Any, Any]]


def outputs(engine: Any, steps: Steps) -> np.ndarray:
    return np.array([engine.step(features, audiogram) for features, audiogram in steps])


def test_outputs_are_those_of_the_numpy_net(
    make_onnx: Callable[..., Path], tiny_net: Any, steps: Steps
) -> None:
    engine = open_engine(make_onnx())
    assert engine.info == tiny_net.info
    np.testing.assert_allclose(outputs(engine, steps), outputs(tiny_net, steps), atol=1e-5)


def test_reset_starts_anew_and_engines_share_nothing(
    make_onnx: Callable[..., Path], steps: Steps
) -> None:
    path = make_onnx()
    engine, other = OnnxEngine(path), OnnxEngine(path)
    # An odd number of steps leaves the buffers of the states swapped.
    first = outputs(engine, steps[:51])
    assert not np.array_equal(outputs(engine, steps[:51]), first)
    engine.reset()
    np.testing.assert_array_equal(outputs(engine, steps[:51]), first)
    np.testing.assert_array_equal(outputs(other, steps[:51]), first)


def test_outputs_are_the_callers_own(make_onnx: Callable[..., Path], steps: Steps) -> None:
    engine = OnnxEngine(make_onnx())
    first = engine.step(*steps[0])
    kept = first.copy()
    engine.step(*steps[1])
    np.testing.assert_array_equal(first, kept)
    assert first.dtype == np.float32


def test_a_graph_that_is_not_what_its_metadata_says_is_refused(
    make_onnx: Callable[..., Path], tiny_net: Any
) -> None:
    states = {"hidden0": (1, 8), "cell0": (1, 8), "hidden1": (1, 6)}
    described = dataclasses.replace(tiny_net.info, states=states)
    path = make_onnx(metadata=described.to_json())
    with pytest.raises(NeuroampError, match=r"has the tensors .* but its metadata promises"):
        OnnxEngine(path)


def test_without_onnxruntime_it_says_what_to_install(
    make_onnx: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_onnx()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NeuroampError, match="pip install onnxruntime"):
        open_engine(path)


def test_the_chain_sounds_as_with_the_numpy_net(
    make_onnx: Callable[..., Path], tiny_net: Any, fitting: Fitting
) -> None:
    sound = np.random.default_rng(3).normal(0.0, 0.02, 8000)
    expected = EarChain(WEAR, fitting, tiny_net).process(sound)
    actual = EarChain(WEAR, fitting, open_engine(make_onnx())).process(sound)
    np.testing.assert_allclose(actual, expected, atol=1e-6)

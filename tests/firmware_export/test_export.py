"""Exported files: equal to torch where they are float, really integers where they say so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from neuroamp.engines import open_engine
from neuroamp.errors import NeuroampError
from neuroamp.model_file import read_model_info
from neuroamp_export.export import ExportedFile, _check_int8, export
from neuroamp_export.net import ExportedStep, Stream, model_info, recurrent_weights, run_net
from neuroamp_export.tflite_export import tflite_float, tflite_quantised
from neuroamp_export.tflm import TflmEngine, is_installed
from neuroamp_host.networks.net import Net
from neuroamp_host.networks.registry import build

STEPS = 200


def stream(seed: int) -> Stream:
    """Features that wander as a sound's do, and an audiogram."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0.0, 0.1, (STEPS, 64)), axis=0)
    features = (0.8 * np.sin(walk)).astype(np.float32)
    return Stream(features, rng.uniform(0.1, 0.8, 6).astype(np.float32))


@pytest.fixture(scope="module")
def net() -> Net:
    """A net whose gates and outputs move as a trained one's do."""
    torch.manual_seed(0)
    net = build("wear").eval()
    with torch.no_grad():
        net.output_layer.weight.mul_(20.0)
    return net


@pytest.fixture(scope="module")
def files(net: Net, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportedFile]:
    pytest.importorskip("litert_torch", reason="litert-torch is not installed")
    out = tmp_path_factory.mktemp("models")
    made = export(net, "wear", "wear", out, [stream(seed) for seed in range(1, 5)])
    return {path.name: (path, engine, operators) for path, engine, operators in made}


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Of the output's movement, dB."""
    moving = reference - reference.mean(axis=0)
    return float(10.0 * np.log10(np.sum(moving**2) / np.sum((reference - other) ** 2)))


def outputs(path: Path, engine: str, heard: Stream) -> np.ndarray:
    opened = open_engine(path, engine)
    return np.stack([np.array(opened.step(row, heard.audiogram)) for row in heard.features])


@pytest.mark.parametrize("name", ["wear-float32.onnx", "wear-float32.tflite"])
def test_float_files_equal_torch(net: Net, files: dict[str, ExportedFile], name: str) -> None:
    heard = stream(9)
    path, engine, _ = files[name]
    np.testing.assert_allclose(outputs(path, engine, heard), run_net(net, heard), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "least_db"),
    [
        ("wear-int8.onnx", 20.0),
        ("wear-dynamic.tflite", 20.0),
        ("wear-16x8.tflite", 20.0),
        ("wear-int8.nam", 20.0),
        ("wear-int8.tflite", 0.0),
    ],
)
def test_quantised_files_follow_torch_over_a_stream(
    net: Net, files: dict[str, ExportedFile], name: str, least_db: float
) -> None:
    heard = stream(9)
    path, engine, _ = files[name]
    if engine == "native":
        pytest.importorskip("cffi")
    assert snr_db(run_net(net, heard), outputs(path, engine, heard)) > least_db


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_int8_files_are_under_thirty_percent_of_the_float_file(
    files: dict[str, ExportedFile], suffix: str
) -> None:
    whole = files[f"wear-float32.{suffix}"][0].stat().st_size
    for name, (path, _, _) in files.items():
        if name.endswith(suffix) and "float32" not in name:
            assert path.stat().st_size < 0.30 * whole, name


def test_every_recurrent_product_of_the_int8_onnx_file_is_on_integers(
    files: dict[str, ExportedFile],
) -> None:
    operators = files["wear-int8.onnx"][2]
    assert sum(count for kind, count in operators.items() if "Integer" in kind) == 3
    assert operators.get("MatMul", 0) + operators.get("Gemm", 0) == 1  # the audiogram's layer


def test_a_float_file_that_calls_itself_int8_is_refused(files: dict[str, ExportedFile]) -> None:
    with pytest.raises(NeuroampError, match="not really int8"):
        _check_int8(files["wear-float32.onnx"], files["wear-float32.onnx"])


def test_every_file_says_what_it_is(net: Net, files: dict[str, ExportedFile]) -> None:
    for name, (path, _, _) in files.items():
        info = read_model_info(path)
        assert info.profile == net.profile, name
        assert info.states == net.state_shapes, name


@pytest.mark.skipif(not is_installed(), reason="tflite-micro is not installed")
@pytest.mark.parametrize("name", ["wear-int8.tflite", "wear-16x8.tflite"])
def test_static_files_run_in_tflite_micro_with_their_state(
    files: dict[str, ExportedFile], name: str
) -> None:
    heard = stream(9)
    micro = TflmEngine(files[name][0])
    found = np.stack([micro.step(row, heard.audiogram) for row in heard.features])
    lite = outputs(files[name][0], "tflite", heard)
    # Their kernels round differently in places; a state that is lost would part them at once.
    largest, least_db = (0.005, 40.0) if "16x8" in name else (0.1, 15.0)
    assert np.abs(found - lite).max() < largest
    assert snr_db(lite, found) > least_db


def test_a_static_file_with_floats_in_it_is_refused(net: Net) -> None:
    pytest.importorskip("litert_torch", reason="litert-torch is not installed")
    info = model_info(net, "wear", "wear", "16x8")
    clamped = tflite_float(ExportedStep(recurrent_weights(net)), info)
    # The quantiser does not know MINIMUM, one half of the clamp.
    with pytest.raises(NeuroampError, match=r"integers throughout|goes in as"):
        tflite_quantised(clamped, info, [stream(1)])


def test_an_unknown_format_is_one_sentence(net: Net, tmp_path: Path) -> None:
    with pytest.raises(NeuroampError, match="no format 'coreml'"):
        export(net, "wear", "wear", tmp_path, [], formats=["coreml"])

"""The nets that are no stacks of LSTM layers: exported by torch's own exporters, run as all are."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from neuroamp.audiogram import BISGAARD, Ear
from neuroamp.engines import open_engine
from neuroamp.errors import NeuroampError
from neuroamp.model_file import read_model_info
from neuroamp_export.export import ExportedFile, export, left_out, parity_report
from neuroamp_export.net import Stream, run_net
from neuroamp_export.parity import ParityStream
from neuroamp_export.traced import LISTENER
from neuroamp_host.cli import main
from neuroamp_host.networks.net import Net
from neuroamp_host.networks.registry import build
from neuroamp_host.prescription.fit import make_fitting

NAMES = ("paper-cnn-basic", "paper-crnn-basic", "paper-transformer-basic")
STEPS = 150
Files = dict[str, ExportedFile]


def stream(seed: int) -> Stream:
    """Magnitudes that wander as a sound's do, longer than any context, and an audiogram."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0.0, 0.1, (STEPS, 257)), axis=0)
    features = np.abs(np.sin(walk)).astype(np.float32)
    return Stream(features, rng.uniform(0.1, 0.8, 6).astype(np.float32))


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Of the output's movement, dB."""
    moving = reference - reference.mean(axis=0)
    return float(10.0 * np.log10(np.sum(moving**2) / np.sum((reference - other) ** 2)))


def outputs(path: Path, engine: str, heard: Stream) -> np.ndarray:
    opened = open_engine(path, engine)
    return np.stack([np.array(opened.step(row, heard.audiogram)) for row in heard.features])


@pytest.fixture(scope="module", params=NAMES)
def net(request: pytest.FixtureRequest) -> Net:
    torch.manual_seed(0)
    return build(request.param).eval()


@pytest.fixture(scope="module")
def onnx_files(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Files:
    made = export(net, "net", "net", tmp_path_factory.mktemp("onnx"), [], ["onnx"])
    return {path.name: (path, engine, operators) for path, engine, operators in made}


@pytest.fixture(scope="module")
def tflite_files(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Files:
    pytest.importorskip("litert_torch", reason="litert-torch is not installed")
    made = export(net, "net", "net", tmp_path_factory.mktemp("tflite"), [], ["tflite"])
    return {path.name: (path, engine, operators) for path, engine, operators in made}


def test_onnx_files_follow_torch_over_a_stream(net: Net, onnx_files: Files) -> None:
    heard = stream(9)
    reference = run_net(net, heard)
    exact = outputs(*onnx_files["net-float32.onnx"][:2], heard)
    np.testing.assert_allclose(exact, reference, atol=1e-5)
    assert snr_db(reference, outputs(*onnx_files["net-int8.onnx"][:2], heard)) > 20.0


def test_every_product_of_the_int8_onnx_file_but_the_audiograms_is_on_integers(
    onnx_files: Files,
) -> None:
    exact, rounded = (onnx_files[f"net-{kind}.onnx"] for kind in ("float32", "int8"))
    assert rounded[0].stat().st_size < 0.30 * exact[0].stat().st_size
    graph = onnx.load(rounded[0]).graph
    weights = {weight.name for weight in graph.initializer}
    in_float = [
        node.name
        for node in graph.node
        if node.op_type in ("Gemm", "MatMul", "Conv") and weights & set(node.input)
    ]
    assert len(in_float) == 1
    assert LISTENER in in_float[0]
    products = exact[2].get("Gemm", 0) + exact[2].get("MatMul", 0)
    without_weights = sum(
        node.op_type == "MatMul" and not weights & set(node.input) for node in graph.node
    )
    assert rounded[2]["MatMulInteger"] == products - 1 - without_weights


def test_tflite_files_follow_torch_over_a_stream(net: Net, tflite_files: Files) -> None:
    assert set(tflite_files) == {"net-float32.tflite", "net-dynamic.tflite"}
    exact, rounded = (tflite_files[f"net-{kind}.tflite"] for kind in ("float32", "dynamic"))
    assert rounded[0].stat().st_size < 0.30 * exact[0].stat().st_size
    heard = stream(9)
    reference = run_net(net, heard)
    np.testing.assert_allclose(outputs(*exact[:2], heard), reference, atol=1e-5)
    assert snr_db(reference, outputs(*rounded[:2], heard)) > 20.0


def test_every_file_says_what_it_is_and_starts_anew(net: Net, onnx_files: Files) -> None:
    heard = stream(9)
    for path, engine, _ in onnx_files.values():
        info = read_model_info(path)
        assert info.profile == net.profile
        assert info.states == net.state_shapes
        opened = open_engine(path, engine)
        first = opened.step(heard.features[0], heard.audiogram)
        opened.step(heard.features[1], heard.audiogram)
        opened.reset()
        again = opened.step(heard.features[0], heard.audiogram)
        np.testing.assert_array_equal(first, again)


def test_the_parity_report_has_a_line_for_every_file(net: Net, onnx_files: Files) -> None:
    sound = np.random.default_rng(1).normal(0.0, 0.02, 16000)
    fitting = make_fitting(BISGAARD["N3"], Ear.LEFT)
    report = parity_report(ParityStream(net, sound, fitting, 0.05), list(onnx_files.values()))
    exact, rounded = report["files"]
    assert exact["net_output_db"] > 80.0
    assert rounded["net_output_db"] > 20.0
    assert exact["first_minute_db"] > 60.0


def test_the_files_run_in_the_process_command(onnx_files: Files, tmp_path: Path) -> None:
    source, out = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, np.random.default_rng(1).normal(0.0, 0.02, 8000), 16000)
    model = onnx_files["net-float32.onnx"][0]
    options = ["--audiogram", "N3", "--ear", "left", "--engine", "onnx", "--model", str(model)]
    assert main(["process", str(source), str(out), *options]) == 0
    sound, rate = soundfile.read(out)
    assert rate == 16000
    assert sound.size == 8000
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0.0


def test_what_there_is_not_for_a_net_is_one_sentence(net: Net, tmp_path: Path) -> None:
    assert set(left_out(net)) == {"core", "int8.tflite", "16x8.tflite"}
    assert left_out(build("paper-lstm-basic")) == {}
    with pytest.raises(NeuroampError, match=r"no format 'core' for net \(the C core runs"):
        export(net, "net", "net", tmp_path, [], ["onnx", "core"])
    assert not list(tmp_path.iterdir())


def test_a_net_that_hears_the_future_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(NeuroampError, match="hears the future"):
        export(build(NAMES[0], causal=False), "net", "net", tmp_path, [])

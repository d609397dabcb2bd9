"""Checkpoints out of released models: the weights that the files hold, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from checkpoint_of_release import weights_of
from neuroamp.engines import open_engine
from neuroamp.errors import NeuroampError
from neuroamp.released import find_model
from neuroamp_host.networks.registry import build
from neuroamp_host.training.checkpoint import load_net

MODELS = Path(__file__).resolve().parents[2] / "models"
TRANSFORMERS = ("paper-transformer", "paper-transformer-basic")


def test_the_wear_nets_weights_come_back_within_half_a_step_of_8_bits() -> None:
    """A row's step is a 127th of its largest weight; biases have 14 bits after the point."""
    trained = load_net(MODELS / "wear" / "wear.pt").state_dict()
    name, found = weights_of(find_model("wear", "native"))
    assert name == "wear"
    assert found.keys() == trained.keys()
    for key, weight in trained.items():
        if weight.ndim == 1:
            torch.testing.assert_close(found[key], weight, rtol=0.0, atol=2.0**-15 + 1e-9)
            continue
        half_a_step = weight.abs().amax(dim=1, keepdim=True) / 127.0 / 2.0
        assert ((found[key] - weight).abs() <= 1.01 * half_a_step).all(), key


@pytest.mark.parametrize("name", ["paper-cnn", "paper-cnn-basic", *TRANSFORMERS])
def test_an_onnx_files_weights_give_what_the_file_gives(name: str) -> None:
    """Against onnxruntime, which rounds the activations of each product to 8 bits as well."""
    path = find_model(name, "onnx")
    found_name, found = weights_of(path)
    assert found_name == name
    net = build(name).eval()
    net.load_state_dict(found)
    engine = open_engine(path, "onnx")
    rng = np.random.default_rng(1)
    features = rng.uniform(0.2, 0.6, (20, net.profile.feature_count)).astype(np.float32)
    audiogram = np.full(6, 0.4, np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(features)[None], torch.from_numpy(audiogram)[None])[0]
    outputs = np.stack([engine.step(row, audiogram) for row in features])
    error = np.abs(outputs - expected.numpy())
    assert np.sqrt((error**2).mean()) < 0.02
    assert expected.std() > 0.1


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    for name in ("model.onnx", "model.nam"):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(NeuroampError):
            weights_of(path)


def test_a_model_of_another_project_and_an_lstm_in_onnx_are_refused(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([], "nothing", [], [])
    onnx.save(onnx.helper.make_model(graph), str(tmp_path / "other.onnx"))
    with pytest.raises(NeuroampError, match="names no net"):
        weights_of(tmp_path / "other.onnx")
    with pytest.raises(NeuroampError, match="as torch does"):
        weights_of(find_model("paper", "onnx"))
    with pytest.raises(NeuroampError, match="as torch does"):
        weights_of(find_model("paper-crnn", "onnx"))

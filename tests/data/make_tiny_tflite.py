"""Makes tiny-*.tflite and tiny_net.npz, the untrained net that the engine tests run.

    python tests/data/make_tiny_tflite.py

Needs the extras 'host' and 'tflite'. The files are committed, so that the tests of a machine with
nothing but numpy and a TFLite interpreter can run them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from neuroamp.model_file import ModelInfo, append_tflite_metadata
from neuroamp.profile import WEAR
from neuroamp_host.networks.lstm import LstmNet, LstmShape

FOLDER = Path(__file__).parent
SHAPE = LstmShape(audiogram_units=4, widths=(8, 6))
CALIBRATION_STEPS = 100
WIDENING = 2.5
RECIPES = {"int8": recipe.static_wi8_ai8, "16x8": recipe.static_wi8_ai16}


class Named(torch.nn.Module):
    """The net with its tensors named as an exported model's are."""

    def __init__(self, net: LstmNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, features, audiogram, hidden0, cell0, hidden1, cell1):  # type: ignore[no-untyped-def]
        """One step, outputs by name."""
        values = self.net.step(features, audiogram, hidden0, cell0, hidden1, cell1)
        names = ("output", *(f"{name}_next" for name in self.net.state_shapes))
        return dict(zip(names, values, strict=True))


def make_net() -> LstmNet:
    """A net whose outputs and states move enough to tell a right engine from a wrong one."""
    torch.manual_seed(20)
    net = LstmNet(WEAR, SHAPE).eval()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    net.output_layer.weight.mul_(20.0)
    for layer in net.layers:
        layer.input_weight.mul_(2.0)
    return net


def calibration(net: LstmNet) -> list[dict[str, np.ndarray]]:
    """Inputs and running states over random features."""
    rng = np.random.default_rng(21)
    states = [torch.zeros(shape) for shape in net.state_shapes.values()]
    samples = []
    for _ in range(CALIBRATION_STEPS):
        inputs = [
            torch.tensor(rng.normal(0.0, 0.7, (1, WEAR.feature_count)), dtype=torch.float32),
            torch.tensor(rng.uniform(0.0, 1.0, (1, 6)), dtype=torch.float32),
            *states,
        ]
        names = ("features", "audiogram", *net.state_shapes)
        samples.append({n: v.numpy() for n, v in zip(names, inputs, strict=True)})
        states = list(net.step(*inputs)[1:])
    return samples


def main() -> None:
    """Writes the weights, the float file and the two quantised ones."""
    net = make_net()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    np.savez(FOLDER / "tiny_net.npz", **weights)
    names = ("features", "audiogram", *net.state_shapes)
    shapes = ((1, WEAR.feature_count), (1, 6), *net.state_shapes.values())
    example = {n: torch.zeros(shape) for n, shape in zip(names, shapes, strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.tflite"
        litert_torch.convert(Named(net).eval(), sample_kwargs=example).export(str(plain))
        files = {"float32": plain.read_bytes()}
        for name, make_recipe in RECIPES.items():
            quantise = quantizer.Quantizer(str(plain))
            quantise.load_quantization_recipe(make_recipe())
            ranges = quantise.calibrate({"serving_default": calibration(net)})
            # The calibrator averages the extremes over the samples: widened, nothing clips.
            ranges = {t: {k: WIDENING * v for k, v in r.items()} for t, r in ranges.items()}
            files[name] = bytes(quantise.quantize(ranges).quantized_model)
    for name, flatbuffer in files.items():
        info = ModelInfo("tiny", "wear", WEAR, dict(net.state_shapes), name)
        (FOLDER / f"tiny-{name}.tflite").write_bytes(append_tflite_metadata(flatbuffer, info))


if __name__ == "__main__":
    main()

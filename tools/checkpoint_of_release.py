"""A checkpoint out of a released model, to train on from where that model stands.

    python tools/checkpoint_of_release.py models/paper/paper-int8.nam runs/paper-first/best.pt

Released files hold the weights in 8 bits, one scale an output; the checkpoint has them as they are
there, rounded. A run begins with it by its config's `start`. LSTMs are read from the core's files,
`.nam`, the CNNs and Transformers from `.onnx`; other files hold LSTM layers in another order, and
are refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from neuroamp.core_file import SUFFIX, read_core_file, read_core_weights
from neuroamp.errors import NeuroampError
from neuroamp.integer_net import (
    FEATURE_BITS,
    GATE_BITS,
    HIDDEN_BITS,
    MULTIPLIER_BITS,
    IntegerMatrix,
)
from neuroamp_host.networks.registry import NETS, build
from neuroamp_host.training.checkpoint import save
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


def weights_of(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The net's name and its weights, by torch's names and in its orders.

    Raises:
        NeuroampError: the file is missing, damaged, no model of this project, or holds its weights
            in another way.
    """
    name, found = _of_core(path) if path.suffix == SUFFIX else _of_onnx(path)
    if name not in NETS:
        raise NeuroampError(f"{path} names no net of this release; give a released model.")
    weights = {}
    for key, wanted in build(name).state_dict().items():
        value = found.get(key)
        if value is None or value.shape != tuple(wanted.shape):
            raise NeuroampError(
                f"{path} does not hold {key} of {name} as torch does; give the model's {SUFFIX} "
                "file, or train that net from its config."
            )
        weights[key] = torch.from_numpy(value.astype(np.float32))
    return name, weights


def _of_core(path: Path) -> tuple[str, dict[str, Floats]]:
    net = read_core_weights(path)
    if net is None:
        raise NeuroampError(f"{path} has no net; give a released model that has one.")
    first, *rest = net.inputs
    found = {
        "audiogram_layer.weight": _weight(net.audiogram, FEATURE_BITS),
        "audiogram_layer.bias": _bias(net.audiogram),
        "output_layer.weight": _weight(net.output, HIDDEN_BITS),
        "output_layer.bias": _bias(net.output),
    }
    joined = [_weight(first, FEATURE_BITS), _weight(net.listener, FEATURE_BITS)]
    inputs = [np.concatenate(joined, axis=1), *(_weight(matrix, HIDDEN_BITS) for matrix in rest)]
    for layer, (matrix, recurrent) in enumerate(zip(net.inputs, net.recurrents, strict=True)):
        found[f"layers.{layer}.input_weight"] = inputs[layer]
        found[f"layers.{layer}.recurrent_weight"] = _weight(recurrent, HIDDEN_BITS)
        found[f"layers.{layer}.bias"] = _bias(matrix)
    return read_core_file(path)[0].net, found


def _weight(matrix: IntegerMatrix, input_bits: int) -> Floats:
    """As `neuroamp_export.core_format.quantise` had it, but for the rounding."""
    scale = matrix.multipliers / 2.0 ** (GATE_BITS - input_bits + MULTIPLIER_BITS)
    return matrix.weights * scale[:, None]


def _bias(matrix: IntegerMatrix) -> Floats:
    assert matrix.bias is not None
    return matrix.bias / 2.0**GATE_BITS


def _of_onnx(path: Path) -> tuple[str, dict[str, Floats]]:
    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError) as error:
        raise NeuroampError(
            f"cannot read {path} ({type(error).__name__}); give a released model."
        ) from None
    described = [entry.value for entry in model.metadata_props if entry.key == "neuroamp"]
    stored = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    prefix, transposed, quantised = "_net.", "_Transposed", "_Transposed_quantized"
    found = {}
    for name, value in stored.items():
        key = name.removeprefix(prefix)
        if key.endswith(quantised):
            whole = name.removesuffix("_quantized")
            levels = value.astype(np.float64) - stored[f"{whole}_zero_point"]
            found[key.removesuffix(quantised)] = (levels * stored[f"{whole}_scale"]).T
        elif key.endswith(transposed):
            found[key.removesuffix(transposed)] = value.astype(np.float64).T
        else:
            found[key] = value.astype(np.float64)
    return json.loads(described[0])["net"] if described else "", found


def main() -> int:
    """Writes the checkpoint and says of what."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", type=Path, help="released .nam or .onnx file")
    parser.add_argument("out", type=Path, help="checkpoint to write")
    options = parser.parse_args()
    try:
        name, weights = weights_of(options.model)
        save(options.out, {"net": name, "state_dict": weights})
    except (NeuroampError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    count = sum(value.numel() for value in weights.values())
    print(f"{options.out}: {name}, {count:,} weights")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
